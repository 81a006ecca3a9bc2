"""The remote store: a folder of a datastore through which trees reach machines that share no disk, by digest."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell.blocks.remote.archives import TOP, pack, pack_tree, unpack
from stepwell.blocks.system.files import protect, remove
from stepwell.errors import DatastoreException
from stepwell.model.digests import file_digest
from stepwell.model.nofollow import open_file
from stepwell.model.tree import Tree, scan
from stepwell.model.trees.entries import Entry

_APART = ".apart"
_LARGE = 1 << 20
"""Bytes from which a file of a tree stands by itself, in `blobs/`: other trees have it, too."""

_DIGEST = re.compile("[0-9a-f]{64}")


class _Damaged(DatastoreException):
    """What is on a datastore are not the bytes that its name tells."""

    def __init__(self, remote_store: RemoteStore, name: str) -> None:
        facts = {"datastore": remote_store.url, "tree": name}
        super().__init__("Data was damaged on its way through a datastore", facts, "Run again.")


@dataclass(frozen=True)
class RemoteStore:
    """A folder that an fsspec URL names; `options` open it and are secret.

    <tree>.tar          a tree, or a record, whole
    <tree>.apart.tar    a tree without the bytes of its large files
    blobs/<sha256>      these, each once
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def has(self, digest: str) -> bool:
        """Return whether the tree is there, whole."""
        filesystem, root = self._opened()
        with _errors(self, digest):
            return any(filesystem.exists(place) for place in (_tar(root, digest), _tar(root, digest, _APART)))

    def put(self, path: Path, name: str) -> None:
        """Upload the file or folder at `path` under `name`; it appears all at once."""
        filesystem, root = self._opened()
        with (
            _errors(self, name),
            _written(filesystem, _tar(root, name)) as stream,
            tarfile.open(fileobj=stream, mode="w|") as tar,
        ):
            pack(tar, path)

    def put_tree(self, tree: Tree, place: Callable[[Entry], Path]) -> None:
        """Upload a tree, each file's bytes read from its `place`; large ones go by their content, once for all trees."""
        filesystem, root = self._opened()
        large = {entry.digest: entry for entry in tree.entries if entry.kind == "file" and entry.size >= _LARGE}
        with _errors(self, tree.digest):
            for content, entry in large.items():
                if not filesystem.exists(_blob(root, content)):
                    at = place(entry)
                    with open_file(at.parent, at.name) as source, _written(filesystem, _blob(root, content)) as stream:
                        shutil.copyfileobj(source, stream, 1 << 20)
            name = _tar(root, tree.digest, _APART if large else "")
            with _written(filesystem, name) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
                pack_tree(tar, tree, place, large)

    def get(self, name: str, target: Path) -> Path:
        """Unpack the file or folder `name` in the folder `target`, which is made for it, and return its path."""
        filesystem, root = self._opened()
        target.mkdir(parents=True)

        def fetch(content: str, place: Path) -> None:
            if not _DIGEST.fullmatch(content):
                raise _Damaged(self, name)
            try:
                with filesystem.open(_blob(root, content), "rb") as source, open(place, "xb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except FileNotFoundError as error:
                raise _Damaged(self, name) from error
            with open(place, "rb") as copied:
                if file_digest(copied) == content:
                    return
            with suppress(Exception):  # so that whoever has the right bytes sends them
                filesystem.rm(_blob(root, content))
            raise _Damaged(self, name)

        with _errors(self, name):
            try:
                stream = filesystem.open(_tar(root, name), "rb")
            except FileNotFoundError:
                stream = filesystem.open(_tar(root, name, _APART), "rb")
            with stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                unpack(tar, target, fetch)
        return target / TOP

    def get_tree(self, digest: str, target: Path) -> Path:
        """Download a tree into the folder `target`, check its bytes, and return its path.

        One that is there already is taken as it is. A damaged one is discarded and raises DatastoreException.
        """
        if os.path.lexists(target / TOP):
            return target / TOP
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
        try:
            found = self.get(digest, draft)
            _check(self, digest, found)
            protect(found)
            with suppress(OSError):  # another thread was first
                os.rename(draft, target)
        except _Damaged:
            self.discard(digest)
            raise
        finally:
            remove(draft)
        return target / TOP

    def discard(self, name: str) -> None:
        """Remove the tree, if it can be removed."""
        for apart in ("", _APART):
            with suppress(Exception):  # what can't be removed is in nobody's way
                filesystem, root = self._opened()
                filesystem.rm(_tar(root, name, apart))

    def _opened(self) -> tuple[Any, str]:
        import fsspec

        with _errors(self, ""):
            filesystem, root = fsspec.core.url_to_fs(self.url, **self.options)
        return filesystem, str(root)


def _check(remote_store: RemoteStore, digest: str, found: Path) -> None:
    if scan(found).digest != digest:
        raise _Damaged(remote_store, digest)


def _tar(root: str, name: str, apart: str = "") -> str:
    return posixpath.join(root, f"{name}{apart}.tar")


def _blob(root: str, content: str) -> str:
    return posixpath.join(root, "blobs", content)


@contextmanager
def _written(filesystem: Any, place: str) -> Iterator[Any]:
    """Provide a stream to a file that appears all at once, when the block has ended."""
    draft = f"{place}.{uuid.uuid4().hex[:12]}"
    filesystem.makedirs(posixpath.dirname(place), exist_ok=True)
    try:
        with filesystem.open(draft, "wb") as stream:
            yield stream
        filesystem.mv(draft, place)
    except BaseException:
        with suppress(Exception):
            filesystem.rm(draft)
        raise


@contextmanager
def _errors(remote_store: RemoteStore, name: str) -> Iterator[None]:
    """Raise failures of a file system as DatastoreException."""
    try:
        yield
    except DatastoreException:
        raise
    except Exception as error:
        facts = {"datastore": remote_store.url, "tree": name, "reason": f"{type(error).__name__}: {error}"}
        raise DatastoreException(
            "Data can't be passed through a datastore",
            {name: text for name, text in facts.items() if text},
            "Check that this machine reaches it, and has the fsspec driver that its URL needs.",
        ) from error
