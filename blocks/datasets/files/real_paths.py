"""Paths of files of this machine: without links, and all that are below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator


class RealPaths:
    """Paths without links; those of folders are looked up once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return where a path leads in the end."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        real = os.path.join(self._folders[folder], name)
        return os.path.realpath(real) if os.path.islink(real) else real


def paths_below(folder: str) -> Iterator[str]:
    """Yield the path of every file and link below a folder."""
    for place, folders, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in names)
        yield from (path for name in folders if os.path.islink(path := os.path.join(place, name)))
