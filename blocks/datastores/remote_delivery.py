"""Delivery to a datastore that stands elsewhere: bytes are compared by what the store vouches for, else by reading them."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.blocks.datastores.remote_data import TAGS, RemoteData
from stepwell.blocks.datastores.remote_files import Facts
from stepwell.blocks.store.store import Store
from stepwell.errors import DatastoreException
from stepwell.model.digests import md5_digest
from stepwell.model.nofollow import open_file
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry

_WITH_FOLDERS = {"ftp", "sftp", "ssh", "smb", "memory"}
_MOST_LINKS = 40


class RemotePlace:
    """A place on a datastore that stands elsewhere. Links and empty folders can't be there."""

    def __init__(self, store: Store, datastore: DatastoreFiles, path: str) -> None:
        self._store, self._datastore, self._path = store, datastore, datastore.inside(path)
        self._data = RemoteData(store, datastore)
        self._tree = ""
        self._kept: dict[str, str] = {}

    @cached_property
    def _present(self) -> dict[str, Facts]:
        return self._datastore.listed(self._path)

    def storable(self, tree: Tree) -> Tree:
        """Return the tree with each link replaced by what it leads to inside the tree, and without empty folders."""
        self._tree = tree.digest
        found = list(_files(tree))
        self._kept = {entry.path: path for entry, path in found}
        return Tree(tuple(sorted(entry for entry, _ in found)))

    def is_as_delivered(self, name: str, digests: list[str]) -> bool | None:
        """Return whether the file that stands there has one of the digests; None if there is none."""
        inner = self._inside(name)
        facts = self._present.get(inner)
        return None if facts is None else self.digest(inner, facts) in digests

    def remove(self, name: str) -> None:
        """Remove the file, and the folders that are empty without it, where there are folders."""
        inner = self._inside(name)
        self._datastore.remote.remove(self._datastore.locate(inner))
        self._present.pop(inner, None)
        if not self._data.protocols & _WITH_FOLDERS:
            return
        with suppress(DatastoreException):
            while name and inner != self._path:
                name, inner = posixpath.dirname(name), posixpath.dirname(inner)
                if inner:
                    self._datastore.remote.remove_folder(self._datastore.locate(inner))

    def put(self, tree: Tree, *, fresh: bool, overwrite: bool) -> None:
        """Write what is not there already."""
        written: dict[str, Entry] = {}
        for entry in tree.entries:
            inner = self._inside(entry.path)
            if not self._stands(inner, entry, fresh=fresh):
                path, source = self._kept[entry.path], self._store.bring(self._tree)
                self._datastore.put_file(source / path if path else source, inner)
                written[inner] = entry
        self._note(written)

    def _note(self, written: dict[str, Entry]) -> None:
        """Remember the versions under which the bytes that were just written stand there, where no version comes twice."""
        if not (written and self._data.gives_no_tag_twice):
            return
        with suppress(DatastoreException):
            listed = self._datastore.listed(self._path)
            self._data.remember(
                {
                    path: (self._data.version(listed[path]), entry.digest)
                    for path, entry in written.items()
                    if path in listed and listed[path].get("size") == entry.size
                }
            )

    def _inside(self, name: str) -> str:
        return self._datastore.inside("/".join(filter(None, (self._path, name))))

    def _stands(self, inner: str, entry: Entry, *, fresh: bool) -> bool:
        """Return whether the entry's bytes are known to stand there; without `fresh` they are read to know."""
        facts = self._present.get(inner)
        if facts is None or facts.get("size") != entry.size:
            return False
        if self._data.known(inner, facts) == entry.digest or (
            self._data.is_object_store and self._is_named(facts, entry)
        ):
            return True
        return not fresh and self.digest(inner, facts) == entry.digest

    def digest(self, inner: str, facts: Facts) -> str:
        """Return the SHA-256 of the file at a path of the datastore, read if its version is not known."""
        return self._data.digests({inner: facts}, lambda: self._datastore.listed(inner), keep=False)[inner]

    def _is_named(self, facts: Facts, entry: Entry) -> bool:
        """Return whether the store tells the MD5 of the entry's bytes."""
        told = {str(facts.get(name, "")).strip('"') for name in TAGS}
        told.add(bytes((facts.get("content_settings") or {}).get("content_md5") or b"").hex())  # of Azure
        if not any(len(text) in (24, 32) for text in told):
            return False
        path, source = self._kept[entry.path], self._store.tree_path(self._tree)
        if not source.exists():  # others have it
            return False
        with open_file(source if path else source.parent, path or source.name) as stream:
            md5 = md5_digest(stream)
        return bool(told & {md5.hex(), base64.b64encode(md5).decode()})


def _files(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """Yield the files of the tree, and those that its links lead to, each with the path where its bytes are."""
    entries = {entry.path: entry for entry in tree.entries}
    for entry in tree.entries:
        if entry.kind == "file":
            yield entry, entry.path
        elif entry.kind == "link":
            yield from _led_to(entries, entry.path, entry.path, _MOST_LINKS)


def _led_to(entries: dict[str, Entry], path: str, place: str, left: int) -> Iterator[tuple[Entry, str]]:
    """Yield what the link, or the file or folder, at `place` is, for it to stand at `path`."""
    found = entries.get(place)
    if found is not None and found.kind == "file":
        yield found._replace(path=path), place
    elif found is not None and found.kind == "link":
        if left:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place), found.digest))
            yield from _led_to(entries, path, target, left - 1)
    else:
        start = "" if place == "." else f"{place}/"
        if path.startswith(start):  # a link to a folder that holds it has no end
            return
        for inner in [name for name in entries if name.startswith(start)]:
            yield from _led_to(entries, f"{path}/{inner[len(start) :]}", inner, left)
