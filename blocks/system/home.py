"""Stepwell's own folder: where what belongs to this user on this machine is kept."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from stepwell.blocks.system.modes import create_file, make_one_folder
from stepwell.errors import StepwellError

_TRIES = 3


def home() -> Path:
    """Return the folder that `STEPWELL_HOME` names, or `~/.stepwell`; made for its owner only when first asked for."""
    named = _named()
    try:
        folder = _path_of(named)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        hint = "Set STEPWELL_HOME to a folder that you can write to."
        raise StepwellError("Stepwell's home can't be made.", {"folder": named, "reason": error}, hint) from None
    return folder


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, if they are missing.

    Below the home it is for its owner only, whatever the umask, unless the folder above hands its group on.
    """
    if os.path.isdir(path):
        return
    if path.parent != path:
        make_folder(path.parent)
    try:
        make_one_folder(path, private=is_in_home(path))
    except FileExistsError:
        if not path.is_dir():
            raise


def new_file(path: Path, flags: int) -> int:
    """Return a descriptor of a new file, which is for its owner only as folders are; raise FileExistsError if there is one."""
    return create_file(path, flags, private=is_in_home(path))


def open_or_make(path: Path, flags: int) -> int:
    """Return a descriptor of the file, which is made as `new_file` does if there is none, in a folder that exists."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            return os.open(path, flags | os.O_CLOEXEC)
        with suppress(FileExistsError):  # another was faster
            return new_file(path, flags)
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600 if is_in_home(path) else 0o666)  # a link to nothing


def is_in_home(path: Path) -> bool:
    """Return whether the path leads below the home."""
    with suppress(OSError, RuntimeError):  # there may be no home, and nothing below it then
        place, text = str(_path_of(_named())), str(path)
        return text == place or text.startswith(place.rstrip("/") + "/")
    return False


def _named() -> str:
    return os.environ.get("STEPWELL_HOME") or "~/.stepwell"


def _path_of(named: str) -> Path:
    return _normal(named) if named.startswith("/") else Path(os.path.abspath(Path(named).expanduser()))


@lru_cache(maxsize=4)
def _normal(named: str) -> Path:
    """Return an absolute path without the parts that lead nowhere, of which a run asks for each file that it makes."""
    return Path(os.path.abspath(named))


def signing_key() -> str:
    """Return the 64 hex digits that sign this home's records."""
    return kept_key("signing.key")


def kept_key(name: str) -> str:
    """Return the 64 hex digits of a key of this home: made once, and the same for every process that asks."""
    path = home() / name
    try:
        return _read_key(path)
    except FileNotFoundError:
        make_key(path)
    return _read_key(path)


def _read_key(path: Path) -> str:
    try:
        key = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give yourself the right to read it."
        raise StepwellError("A key of this home can't be read.", {"file": path, "reason": error}, hint) from None
    if not re.fullmatch("[0-9a-f]{64}", key):
        hint = "Restore it, or delete it: results signed with the old key are then computed again."
        raise StepwellError("A key of this home is damaged.", {"file": path}, hint)
    return key


def make_key(path: Path) -> None:
    """Write 64 random hex digits to the file, for its owner only, unless another process was faster."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, leaves the key of a process that was faster, and no reader meets half a key.
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        hint = "Set STEPWELL_HOME to a folder that you can write to, on a file system with hard links."
        raise StepwellError("A key of this home can't be written.", {"file": path, "reason": error}, hint) from None
