"""Whether who made something still lives, told by a lock that the kernel frees, never by a process number.

A number means another process in another PID namespace (a second container on the same volume), on another machine, and
here too once it is given anew. Locks of `flock` are seen wherever the file system is, also through NFS with locks.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepwell.blocks.system.locks import NO_LOCKS_HERE, file_lock

_SUFFIX = ".lock"
_NAME = re.compile("p[0-9a-f]{16}")


class Owner:
    """Somebody who lives as long as this object, or its process: known by the lock on a file of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = (0, "")

    def name(self) -> str:
        """Return this owner's name, which is another one in a forked process; raise OSError if nothing can be written."""
        process, name = self._known
        if process != os.getpid():
            name = self._begin()
            self._known = (os.getpid(), name)
        return name

    def _begin(self) -> str:
        while True:
            name = f"p{secrets.token_hex(8)}"
            path = self._folder / f"{name}{_SUFFIX}"
            try:
                descriptor = file_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in NO_LOCKS_HERE or not path.exists():
                    raise
                return name  # without locks nobody can tell that it is dead
            if descriptor is not None:  # else a collector looked at the file first, and removes it
                weakref.finalize(self, _end, path, descriptor, os.getpid())
                return name


def _end(path: Path, descriptor: int, process: int) -> None:
    """Remove the file and free the lock; a forked process only closes its copy."""
    if os.getpid() == process:
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing doesn't free it if a forked process has a copy
    with suppress(OSError):
        os.close(descriptor)


def is_owner_name(text: str) -> bool:
    """Return whether the text may be an owner's name."""
    return _NAME.fullmatch(text) is not None


def owners(folder: Path) -> set[str]:
    """Return the names of the folder's owners, the living and those whose death nobody has noticed yet."""
    with suppress(OSError):
        return {name.removesuffix(_SUFFIX) for name in os.listdir(folder) if is_owner_name(name.removesuffix(_SUFFIX))}
    return set()


@contextmanager
def noticed_dead(folder: Path, name: str) -> Iterator[bool]:
    """Yield whether the owner is dead, in which case the folder forgets it after the block; what can't be told lives."""
    path = folder / f"{name}{_SUFFIX}"
    try:
        descriptor = file_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        descriptor = None
    if descriptor is None:
        yield False
        return
    try:
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
