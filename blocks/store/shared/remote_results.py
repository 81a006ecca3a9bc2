"""Results as objects of a datastore: written bytes first and record last, read record first and bytes when needed."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stepwell.blocks.remote.archives import TOP, pack_tree, unpack
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.shared.collection import condemned_since
from stepwell.blocks.store.shared.envelope import Keys, Refused, seal, unseal
from stepwell.blocks.store.shared.layout import (
    blob_name,
    found_by,
    is_packed,
    observed_folder,
    observed_name,
    observed_path,
    pack_name,
    record_name,
    tree_name,
)
from stepwell.blocks.store.shared.ledger import BELIEVED_SECONDS, Ledger
from stepwell.blocks.store.sharing import LostBytes
from stepwell.blocks.system.files import copy_file, remove
from stepwell.errors import DatastoreException
from stepwell.model.digests import encode, file_digest
from stepwell.model.records import StepRecord
from stepwell.model.regular_files import regular_only
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry

_FORMAT = 1
_AT_ONCE = 8
_INLINE = 200
"""Entries of trees up to which a record tells them itself, so that no further request is needed."""

_WORTH_A_LOOK = 64 << 10
"""Bytes from which it is asked whether a file is there before it is sent."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A result that others may use: its record, who made it in which run, and what its trees consist of, as far as it says."""

    record: StepRecord
    by: str
    key_id: str
    run: str
    trees: Mapping[str, Tree]


