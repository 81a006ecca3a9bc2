"""Delivery of a tree, or of people's files, to a place on a datastore: what is there already is not written, what else stands there stays."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.blocks.datastores.remote_data import TAGS
from stepwell.blocks.datastores.remote_delivery import RemotePlace
from stepwell.blocks.store.deliveries import Delivered, Deliveries
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import copy_file, remove
from stepwell.blocks.system.home import make_folder
from stepwell.errors import DatastoreException
from stepwell.model.digests import md5_digest
from stepwell.model.nofollow import leads_out, open_folder
from stepwell.model.regular_files import regular_only
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry


@dataclass(frozen=True)
class Delivery:
    """What a delivery did away with, and what it left though an earlier one put it there: changed, or not to be removed."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


Overwrite = bool | Literal["changed"]
"""Whether files that exist already are replaced; `changed`: those whose bytes differ."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Uploaded:
    """What became of files that were to be uploaded, by their paths on the datastore: of each that stayed whether it `differs`.

    None of those where only reading it there would tell.
    """

    done: tuple[str, ...]
    stayed: Mapping[str, bool | None]

    def told(self, path: str) -> str:
        """Return what to tell of a file that stayed."""
        differs = self.stayed[path]
        if differs:
            return f"Skipped {path}: it exists already and overwrite is False; it differs, and overwrite='changed' replaces what does"
        same = "; it is the same" if differs is False else ""
        return f"Skipped {path}: it exists already and overwrite is False{same}"


def upload(
    datastore: DatastoreFiles, files: Mapping[str, Path], overwrite: Overwrite, *, only_look: bool = False
) -> Uploaded:
    """Put local files at paths of a datastore; `only_look`: tell what would become of them."""
    folder = posixpath.commonpath(files) if files else ""
    present = {} if overwrite is True or datastore.local_root else datastore.listed(folder)
    done, stayed = [], dict[str, bool | None]()
    for path, source in sorted(files.items()):
        there = overwrite is not True and (datastore.exists(path) if datastore.local_root else path in present)
        if there:
            reads = overwrite == "changed"
            differs = differs_from(datastore, path, source, present.get(path, {}), reads=reads and not only_look)
            if not reads or differs is False:
                stayed[path] = differs
                continue
        if not only_look:
            datastore.put_file(source, path)
        done.append(path)
    return Uploaded(tuple(done), stayed)


def differs_from(
    datastore: DatastoreFiles, path: str, source: Path, facts: Mapping[str, Any], *, reads: bool
) -> bool | None:
    """Return whether a local file has other bytes than the file on a datastore; None if only reading that would tell.

    `facts` are what a listing tells of it. `reads`: it is read if need be; on this machine it always is.
    """
    size = datastore.size(path) if datastore.local_root else facts.get("size")
    if size != source.stat().st_size:
        return True
    with open(source, "rb", opener=regular_only) as mine:
        if not datastore.local_root:
            if {str(facts.get(name, "")).strip('"') for name in TAGS} & {md5_digest(mine).hex()}:
                return False
            if not reads:
                return None
            mine.seek(0)
        with datastore.filesystem.open(datastore.locate(path), "rb") as theirs:
            while block := mine.read(_CHUNK):
                if theirs.read(len(block)) != block:
                    return True
    return False


def deliver(
    store: Store,
    datastore: DatastoreFiles,
    path: str,
    tree: Tree,
    *,
    who: str = "",
    fresh: bool,
    overwrite: bool = False,
) -> Delivery:
    """Put a tree that the store keeps at a path on a datastore, and return what became of earlier deliveries there.

    `who` delivers: what the last delivery by the same put there and this one lacks goes; of '' nothing is noted.
    `fresh`: what stands there is likely to differ, so that elsewhere it is written over rather than read to be compared.
    `overwrite`: what somebody else changed there since, or put in the way, goes as well.
    """
    place = (LocalPlace if datastore.local_root else RemotePlace)(store, datastore, path)
    tree = place.storable(tree)
    if not who:
        place.put(tree, fresh=fresh, overwrite=overwrite)
        return Delivery()
    deliveries = Deliveries(store, datastore.url, datastore.inside(path))
    with deliveries.locked():
        known = deliveries.by(who)
        lacking = set(known) - {entry.path for entry in tree.entries if entry.kind != "folder"}
        stale = {name: known[name] for name in lacking - deliveries.by_others(who)}
        deliveries.begin(who, tree)
        done = _clear(stale, place.is_as_delivered, place.remove, overwrite=overwrite)
        place.put(tree, fresh=fresh, overwrite=overwrite)
        deliveries.end(who, tree)
    return done


def _clear(
    stale: Delivered,
    is_as_delivered: Callable[[str, list[str]], bool | None],
    remove_file: Callable[[str], None],
    *,
    overwrite: bool,
) -> Delivery:
    removed: list[str] = []
    left: list[str] = []
    for name, digests in sorted(stale.items()):
        untouched = is_as_delivered(name, digests)
        if untouched is None:
            continue
        gone = untouched or overwrite
        try:
            if gone:
                remove_file(name)
        except DatastoreException:
            gone = False
        (removed if gone else left).append(name)
    return Delivery(tuple(removed), tuple(left))


class LocalPlace:
    """A place in a folder of this machine."""

    def __init__(self, store: Store, datastore: DatastoreFiles, path: str) -> None:
        assert datastore.local_root
        self._root = datastore.local_root
        self._store, self._datastore, self._path = store, datastore, datastore.inside(path)

    def storable(self, tree: Tree) -> Tree:
        """Return the tree as it will stand there."""
        return tree

    def is_as_delivered(self, name: str, digests: list[str]) -> bool | None:
        """Return whether what stands there has one of the digests; None if no file or link does."""
        found = self._standing(self._inside(name), name)
        return None if found is None or found.kind == "folder" else found.digest in digests

    def remove(self, name: str) -> None:
        """Remove the file or link, and the folders that are empty without it."""
        inner = self._inside(name)
        self._unlink(inner, os.unlink)
        with suppress(DatastoreException):
            while name and inner != self._path:
                name, inner = posixpath.dirname(name), posixpath.dirname(inner)
                if inner:
                    self._unlink(inner, os.rmdir)

    def put(self, tree: Tree, *, fresh: bool, overwrite: bool) -> None:
        """Write what is not there already."""
        for entry in tree.entries:
            inner = self._inside(entry.path)
            if self._standing(inner, entry.path) == entry:
                continue
            source = self._store.bring(tree.digest)
            if overwrite:
                self._make_way(inner)
            _write_entry(
                source if entry.path else source.parent,
                source / entry.path if entry.path else source,
                self._root / inner,
                entry,
            )

    def _inside(self, name: str) -> str:
        return self._datastore.inside("/".join(filter(None, (self._path, name))))

    def _standing(self, inner: str, name: str) -> Entry | None:
        """Return what stands at a path on the datastore as the entry `name`; None if nothing, or nothing to be read."""
        place = self._root / inner
        with suppress(OSError):
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                return Entry(name, "link", os.readlink(place), 0, False)
            if stat.S_ISDIR(status.st_mode):
                return Entry(name, "folder", "", 0, False)
            if stat.S_ISREG(status.st_mode):
                digest = self._store.digests.digest_file(os.path.realpath(place), status)
                return Entry(name, "file", digest, status.st_size, bool(status.st_mode & 0o100))
        return None

    def _make_way(self, inner: str) -> None:
        """Remove a file where a folder of the way to a path has to be."""
        parts = inner.split("/")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            if above != self._path and self._path.startswith(f"{above}/"):
                continue
            if os.path.lexists(self._root / above) and not (self._root / above).is_dir():
                self._unlink(above, os.unlink)
                return

    def _unlink(self, inner: str, unlink: Callable[..., None]) -> None:
        try:
            folder = open_folder(self._root, posixpath.dirname(inner))
            try:
                unlink(posixpath.basename(inner), dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _not_delivered(self._root / inner, error) from error


def _write_entry(root: Path, source: Path, place: Path, entry: Entry) -> None:
    try:
        if entry.kind == "folder":
            make_folder(place)
            return
        make_folder(place.parent)
        scratch = Path(tempfile.mkdtemp(prefix=".materialize-", dir=place.parent))
        try:
            if entry.kind == "link":
                if leads_out(entry.path, entry.digest):
                    raise OSError(errno.ELOOP, "A link that leads out of its output", entry.digest)
                os.symlink(entry.digest, scratch / "x")
            else:
                copy_file(source, scratch / "x", below=root)
            with suppress(OSError):  # an empty folder is in nobody's way
                os.rmdir(place)
            os.replace(scratch / "x", place)
        finally:
            remove(scratch)
    except OSError as error:
        raise _not_delivered(place, error) from error


def _not_delivered(place: Path, error: OSError) -> DatastoreException:
    return DatastoreException(
        "An output can't be copied to its destination",
        {"place": place, "reason": error.strerror or error},
        "Remove what stands there, or choose another destination.",
    )
