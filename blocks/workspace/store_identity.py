"""Which store a workspace's document means: a random id that the store keeps, and the document names."""

from __future__ import annotations

import os
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home, make_folder
from stepwell.errors import WorkspaceException
from stepwell.model.regular_files import read_bytes

_FILE, _DEFAULT = "store.id", "default-workspace"
_ID = re.compile(rb"[0-9a-f]{32}")


def read_id(folder: Path) -> str:
    """Return the id of the store in the folder, '' if there is none."""
    try:
        found = _ID.match(read_bytes(folder / _FILE))
    except OSError:
        return ""
    return found[0].decode() if found else ""


def keep_id(folder: Path, wanted: str = "") -> str:
    """Return the id of the store in the folder, which gets `wanted` or a new one if it has none; '' if it can't be written."""
    known = read_id(folder)
    if known:
        return known
    draft = folder / f".{_FILE}.{secrets.token_hex(8)}"
    with suppress(OSError):
        make_folder(folder)
        try:
            draft.write_text(f"{wanted or secrets.token_hex(16)}\n")
            if os.path.lexists(folder / _FILE) and not read_id(folder):
                os.replace(draft, folder / _FILE)  # what stands there is damaged
            try:  # a link, unlike a rename, leaves the id of a process that was faster
                os.link(draft, folder / _FILE)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                os.replace(draft, folder / _FILE)
        finally:
            draft.unlink(missing_ok=True)
    return read_id(folder)


def folders_of_workspaces() -> list[str]:
    """Return the names of the workspaces that have a folder in this home, whichever Prefect server knows them."""
    with suppress(OSError):
        return sorted(os.listdir(home() / "workspaces"))
    return []


def default_workspace() -> str:
    """Return the name of the workspace that this home's command line uses where none is named, '' if there is none."""
    with suppress(OSError, UnicodeDecodeError):
        return read_bytes(home() / _DEFAULT).decode().strip()
    return ""


def set_default_workspace(name: str) -> None:
    """Make it the workspace that `default_workspace` returns; '': none."""
    write_atomically(home() / _DEFAULT, f"{name}\n".encode())


def place_of(folder: Path) -> str:
    """Return where the store is, in words for the users of other homes."""
    return f"{socket.gethostname()}:{folder}"


def elsewhere(name: str, place: str) -> WorkspaceException:
    """Return the error that tells who opens the workspace here what to do."""
    return WorkspaceException(
        f"The workspace {name!r} belongs to another Stepwell home: its data and results are not in this one",
        {"its store": place or "not known", "this home": home()},
        "Set STEPWELL_HOME to its home, make a folder that both reach its default datastore, or create a workspace of another "
        f"name; if its home is gone, take it over with `stepwell workspaces adopt {name}`.",
    )
