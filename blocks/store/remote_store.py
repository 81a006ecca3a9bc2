"""The remote store: a folder of a datastore through which trees reach machines that share no disk, by digest."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from stepwell.blocks.system.files import copy_file, protect, remove
from stepwell.errors import DatastoreException
from stepwell.model.nofollow import open_file, open_folder
from stepwell.model.tree import scan

_TOP = "data"


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
                    _pack(tar, path)
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
            _unpack(tar, target)
        return target / _TOP

    def get_tree(self, digest: str, target: Path) -> Path:
        """Download a tree into the folder `target`, check its bytes, and return its path.

        One that is there already is taken as it is. A damaged one is discarded and raises DatastoreException.
        """
        if os.path.lexists(target / _TOP):
            return target / _TOP
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
        return target / _TOP

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


def _pack(tar: tarfile.TarFile, path: Path) -> None:
    """Add the file or folder that `path` is or leads to; no link in it is followed, and special files stay out."""
    real = os.path.realpath(path)
    if os.path.isfile(real):
        with open_file(os.path.dirname(real), os.path.basename(real)) as stream:
            _pack_file(tar, stream, _TOP)
        return
    folder = open_folder(real)
    try:
        _pack_folder(tar, folder, _TOP)
    finally:
        os.close(folder)


def _pack_folder(tar: tarfile.TarFile, folder: int, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        inner = f"{name}/{child.name}"
        if child.is_symlink():
            info = tarfile.TarInfo(inner)
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(child.name, dir_fd=folder)
            tar.addfile(info)
        elif child.is_dir(follow_symlinks=False):
            descriptor = open_folder(folder, child.name)
            try:
                _pack_folder(tar, descriptor, inner)
            finally:
                os.close(descriptor)
        elif child.is_file(follow_symlinks=False):
            with open_file(folder, child.name) as stream:
                _pack_file(tar, stream, inner)


def _pack_file(tar: tarfile.TarFile, stream: BinaryIO, name: str) -> None:
    status, info = os.fstat(stream.fileno()), tarfile.TarInfo(name)
    info.size, info.mode = status.st_size, stat.S_IMODE(status.st_mode)
    tar.addfile(info, stream)


def _unpack(tar: tarfile.TarFile, target: Path) -> None:
    """Unpack files, folders and links in the empty folder; links come last, so that nothing is written through one."""
    links = []
    for member in tar:
        place = target / _inside(member.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            place.mkdir(exist_ok=True)
        elif member.isreg():
            with open(place, "xb") as stream, cast("IO[bytes]", tar.extractfile(member)) as packed:
                shutil.copyfileobj(packed, stream, 1 << 20)
            place.chmod(0o755 if member.mode & 0o100 else 0o644)
        elif member.islnk():
            copy_file(target / _inside(member.linkname), place)
        elif member.issym() and place != target / _TOP:
            links.append((place, member.linkname))
    for place, leads_to in links:
        os.symlink(leads_to, place)


def _inside(name: str) -> str:
    top, *inner = name.split("/")
    if top != _TOP or ".." in inner:
        raise ValueError(f"the archive holds a file outside of its folder: {name!r}")
    return name


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
