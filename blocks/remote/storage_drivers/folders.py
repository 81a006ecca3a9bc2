"""Objects as files of a folder that several machines or users share."""

from __future__ import annotations

import os
import shutil
import stat as modes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, Versions
from stepwell.model.regular_files import regular_only

_DRAFT = ".draft-"


class Folder(Driver):
    """A folder of a file system. New files and folders have the group and the rights of the folder that they come into."""

    schemes: ClassVar[Mapping[str, Versions]] = {"file": "times", "local": "times"}
    most: ClassVar[Guarantee] = "create"
    for_all_threads: ClassVar[bool] = False

    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None:
        self.root = Path(opened()[1])
        self._traffic = traffic

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""
        self._traffic.count(1)
        try:
            with open(self._path(name), "rb", opener=regular_only) as stream:
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._traffic.count(received=len(data))
        return data

    def get_to(self, name: str, path: Path) -> bool:
        """Copy the object to a local file; return whether there is one."""
        self._traffic.count(1)
        try:
            with open(self._path(name), "rb", opener=regular_only) as stream, open(path, "wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
                self._traffic.count(received=target.tell())
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object; no part of it is ever seen."""
        self._traffic.count(1)
        draft = self._draft(self._path(name), data)
        try:
            os.replace(draft, self._path(name))
        except BaseException:
            os.unlink(draft)
            raise

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none; no part of it is ever seen where files can have two names."""
        self._traffic.count(1)
        path = self._path(name)
        draft = self._draft(path, data)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:
            return self._exclusively(path, data)
        finally:
            os.unlink(draft)
        return True

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Raise NotImplementedError: no file system compares and swaps."""
        raise NotImplementedError

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""
        self._traffic.count(1)
        try:
            status = os.stat(self._path(name), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _entry(name, status) if modes.S_ISREG(status.st_mode) else None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name."""
        yield from self._below(prefix.rpartition("/")[0], prefix)

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects."""
        for name in names:
            self._traffic.count(1)
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self._path(name))

    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Remove drafts of files and of folders that writers left since before that time, and return how many there were."""
        count = 0
        for folder, folders, files in os.walk(self.root):
            self._traffic.count(1)
            for name, remove in (*((one, os.unlink) for one in files), *((one, os.rmdir) for one in folders)):
                place = f"{folder}/{name}"
                with suppress(OSError):
                    if name.startswith(_DRAFT) and os.lstat(place).st_mtime < before:
                        if not dry_run:
                            remove(place)
                        count += 1
        return count

    def now(self) -> float:
        """Return the time that the file system gives a new file: that of its server, where it has one."""
        self._traffic.count(1)
        draft = self._draft(self.root / "clock", b"")
        try:
            return os.stat(draft).st_mtime
        finally:
            os.unlink(draft)

    def reconnect(self) -> None:
        """Do nothing."""

    # ----------------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self.root / name

    def _below(self, folder: str, prefix: str) -> Iterator[Entry]:
        self._traffic.count(1)
        try:
            with os.scandir(self.root / folder) as found:
                children = [
                    (child.name + ("/" if child.is_dir(follow_symlinks=False) else ""), child) for child in found
                ]
        except (FileNotFoundError, NotADirectoryError):
            return
        for shown, child in sorted(children, key=lambda known: known[0]):
            name = f"{folder}/{shown}" if folder else shown
            if shown.startswith(_DRAFT):
                continue
            if shown.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._below(name[:-1], prefix)
            elif name.startswith(prefix):
                with suppress(FileNotFoundError):
                    status = child.stat(follow_symlinks=False)
                    if modes.S_ISREG(status.st_mode):
                        yield _entry(name, status)

    def _draft(self, path: Path, data: bytes | Path) -> str:
        _make_folder(path.parent)
        draft = f"{path.parent}/{_DRAFT}{os.urandom(8).hex()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                if isinstance(data, bytes):
                    stream.write(data)
                else:
                    with open(data, "rb", opener=regular_only) as source:
                        shutil.copyfileobj(source, stream, 1 << 20)
                self._traffic.count(sent=stream.tell())
                _like(os.stat(path.parent), stream.fileno(), 0o666)
        except BaseException:
            os.unlink(draft)
            raise
        return draft

    @staticmethod
    def _exclusively(path: Path, data: bytes) -> bool:
        """Create the file where no file can have a second name: a reader may find a part of it."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            _like(os.stat(path.parent), stream.fileno(), 0o666)
        return True


def _entry(name: str, status: os.stat_result) -> Entry:
    return Entry(name, status.st_size, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}", status.st_mtime)


def _make_folder(folder: Path) -> None:
    """Make the folder if there is none. Nobody sees it before it has its rights, which what is made in it takes over."""
    if folder.is_dir():
        return
    draft = f"{folder.parent}/{_DRAFT}{os.urandom(8).hex()}"
    try:
        os.mkdir(draft)
    except FileNotFoundError:
        _make_folder(folder.parent)
        _make_folder(folder)
        return
    try:
        descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _like(os.stat(folder.parent), descriptor, 0o7777)
        finally:
            os.close(descriptor)
        os.rename(draft, folder)  # in place of an empty one, if somebody else was faster
    except OSError:
        os.rmdir(draft)
        if not folder.is_dir():
            raise


def _like(parent: os.stat_result, descriptor: int, mask: int) -> None:
    """Give what is open the group of the folder that it stands in, and its rights as far as `mask` goes."""
    with suppress(OSError):  # who isn't in the group leaves what the system gave
        if os.fstat(descriptor).st_gid != parent.st_gid:
            os.fchown(descriptor, -1, parent.st_gid)
    with suppress(OSError):
        os.fchmod(descriptor, modes.S_IMODE(parent.st_mode) & mask)
