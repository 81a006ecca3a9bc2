"""A source directory at one moment: its files, what its scripts import, and what a read of a path in it counts as."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.model.fingerprint import ABSENT, CONTENT, PROBED
from stepwell.model.imports import Imports, find_imports
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Tree, listing, resolve
from stepwell.model.trees.entries import Entry


class Source:
    """A source directory at one moment: what its snapshot holds, and what the scripts in it import.

    `directory` is where people work on it; `root`, where what `tree` names can be read, or else `snapshot` has it.
    """

    def __init__(self, root: Path, tree: Tree, directory: str = "", snapshot: Snapshot | None = None) -> None:
        self.root = root
        self.tree = tree
        self.snapshot = snapshot
        self._homes = {os.path.abspath(directory), os.path.realpath(directory)} if directory else set()
        self._imports: dict[tuple[str, bytes, Packages | None], Imports] = {}

    @cached_property
    def digest(self) -> str:
        """The snapshot's digest."""
        return self.tree.digest

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The snapshot's entries by path."""
        return {entry.path: entry for entry in self.tree.entries}

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders of the snapshot that hold something."""
        return frozenset(path[:end] for path in self.entries for end in range(len(path)) if path[end] == "/")

    def imports(self, script: str, packages: Packages | None = None, code: bytes = b"") -> Imports:
        """Return what the script imports, parsed once; `code` is that of a script that no file holds.

        `packages` tell where modules stand that are imported from where people work on them.
        """
        asked = script, code, packages
        if asked not in self._imports:
            self._imports[asked] = find_imports(
                script,
                self.entries.keys(),
                lambda path: code if code and path == script else self._bytes(path),
                (lambda names: self._located(packages.places_of(names))) if packages else None,
            )
        return self._imports[asked]

    def _located(self, places: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        return {name: [self.inside(path) or path for path in paths] for name, paths in places.items()}

    def inside(self, path: str) -> str:
        """Return the path in the snapshot of what stands at an absolute path, '' if it isn't in it."""
        for place in (path, os.path.realpath(path)):
            for home in self._homes:
                relative = place[len(home) + 1 :] if place.startswith(home + "/") else ""
                if relative and (relative in self.entries or relative in self.folders):
                    return relative
        return ""

    def resolve(self, path: str) -> str:
        """Return the path in its normal form, links on the way followed inside the snapshot."""
        return resolve(self.entries, path)

    def content(self, path: str) -> str:
        """Return the row value of one file's content, of the names in a folder if `path` ends in `/`, or of a probe."""
        if path.endswith("/"):
            names = self.listing(path)
            return CONTENT + names.digest if names else ABSENT
        entry = self.entries.get(self.resolve(path))
        if entry is None or entry.kind != "file":
            return ABSENT if self.listing(path) is None else "folder"
        return "file" if path.endswith(PROBED) else CONTENT + entry.digest

    def listing(self, folder: str) -> Tree | None:
        """Return the names of what stands in a folder of the snapshot, None if there is no such folder."""
        place = self.resolve(folder)
        names = self.names(place)
        found = self.entries.get(place)
        return listing(names) if names or place == "." or (found and found.kind == "folder") else None

    def names(self, folder: str) -> set[str]:
        """Return the names of what stands in a folder of the snapshot."""
        start = "" if folder == "." else folder + "/"
        return {path[len(start) :].partition("/")[0] for path in self.entries if path.startswith(start)}

    def counts(self, path: str) -> bool:
        """Return whether a read of `path` counts: in the source or elsewhere, but not of a file that the step made."""
        return os.path.isabs(path) or path in self.entries or path.endswith(("/", PROBED))

    def outside(self, path: str) -> str:
        """Return where people work on what stands at a path in the snapshot."""
        return os.path.join(min(self._homes, default=""), path)

    def read(self, path: str) -> bytes:
        """Return the content of a file of the snapshot, nothing if it can't be read."""
        with suppress(OSError):
            return self._bytes(path)
        return b""

    def _bytes(self, path: str) -> bytes:
        return read_bytes(self.root / path) if self.snapshot is None else self.snapshot.read(path)

    def shell_script(self, path: str) -> str:
        """Return the text of a file if it is a shell script, else ''."""
        with suppress(OSError):
            text = self._bytes(path).decode("utf-8", "replace")
            if path.endswith((".sh", ".bash")) or re.match(r"#!.*\b(ba|da|z|k)?sh\b", text):
                return text
        return ""

    def below(self, path: str) -> Iterator[str]:
        """Yield the files at or below `path`."""
        clean = "" if path == "." else path.rstrip("/") + "/"
        return (name for name in self.entries if name == path or name.startswith(clean))


EMPTY_SOURCE = Source(Path(os.devnull), Tree(()))
