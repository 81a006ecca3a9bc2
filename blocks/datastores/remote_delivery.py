"""Delivery to a datastore that stands elsewhere: bytes are compared by what the store vouches for, else by reading them."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any

from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.blocks.datastores.remote_files import Facts
from stepwell.blocks.store.store import Store
from stepwell.errors import DatastoreException
from stepwell.model.digests import file_digest, md5_digest
from stepwell.model.nofollow import open_file
from stepwell.model.tree import Entry, Tree

TAGGED = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"}
"""Stores that give a file another tag whenever it is written. Times, all that others tell, may stay the same."""

_TAGS = ("ETag", "etag", "generation", "md5Hash", "VersionId")
_WITH_FOLDERS = {"ftp", "sftp", "ssh", "smb", "memory"}
_MOST_LINKS = 40


class RemotePlace:
    """A place on a datastore that stands elsewhere. Links and empty folders can't be there."""

    def __init__(self, store: Store, datastore: DatastoreFiles, path: str) -> None:
        self._store, self._datastore, self._path = store, datastore, datastore.inside(path)
        protocol = datastore.filesystem.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)
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
        if not self._protocols & _WITH_FOLDERS:
            return
        with suppress(DatastoreException):
            while name and inner != self._path:
                name, inner = posixpath.dirname(name), posixpath.dirname(inner)
                if inner:
                    self._datastore.remote.remove_folder(self._datastore.locate(inner))

    def put(self, tree: Tree, *, fresh: bool, overwrite: bool) -> None:
        """Write what is not there already."""
        for entry in tree.entries:
            inner = self._inside(entry.path)
            if not self._stands(inner, entry, fresh=fresh):
                path, source = self._kept[entry.path], self._store.bring(self._tree)
                self._datastore.put_file(source / path if path else source, inner)

    def _inside(self, name: str) -> str:
        return self._datastore.inside("/".join(filter(None, (self._path, name))))

    def _stands(self, inner: str, entry: Entry, *, fresh: bool) -> bool:
        """Return whether the entry's bytes are known to stand there; without `fresh` they are read to know."""
        facts = self._present.get(inner)
        if facts is None or facts.get("size") != entry.size:
            return False
        tag = self._tag(facts)
        if tag and (self._known(inner, tag) == entry.digest or self._is_named(facts, entry)):
            return True
        return not fresh and self.digest(inner, facts) == entry.digest

    def digest(self, inner: str, facts: Facts) -> str:
        """Return the SHA-256 of the file at a path of the datastore, read if its tag is not known."""
        tag = self._tag(facts)
        known = self._known(inner, tag)
        if known:
            return known
        place = self._datastore.locate(inner)
        with self._datastore.remote.open(place) as stream:
            digest = file_digest(stream)
        if tag and self._tag(self._datastore.remote.facts(place) or {}) == tag:  # nobody wrote there meanwhile
            self._store.digests.remember(self._name(inner), tag, digest)
        return digest

    def _is_named(self, facts: Facts, entry: Entry) -> bool:
        """Return whether the store tells the MD5 of the entry's bytes."""
        told = {str(facts.get(name, "")).strip('"') for name in _TAGS}
        if not any(len(text) in (24, 32) for text in told):
            return False
        path, source = self._kept[entry.path], self._store.tree_path(self._tree)
        if not source.exists():  # others have it
            return False
        with open_file(source if path else source.parent, path or source.name) as stream:
            md5 = md5_digest(stream)
        return bool(told & {md5.hex(), base64.b64encode(md5).decode()})

    def _known(self, inner: str, tag: str) -> str | None:
        return self._store.digests.recall(self._name(inner), tag) if tag else None

    def _name(self, inner: str) -> str:
        return f"{self._datastore.name}|{self._datastore.url}|{inner}"

    def _tag(self, facts: dict[str, Any]) -> str:
        """Return what tells the file from any other that will stand there; '' if nothing does for sure."""
        told = [f"{name}={facts[name]}" for name in _TAGS if facts.get(name)]
        return f"{' '.join(told)} {facts.get('size')}" if told and self._protocols & TAGGED else ""


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
