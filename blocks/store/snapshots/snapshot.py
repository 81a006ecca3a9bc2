"""A snapshot: the files of a source directory as they were, read where they are kept, and copied for a step to work in."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.system.files import copy_stream, copy_tree
from stepwell.errors import StoreException
from stepwell.model.digests import bytes_digest, file_digest
from stepwell.model.nofollow import files_below, open_file
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Tree, resolve, scan
from stepwell.model.trees.entries import Entry

UNREAD = 1 << 20
"""Bytes from which a file is copied without being read where the file system shares blocks: who copies, checks it before."""


@dataclass(frozen=True)
class Snapshot:
    """Files under one digest: those that `tree` names, each by its content in one of `folders`; without it, those of the folder.

    The latter is how earlier releases kept snapshots, and how they come to machines that share no disk.
    """

    digest: str
    folders: tuple[Path, ...]
    tree: Tree | None = None

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """What there is, by path."""
        tree = scan(self.folders[0], _unread) if self.tree is None else self.tree
        return {entry.path: entry for entry in tree.entries}

    @cached_property
    def _above(self) -> frozenset[str]:
        """The folders that hold something."""
        return frozenset(path[:end] for path in self.entries for end in range(len(path)) if path[end] == "/")

    def place(self, path: str) -> Path | None:
        """Return where the bytes of a file stand, links on the way followed inside the snapshot; None if there is no such file."""
        entry = self.entries.get("" if path == "" else resolve(self.entries, path))
        return self.place_of(entry) if entry is not None and entry.kind == "file" else None

    def place_of(self, entry: Entry) -> Path:
        """Return where the bytes of a file of the tree stand."""
        if self.tree is None:
            return self.folders[0] / entry.path if entry.path else self.folders[0]
        return Path(place_in(self.folders, entry.digest))

    def holds(self, path: str) -> bool:
        """Return whether a file, link or folder stands at a path, reached through the snapshot's own links, too."""
        if path in self.entries or path in self._above:
            return True
        name = posixpath.normpath(path)
        reached = posixpath.join(resolve(self.entries, posixpath.dirname(name)), posixpath.basename(name))
        return name == "." or posixpath.normpath(reached) in self.entries or posixpath.normpath(reached) in self._above

    def files(self) -> Iterator[str]:
        """Yield the paths of the files, in order."""
        if self.tree is None and self.folders[0].is_dir():
            return files_below(self.folders[0])
        return iter(
            sorted((e.path for e in self.entries.values() if e.kind == "file"), key=lambda name: name.split("/"))
        )

    def read(self, path: str) -> bytes:
        """Return the content of a file; raise OSError as for a missing one if there is none."""
        place = self.place(path)
        if place is None:
            raise FileNotFoundError(path)
        return read_bytes(place)

    def is_whole(self) -> bool:
        """Read every byte, and return whether they are those that the digest names."""
        with suppress(OSError, StoreException):
            if self.tree is None:
                return scan(self.folders[0]).digest == self.digest
            return self.tree.digest == self.digest and all(map(self._is_intact, self.tree.entries))
        return False

    def _is_intact(self, entry: Entry) -> bool:
        if entry.kind != "file":
            return True
        place = self.place_of(entry)
        with open_file(place.parent, place.name) as stream:
            return file_digest(stream) == entry.digest

    def send_to(self, remote_store: RemoteStore) -> None:
        """Let other machines have the snapshot by its digest."""
        remote_store.put_tree(self.tree or scan(self.folders[0]), self.place_of)

    def copy_to(self, target: Path) -> None:
        """Write a copy that no write can lead from to what is kept: blocks are shared where the file system can, names never.

        Bytes that are read on the way are checked. What is gone or damaged raises StoreException, and is no longer kept.
        """
        if self.tree is None:
            copy_tree(self.folders[0], target)
            return
        made, links = {""}, []
        if self.tree.is_file:
            target.parent.mkdir(parents=True, exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
        for entry in self.tree.entries:
            folder, _, _ = entry.path.rpartition("/")
            if ".." in entry.path.split("/") or entry.path.startswith("/"):
                raise StoreException("A snapshot leads out of its folder", {"snapshot": self.digest}, "Run again.")
            if folder not in made:
                os.makedirs(f"{target}/{folder}", exist_ok=True)
                made.add(folder)
            place = f"{target}/{entry.path}" if entry.path else str(target)
            if entry.kind == "file":
                self._copy(entry, place)
            elif entry.kind == "link":
                links.append((entry.digest, place))
            else:
                os.makedirs(place, exist_ok=True)
        for leads_to, place in links:  # last, so that nothing is written through one
            os.symlink(leads_to, place)

    def _copy(self, entry: Entry, target: str) -> None:
        place = place_in(self.folders, entry.digest)
        try:
            source = open(place, "rb", buffering=0, opener=_regular)  # noqa: SIM115
        except FileNotFoundError as error:
            raise self._damaged(entry, place) from error
        with source, open(os.open(target, _NEW, 0o666), "wb") as copy:
            if entry.size < UNREAD:
                data = source.read()
                copy.write(data)
                intact = bytes_digest(data) == entry.digest
            else:
                copy_stream(source, copy)
                copy.flush()
                intact = os.fstat(copy.fileno()).st_size == entry.size
            if entry.executable:
                os.fchmod(copy.fileno(), 0o755)
        if not intact:
            raise self._damaged(entry, place)

    def _damaged(self, entry: Entry, place: str) -> StoreException:
        """Return the error of a file that is gone or damaged, which is no longer kept, so that the next run keeps it anew."""
        with suppress(OSError):
            os.unlink(place)
        name = entry.path.encode("utf-8", "backslashreplace").decode()
        facts = {"snapshot": self.digest, "file": name, "kept at": place}
        return StoreException("A file of a snapshot was damaged in the store", facts, "Run the pipeline again.")


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return descriptor


def _unread(_: str, __: os.stat_result) -> str:
    return ""


def place_in(folders: Iterable[str | Path], content: str) -> str:
    """Return where the bytes of a file with this SHA-256 are among folders of files by content, the first by default."""
    places = [f"{folder}/{content[:2]}/{content}" for folder in folders]  # as `fan_out`, for thousands of files
    return next(filter(os.path.lexists, places), places[0]) if len(places) > 1 else places[0]
