"""Access times of a working copy: which of its files and folders somebody read, in whatever program or language.

A copy is private and fresh. Its files get an access time long before their modification time, so that the first read
moves it, also where a file system keeps access times only now and then (`relatime`). Some keep none (`noatime`): a file
that is read on purpose tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stepwell.model.nofollow import MOST_DEPTH, open_folder

_NEVER_NS = 0
_CODE = (".py", ".pyc", ".so")


class Access(NamedTuple):
    """A file, or a folder whose names were listed (its path ends in `/`), that was read; `written`: and written, too."""

    path: str
    written: bool


def mark(root: Path) -> int:
    """Prepare a fresh copy, and return the modification time that all in it has now; 0 if access times are not kept."""
    if not _are_kept(root.parent):
        return 0
    now = time.time_ns()
    folder = open_folder(root)
    try:
        _mark(folder, now, 0)
    finally:
        os.close(folder)
    return now


def accesses(root: Path, marked: int) -> Iterator[Access]:
    """Yield what was read of a copy since `mark` returned `marked`; this look itself moves access times of folders.

    Folders that hold modules are left out: Python lists them itself when it imports.
    """
    with suppress(OSError):
        folder = open_folder(root)
        try:
            yield from _accesses(folder, "", marked, 0)
        finally:
            os.close(folder)


def _mark(folder: int, now: int, depth: int) -> None:
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        if child.is_dir(follow_symlinks=False) and depth < MOST_DEPTH:
            inner = open_folder(folder, child.name)
            try:
                _mark(inner, now, depth + 1)
            finally:
                os.close(inner)
        elif child.is_file(follow_symlinks=False):
            os.utime(child.name, ns=(_NEVER_NS, now), dir_fd=folder)
    os.utime(folder, ns=(_NEVER_NS, now))


def _accesses(folder: int, prefix: str, marked: int, depth: int) -> Iterator[Access]:
    listed = os.fstat(folder).st_atime_ns != _NEVER_NS
    with os.scandir(folder) as found:
        children = list(found)
    if prefix and listed and not any(child.name.endswith(_CODE) for child in children):
        yield Access(prefix, written=False)
    for child in children:
        if child.is_dir(follow_symlinks=False) and depth < MOST_DEPTH:
            with suppress(OSError):
                inner = open_folder(folder, child.name)
                try:
                    yield from _accesses(inner, f"{prefix}{child.name}/", marked, depth + 1)
                finally:
                    os.close(inner)
        elif child.is_file(follow_symlinks=False):
            status = child.stat(follow_symlinks=False)
            if status.st_atime_ns != _NEVER_NS:
                yield Access(prefix + child.name, written=status.st_mtime_ns != marked)


def _are_kept(folder: Path) -> bool:
    """Return whether the first read of a file in the folder moves its access time."""
    probe = folder / ".read"
    try:
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        os.write(descriptor, b"x")
        os.utime(descriptor, ns=(_NEVER_NS, time.time_ns()))
        os.pread(descriptor, 1, 0)
        return os.fstat(descriptor).st_atime_ns != _NEVER_NS
    except OSError:
        return False
    finally:
        os.close(descriptor)
        os.unlink(probe)
