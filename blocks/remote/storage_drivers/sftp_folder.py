"""Objects as files of a folder that SFTP reaches, by the connections that fsspec opens."""

from __future__ import annotations

import os
import posixpath
import stat as modes
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from stepwell.blocks.remote.storage_drivers.connections import Connections
from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, Versions

_DRAFT = ".draft-"
_PART = 1 << 20

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _connected(
    operation: Callable[Concatenate[SftpFolder, _P], _T],
) -> Callable[Concatenate[SftpFolder, _P], _T]:
    """Let an operation have a connection of its own, the same for all that it asks."""

    @wraps(operation)
    def call(self: SftpFolder, /, *arguments: _P.args, **more: _P.kwargs) -> _T:
        with self._connections.lent() as filesystem:
            filesystem.ftp.get_channel().settimeout(self._timeout)
            self._lent.ftp = filesystem.ftp
            return operation(self, *arguments, **more)

    return call


class SftpFolder(Driver):
    """A folder behind SFTP. A connection takes one operation at a time."""

    schemes: ClassVar[Mapping[str, Versions]] = {"sftp": "times", "ssh": "times"}
    most: ClassVar[Guarantee] = "create"
    for_all_threads: ClassVar[bool] = False

    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None:
        self._connections = Connections(opened.server, lambda: opened()[0], _is_active, _close)
        self._traffic = traffic
        self._timeout = timeout
        self._lent = threading.local()
        with self._connections.lent() as filesystem:
            self._root = str(filesystem._strip_protocol(opened.url)).rstrip("/")  # noqa: SLF001  (as fsspec's own functions do)

    @staticmethod
    def options(options: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Return the options of the file system, with bounded waiting unless they bound it."""
        return {"timeout": min(timeout, 5), "banner_timeout": timeout, "auth_timeout": timeout, **options}

    @_connected
    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""
        try:
            with self._ask().open(self._path(name), "rb") as stream:
                stream.prefetch()
                data: bytes = stream.read()
        except FileNotFoundError:
            return None
        self._traffic.count(received=len(data))
        return data

    @_connected
    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""
        try:
            self._ask().get(self._path(name), str(path))
        except FileNotFoundError:
            return False
        self._traffic.count(received=path.stat().st_size)
        return True

    @_connected
    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object; no part of it is ever seen."""
        path = self._path(name)
        draft = f"{posixpath.dirname(path)}/{_DRAFT}{os.urandom(8).hex()}"
        self._fill(self._open(draft, "wb"), data)
        try:
            self._rename(draft, path)
        except BaseException:
            with suppress(Exception):
                self._ask().remove(draft)
            raise

    @_connected
    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none; a reader may find a part of it, since servers differ in what a rename does."""
        path = self._path(name)
        try:
            stream = self._open(path, "wx")
        except OSError:  # SFTP has no word for what is there already
            if self._status(path) is None:
                raise
            return False
        try:
            self._fill(stream, data)
        except BaseException:
            with suppress(Exception):
                self._ask().remove(path)
            raise
        return True

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Raise NotImplementedError: SFTP compares and swaps nothing."""
        raise NotImplementedError

    @_connected
    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""
        status = self._status(self._path(name))
        return _entry(name, status) if status and modes.S_ISREG(status.st_mode) else None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name."""
        yield from self._below(prefix.rpartition("/")[0], prefix)

    @_connected
    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects."""
        for name in names:
            with suppress(FileNotFoundError):
                self._ask().remove(self._path(name))

    @_connected
    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Remove drafts of files and of folders that writers left since before that time, and return how many there were."""
        return self._remove_drafts(self._root, before, dry_run)

    def _remove_drafts(self, folder: str, before: float, dry_run: bool) -> int:
        count = 0
        try:
            found = self._ask().listdir_attr(folder)
        except FileNotFoundError:
            return 0
        for status in found:
            place, is_folder = f"{folder}/{status.filename}", modes.S_ISDIR(status.st_mode)
            if not status.filename.startswith(_DRAFT):
                count += self._remove_drafts(place, before, dry_run) if is_folder else 0
            elif status.st_mtime < before:
                with suppress(OSError):
                    if not dry_run:
                        (self._ask().rmdir if is_folder else self._ask().remove)(place)
                    count += 1
        return count

    @_connected
    def now(self) -> float:
        """Return the time that the server gives a new file."""
        draft = f"{self._root}/{_DRAFT}{os.urandom(8).hex()}"
        self._fill(self._open(draft, "wb"), b"")
        status = self._ask().stat(draft)
        self._ask().remove(draft)
        return float(status.st_mtime)

    def reconnect(self) -> None:
        """Open new connections for what comes next."""
        self._connections.close_kept()

    # ----------------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _ask(self) -> Any:
        self._traffic.count(1)
        return self._lent.ftp

    def _status(self, path: str) -> Any:
        try:
            return self._ask().stat(path)
        except FileNotFoundError:
            return None

    def _rename(self, draft: str, path: str) -> None:
        try:
            self._ask().posix_rename(draft, path)
        except OSError:  # a server without OpenSSH's extension
            with suppress(FileNotFoundError):
                self._ask().remove(path)
            self._ask().rename(draft, path)

    def _open(self, path: str, mode: str) -> Any:
        try:
            return self._ask().open(path, mode)
        except FileNotFoundError:
            self._make_folder(posixpath.dirname(path))
            return self._ask().open(path, mode)

    def _fill(self, stream: Any, data: bytes | Path) -> None:
        with stream:
            stream.set_pipelined(True)
            if isinstance(data, bytes):
                stream.write(data)
                self._traffic.count(sent=len(data))
                return
            with open(data, "rb") as source:
                while part := source.read(_PART):
                    stream.write(part)
                    self._traffic.count(sent=len(part))

    def _make_folder(self, folder: str) -> None:
        """Make the folder if there is none. Nobody sees it before it has its rights, which what is made in it takes over."""
        if self._status(folder) is not None:
            return
        above = posixpath.dirname(folder)
        draft = f"{above}/{_DRAFT}{os.urandom(8).hex()}"
        try:
            self._ask().mkdir(draft)
        except FileNotFoundError:
            self._make_folder(above)
            self._make_folder(folder)
            return
        parent = self._ask().stat(above)
        with suppress(OSError):
            self._ask().chmod(draft, modes.S_IMODE(parent.st_mode))
        try:
            self._ask().rename(draft, folder)
        except OSError:  # somebody else was faster
            self._ask().rmdir(draft)
            if self._status(folder) is None:
                raise

    @_connected
    def _listed(self, folder: str) -> Sequence[Any]:
        with suppress(FileNotFoundError):
            found: Sequence[Any] = self._ask().listdir_attr(self._path(folder).rstrip("/"))
            return found
        return ()

    def _below(self, folder: str, prefix: str) -> Iterator[Entry]:
        found = self._listed(folder)
        children = [(status.filename + ("/" if modes.S_ISDIR(status.st_mode) else ""), status) for status in found]
        for shown, status in sorted(children, key=lambda known: known[0]):
            name = f"{folder}/{shown}" if folder else shown
            if shown.startswith(_DRAFT):
                continue
            if shown.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._below(name[:-1], prefix)
            elif name.startswith(prefix) and modes.S_ISREG(status.st_mode):
                yield _entry(name, status)


def _entry(name: str, status: Any) -> Entry:
    return Entry(name, status.st_size, f"{status.st_mtime:x}-{status.st_size:x}", float(status.st_mtime))


def _is_active(filesystem: Any) -> bool:
    transport = filesystem.client.get_transport()
    return transport is not None and transport.is_active()


def _close(filesystem: Any) -> None:
    with suppress(Exception):
        filesystem.client.close()
