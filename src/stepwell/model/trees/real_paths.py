"""Real paths, asked for again and again: found with a few looks instead of one at each folder on the way."""

from __future__ import annotations

import os
from functools import lru_cache


def real_path(path: str | os.PathLike[str]) -> str:
    """Return what `os.path.realpath` returns.

    Where a folder leads is remembered, and believed for as long as both names are of the one folder that is there now.
    """
    text = os.path.abspath(path)
    above, name = os.path.split(text)
    top, parent = os.path.split(above)
    if not parent or os.path.normpath(path) != os.fspath(path).rstrip("/") or os.path.islink(above):
        return os.path.realpath(path)
    folder = _real_folder(top)
    return os.path.realpath(path) if folder is None or os.path.islink(text) else os.path.join(folder, parent, name)


def _real_folder(path: str) -> str | None:
    try:
        there = os.stat(path)
        for _ in range(2):
            found = _remembered(path, there.st_dev, there.st_ino)
            real = os.stat(found)
            if (real.st_dev, real.st_ino) == (there.st_dev, there.st_ino):
                return found
            _remembered.cache_clear()
    except OSError:
        pass
    return None


@lru_cache(maxsize=512)
def _remembered(path: str, _device: int, _inode: int) -> str:
    return os.path.realpath(path)
