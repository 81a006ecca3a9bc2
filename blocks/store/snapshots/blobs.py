"""The bytes of files by content: kept once, however many snapshots name them, and believed only as far as they were checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stepwell.blocks.store.snapshots.snapshot import UNREAD, place_in
from stepwell.blocks.system.disk import told_if_closed, words_of
from stepwell.blocks.system.files import copy_stream
from stepwell.blocks.system.home import make_folder, new_file
from stepwell.errors import StoreException
from stepwell.model.digests import bytes_digest, file_digest
from stepwell.model.nofollow import open_file
from stepwell.model.tree import DigestFile, Tree
from stepwell.model.trees.entries import Entry

GONE = "is gone"


class Digests(Protocol):
    """What remembers the SHA-256 of files for as long as nothing can have changed them."""

    def among(self, paths: Iterable[str]) -> AbstractContextManager[DigestFile]:
        """Provide what tells the SHA-256 of these files."""
        ...


@dataclass(frozen=True)
class Blobs:
    """Files by content below `folders`, of which the first is written to; `digests` remembers which bytes were checked."""

    folders: tuple[Path, ...]
    digests: Digests

    def lacking(self, tree: Tree, least: int = 0) -> dict[str, str]:
        """Return the contents of a tree's files that are not there as they should be, with what is wrong with each.

        `least`: only those of as many bytes are looked at.
        """
        wanted = {entry.digest: entry for entry in tree.entries if entry.kind == "file" and entry.size >= least}
        places = {content: place_in(self.folders, content) for content in wanted}
        found = {}
        with self.digests.among(places.values()) as digest_file:
            for content, place in places.items():
                try:
                    status = os.lstat(place)
                    if (
                        not stat.S_ISREG(status.st_mode)
                        or status.st_size != wanted[content].size
                        or digest_file(place, status) != content
                    ):
                        found[content] = "was damaged"
                except (FileNotFoundError, NotADirectoryError):
                    found[content] = GONE
                except OSError as error:
                    found[content] = f"can't be read: {words_of(error)}"
        return found

    def keep(self, root: Path, tree: Tree, contents: Mapping[str, str], scratch: Path) -> None:
        """Keep the files of the tree at `root` that have these contents; `scratch` is an empty folder on the same disk.

        A file that is no longer what the tree names raises StoreException, a missing one FileNotFoundError.
        """
        entries = {entry.digest: entry for entry in tree.entries if entry.digest in contents and entry.kind == "file"}
        for content, entry in entries.items():
            draft, place = scratch / content, Path(place_in(self.folders[:1], content))
            if _copied(root, entry, draft) != content:
                facts = {"path": root / entry.path if entry.path else root}
                raise StoreException("A file changed while it was copied", facts, "Start again.")
            with told_if_closed("A file can't be put into the store", place):
                if not place.parent.exists():
                    make_folder(place.parent)
                os.rename(draft, place)


def _copied(root: Path, entry: Entry, draft: Path) -> str:
    """Copy a file to a new, write-protected one, and return the SHA-256 of what was written."""
    folder, name = (root, entry.path) if entry.path else (root.parent, root.name)
    with open_file(os.path.realpath(folder), name) as source, open(new_file(draft, os.O_RDWR), "w+b") as copy:
        if os.fstat(source.fileno()).st_size < UNREAD:
            data = source.read()
            copy.write(data)
            digest = bytes_digest(data)
        else:
            copy_stream(source, copy)
            copy.seek(0)
            digest = file_digest(copy)
        os.fchmod(copy.fileno(), 0o444)
    return digest
