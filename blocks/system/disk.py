"""Trouble with a disk in words: full, read-only, not allowed, another user's, broken."""

from __future__ import annotations

import errno
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepwell.blocks.system.home import make_folder
from stepwell.errors import StoreException

SHARE_HINT = "Let the users' group read and write the whole store: `chgrp -R GROUP`, `chmod -R g+rwX`, and `chmod g+s` on its folders."

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO}


@contextmanager
def told_in_words(title: str, place: Path | str) -> Iterator[None]:
    """Raise StoreException for an OSError of the disk in the block, with the title, the reason, and what to do about it.

    `place` is what is named if the error names no file. Other errors pass.
    """
    try:
        yield
    except OSError as error:
        if not is_of_disk(error):
            raise
        raise in_words(title, error, place) from error


def is_of_disk(error: OSError) -> bool:
    """Return whether the error says that a disk is full, can't be written, or is broken."""
    return error.errno in _FULL | _FORBIDDEN | _BROKEN


def in_words(title: str, error: OSError, place: Path | str = "") -> StoreException:
    """Return the error of a disk as one for users."""
    if error.errno in _FULL:
        hint = "Free space there, then try again."
    elif error.errno in _FORBIDDEN:
        hint = "Make it writable, or set STEPWELL_HOME to a folder that you can write to."
    else:
        hint = "Look after the disk, or set STEPWELL_HOME to a folder on another one."
    named = error.filename if isinstance(error.filename, str) else place
    return StoreException(title, {"place": named or "not named", "reason": error.strerror or error}, hint)


def words_of(error: Exception) -> str:
    """Return what is wrong; whose file it is, if this user may not read it."""
    if not isinstance(error, PermissionError) or not isinstance(error.filename, str):
        return str(error)
    return f"{error.strerror} ({error.filename}, owned by {owner_of(error.filename)})"


@contextmanager
def told_if_closed(title: str, path: Path) -> Iterator[None]:
    """Raise StoreException, which says whose the file is, if the block may not read or write it."""
    try:
        yield
    except PermissionError as error:
        facts = {"file": path, "owner": owner_of(path), "reason": error.strerror}
        raise StoreException(title, facts, SHARE_HINT) from error


def owner_of(path: str | Path) -> str:
    """Return the user who owns the file, or the innermost folder above it that can be looked at."""
    for place in (Path(path), *Path(path).parents):
        with suppress(OSError):
            owner = place.stat().st_uid
            with suppress(KeyError):
                return pwd.getpwuid(owner).pw_name
            return f"user {owner}"
    return "nobody known"


def can_be_written(folder: Path) -> bool:
    """Return whether this user may write in the folder, which is made; raise StoreException if nobody can."""
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return False
        raise StoreException(
            "The store of results can't be used",
            {"folder": folder, "reason": error},
            "Free space, or set STEPWELL_HOME.",
        ) from error