class RemoteResults:
    """The results below a place of a datastore; `ledger` is what this machine knows of them."""

    def __init__(self, objects: RemoteObjects, keys: Keys, ledger: Ledger) -> None:
        self.objects = objects
        self._keys = keys
        self._ledger = ledger
        self._about_to_go: tuple[Collection[str], float] = (), -BELIEVED_SECONDS - 1

    def distrust(self, key_id: str = "") -> str:
        """Return why what a key signs is not believed, that of this home if none is named; '' if it is."""
        return self._keys.distrust(key_id or self._keys.own().key_id)

    # Records ----------------------------------------------------------------------------------------------------------

    def read(self, key: str) -> Shared | Refused | None:
        """Return the result of a key, why what is there is not believed, or None if there is nothing: by one request."""
        data = self.objects.get(record_name(key))
        return None if data is None else self._opened(key, data)

    def write(self, record: StepRecord, run: str, trees: Mapping[str, tuple[Path, Tree]]) -> Shared | None:
        """Share a result: its bytes, what tells of its trees, then its record, unless there is one.

        Returned is the earlier result of the key, None if there was none to be believed.
        """
        for path, tree in trees.values():
            self.write_tree(tree, partial(_below, path))
        payload = self.payload(record, run, {digest: tree for digest, (_, tree) in trees.items()})
        sealed, name = seal(payload, self._keys.own()), record_name(record.key)
        if not self.objects.create(name, sealed):
            found = self.read(record.key)
            if isinstance(found, Shared) and not self._is_lost(found):
                return found
            if not (isinstance(found, Refused) and found.newer):
                self.objects.put(name, sealed)
        self._find_later(record)
        return None

    def payload(
        self, record: StepRecord, run: str, trees: Mapping[str, Tree | None], key_id: str | None = None
    ) -> dict[str, Any]:
        """Return what others are told of a result; `key_id`: among others, who had signed it, '' for this home."""
        known = {digest: tree for digest, tree in trees.items() if tree is not None}
        inline = {digest: tree.to_json() for digest, tree in known.items() if len(tree.entries) <= _INLINE}
        payload = {"record": record.to_json(), "run": run, "trees": inline}
        return payload if key_id is None else {**payload, "key_id": key_id or self._keys.own().key_id}

    def _find_later(self, record: StepRecord) -> None:
        for name in found_by(record):
            self.objects.put(name, b"")

    def _is_lost(self, found: Shared) -> bool:
        """Return whether bytes of the result are known to be lost; those of the one that takes its place are here."""
        digests = {artifact.digest for artifact in found.record.outputs.values()}
        return any(not self._is_told(digest) for digest in digests)

    def _is_told(self, tree: str) -> bool:
        return bool(self._ledger.there([tree_name(tree)])) or self.objects.stat(tree_name(tree)) is not None

    def _opened(self, key: str, data: bytes) -> Shared | Refused:
        opened = unseal(data, self._keys)
        if isinstance(opened, Refused):
            return opened
        return self.opened(key, *opened)

    def opened(self, key: str, payload: Mapping[str, Any], key_id: str) -> Shared | Refused:
        """Return what the payload of a record tells that the key has signed, unless it is of another record."""
        try:
            record = StepRecord.from_json(payload["record"])
            trees = {str(name): Tree.from_json(entries) for name, entries in payload["trees"].items()}
            if record.key != key or any(tree.digest != name for name, tree in trees.items()):
                return Refused("was damaged or forged")
            return Shared(record, self._keys.owner_of(key_id), key_id, str(payload["run"]), trees)
        except (ValueError, TypeError, KeyError, AttributeError):
            return Refused("was damaged")

    def known_keys(self) -> Iterator[str]:
        """Yield the keys that have a record."""
        for entry in self.objects.list("records/"):
            yield entry.name.rpartition("/")[2].removesuffix(".json")

    def observed(self, code: str) -> set[str]:
        """Return the names of reads by steps with this code."""
        return {entry.name for entry in self.objects.list(observed_folder(code))}

    def observe(self, code: str, paths: Iterable[str]) -> None:
        """Tell that a step with this code read these files."""
        for path in paths:
            name = observed_name(code, path)
            if not self._ledger.there([name]):
                self.objects.put(name, encode(path))
                self._ledger.note_there([name])

    def path_of(self, name: str) -> str:
        """Return the path that the name of a read stands for, '' if that can't be told."""
        path = observed_path(name)
        if path is None:
            with suppress(ValueError):
                return str(json.loads(self.objects.get(name) or b'""'))
        return path or ""

    # Trees ------------------------------------------------------------------------------------------------------------

    def write_tree(self, tree: Tree, place: Callable[[Entry], Path]) -> None:
        """Share the bytes of a tree, each file's read from its `place`, then what it consists of, unless they are there."""
        if self._ledger.there([tree_name(tree.digest)]):
            return
        files = [entry for entry in tree.entries if entry.kind == "file"]
        packed = is_packed([entry.size for entry in files])
        if packed:
            self._write_pack(tree, place)
        else:
            blobs = {blob_name(entry.digest): place(entry) for entry in files}
            sizes = {blob_name(entry.digest): entry.size for entry in files}
            missing = sorted(blobs.keys() - self._ledger.there(list(blobs)))
            _all(lambda name: self._write_blob(name, blobs[name], sizes[name]), missing)
        told = {"format": _FORMAT, "pack": packed, "entries": tree.to_json()}
        self.objects.put(tree_name(tree.digest), encode(told))
        self._ledger.note_there([tree_name(tree.digest)])

    def _write_blob(self, name: str, path: Path, size: int) -> None:
        if size < _WORTH_A_LOOK or not self._stands(name, size):
            self.objects.put(name, path)
        self._ledger.note_there([name])

    def _write_pack(self, tree: Tree, place: Callable[[Entry], Path]) -> None:
        if not self._stands(pack_name(tree.digest)):
            with tempfile.TemporaryDirectory(prefix="stepwell-") as folder:
                archive = Path(folder, "pack.tar")
                with tarfile.open(archive, "w") as tar:
                    pack_tree(tar, tree, place)
                self.objects.put(pack_name(tree.digest), archive)

    def _stands(self, name: str, size: int | None = None) -> bool:
        """Return whether the object is there, and stays; in this order, since a collection may come between."""
        if name in self._condemned():
            return False
        found = self.objects.stat(name)
        return found is not None and size in (None, found.size)

    def _condemned(self) -> Collection[str]:
        """Return what a collection of garbage is about to remove; it waits for longer than this is believed."""
        names, at = self._about_to_go
        if time.monotonic() - at > BELIEVED_SECONDS:
            names, at = self._about_to_go = condemned_since(self.objects).keys(), time.monotonic()
        return names

    def tree(self, tree: str) -> Tree | None:
        """Return what a tree consists of, None if nobody tells."""
        data = self.objects.get(tree_name(tree))
        try:
            told = json.loads(data or b"")
            found = Tree.from_json(told["entries"])
            return found if told["format"] == _FORMAT and found.digest == tree else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def fetch(self, tree: Tree, target: Path, *, check_only: bool = False) -> None:
        """Write the tree, its bytes checked, to `target`, where nothing stands; raise LostBytes if they are not there.

        `check_only`: no copy on this machine spares a file's way, and what is damaged stays.
        """
        sizes = [entry.size for entry in tree.entries if entry.kind == "file"]
        if is_packed(sizes):
            self._fetch_pack(tree, target)
        else:
            self._fetch_blobs(tree, target, check_only)

    def forget(self, tree: Tree) -> None:
        """Tell nobody any longer that the bytes of the tree are there, so that whoever has them sends them again."""
        names = [blob_name(entry.digest) for entry in tree.entries if entry.kind == "file"]
        self._ledger.forget_there([tree_name(tree.digest), *names])
        with suppress(DatastoreException):  # who may only read leaves it to others
            self.objects.delete([tree_name(tree.digest), pack_name(tree.digest)])

    def _fetch_pack(self, tree: Tree, target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="fetched-", dir=target.parent) as folder:
            archive, unpacked = Path(folder, "pack.tar"), Path(folder, "unpacked")
            if not self.objects.get_to(pack_name(tree.digest), archive):
                raise LostBytes(tree.digest, "their archive is gone from the shared store")
            try:
                unpacked.mkdir()
                with tarfile.open(archive) as tar:
                    unpack(tar, unpacked)
                os.rename(unpacked / TOP, target)
            except (tarfile.TarError, OSError, ValueError, EOFError) as error:
                raise LostBytes(tree.digest, f"their archive in the shared store is damaged: {error}") from error
            finally:
                remove(unpacked)

    def _fetch_blobs(self, tree: Tree, target: Path, check_only: bool) -> None:
        first: dict[str, Path] = {}
        copies: list[tuple[Path, Path]] = []
        executable: set[Path] = set()
        links: list[tuple[Path, str]] = []
        if not tree.is_file:
            target.mkdir()
        for entry in tree.entries:
            place = target / entry.path if entry.path else target
            if entry.path.startswith("/") or ".." in entry.path.split("/"):
                raise LostBytes(tree.digest, "what tells of them leads out of its folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.kind == "folder":
                place.mkdir(exist_ok=True)
            elif entry.kind == "link":
                links.append((place, entry.digest))
            elif entry.digest in first:
                copies.append((first[entry.digest], place))
            else:
                first[entry.digest] = place
            executable |= {place} if entry.executable else set()
        _all(lambda blob: self._fetch_blob(tree.digest, blob, first[blob], check_only), list(first))
        for source, place in copies:
            copy_file(source, place)
        for place in (*first.values(), *(copy for _, copy in copies)):
            place.chmod(0o755 if place in executable else 0o644)
        for place, leads_to in links:
            os.symlink(leads_to, place)

    def _fetch_blob(self, tree: str, blob: str, place: Path, check_only: bool) -> None:
        held = "" if check_only else self._ledger.held(blob)
        if held and _copied(held, place, blob):
            return
        if not self.objects.get_to(blob_name(blob), place):
            raise LostBytes(tree, "a file of them is gone from the shared store")
        with open(place, "rb", opener=regular_only) as stream:
            if file_digest(stream) == blob:
                return
        if not check_only:
            with suppress(DatastoreException):
                self.objects.delete([blob_name(blob)])  # so that whoever has the right bytes sends them
        raise LostBytes(tree, "a file of them was damaged in the shared store")


def _below(path: Path, entry: Entry) -> Path:
    return path / entry.path if entry.path else path


def _copied(source: str, place: Path, blob: str) -> bool:
    """Copy a file that is on this machine; return whether it still is what was wanted."""
    try:
        copy_file(source, place)
        with open(place, "rb", opener=regular_only) as stream:
            return file_digest(stream) == blob
    except OSError:
        return False


def _all(action: Callable[[Any], object], things: list[Any]) -> None:
    """Do it with each of the things, several at once."""
    if len(things) < 2:
        for thing in things:
            action(thing)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(things)), thread_name_prefix="stepwell-shared") as pool:
        for done in [pool.submit(action, thing) for thing in things]:
            done.result()
