"""The files of a folder that somebody else owns: links in it are followed, but neither out of it nor in circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stepwell.errors import StepwellError

MOST_LINKS = 20_000
"""How many links inside linked folders are followed: folders that link each other can be gone through in n! ways."""


class _Folder(NamedTuple):
    path: str
    below: str
    """Its path below the root, with a `/` at the end; '' for the root."""

    above: tuple[tuple[int, int], ...]
    """Itself and the folders above it, by device and inode."""

    is_linked: bool


def files_below(root: Path, start: str = "", *, without: str = "") -> Iterator[str]:
    """Yield the path below `root` of every regular file in its folder `start`, in no order.

    Links that lead out of `root` or back to a folder above are passed by, and so are pipes, sockets, devices, what can't
    be read, and the folder `without`. Folders that link each other without end raise StepwellError.
    """
    border, followed = os.path.realpath(root), 0
    waiting = [_Folder(str(root / start), f"{start}/" if start else "", _identity(str(root / start)), is_linked=False)]
    while waiting:
        folder = waiting.pop()
        for child in _children(folder.path):
            below = folder.below + child.name
            kind = "" if below == without else _kind(child, border)
            if kind == "file":
                yield below
            elif kind == "folder":
                identity, is_link = _identity(child.path), child.is_symlink()
                if set(identity) & set(folder.above):
                    continue
                followed += is_link and folder.is_linked
                if followed > MOST_LINKS:
                    raise StepwellError(
                        "Folders link each other too often", {"folder": folder.path}, "Remove the links between them."
                    )
                above = folder.above + identity
                waiting.append(_Folder(child.path, f"{below}/", above, folder.is_linked or is_link))


def _children(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _kind(child: os.DirEntry[str], border: str) -> str:
    """Return `file` or `folder`, or '' if it is neither, leads out, or can't be looked at."""
    try:
        if child.is_symlink():
            real = os.path.realpath(child.path)
            if real != border and not real.startswith(border.rstrip(os.sep) + os.sep):
                return ""
        return "folder" if child.is_dir() else "file" if child.is_file() else ""
    except OSError:
        return ""


def _identity(path: str) -> tuple[tuple[int, int], ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return ((status.st_dev, status.st_ino),)
