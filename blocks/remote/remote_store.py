"""The remote store: a folder of a datastore through which trees reach machines that share no disk, by digest."""

from __future__ import annotations

import os
import posixpath
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell.blocks.remote.archives import TOP, pack, unpack
from stepwell.blocks.system.files import protect, remove
from stepwell.errors import DatastoreException
from stepwell.model.tree import scan


@dataclass(frozen=True)
class RemoteStore:
    """A folder that an fsspec URL names; `options` open it and are secret."""

    url: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def has(self, digest: str) -> bool:
        """Return whether the tree is there, whole."""
        filesystem, root = self._opened()
        with _errors(self, digest):
            return bool(filesystem.exists(_tar(root, digest)))

    def put(self, path: Path, name: str) -> None:
        """Upload the file or folder at `path` under `name`; it appears all at once."""
        filesystem, root = self._opened()
        draft = f"{_tar(root, name)}.{uuid.uuid4().hex[:12]}"
        with _errors(self, name):
            filesystem.makedirs(root, exist_ok=True)
            try:
                with filesystem.open(draft, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
                    pack(tar, path)
                filesystem.mv(draft, _tar(root, name))
            except BaseException:
                with suppress(Exception):
                    filesystem.rm(draft)
                raise

    def get(self, name: str, target: Path) -> Path:
        """Unpack the file or folder `name` in the folder `target`, which is made for it, and return its path."""
        filesystem, root = self._opened()
        target.mkdir(parents=True)
        with (
            _errors(self, name),
            filesystem.open(_tar(root, name), "rb") as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            unpack(tar, target)
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
            if scan(found).digest != digest:
                self.discard(digest)
                raise DatastoreException(
                    "Data was damaged on its way through a datastore",
                    {"datastore": self.url, "tree": digest},
                    "Run again.",
                )
            protect(found)
            with suppress(OSError):  # another thread was first
                os.rename(draft, target)
        finally:
            remove(draft)
        return target / TOP

    def discard(self, name: str) -> None:
        """Remove the tree, if it can be removed."""
        with suppress(Exception):  # what can't be removed is in nobody's way
            filesystem, root = self._opened()
            filesystem.rm(_tar(root, name))

    def _opened(self) -> tuple[Any, str]:
        import fsspec

        with _errors(self, ""):
            filesystem, root = fsspec.core.url_to_fs(self.url, **self.options)
        return filesystem, str(root)


def _tar(root: str, name: str) -> str:
    return posixpath.join(root, f"{name}.tar")


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
