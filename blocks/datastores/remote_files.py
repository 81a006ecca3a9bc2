"""The files of a datastore that stands elsewhere: as they are now, whatever fsspec remembers of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem, sync

from stepwell.blocks.remote.silences import Silence
from stepwell.blocks.remote.storage_drivers.transient import PAUSES, is_transient, patiently, was_awaited
from stepwell.errors import DatastoreException

Facts = dict[str, Any]
"""What fsspec tells of a file: its name, type and size, and more that differs from store to store."""

SECONDS = 30.0
"""How long an answer is waited for."""

_SLOWEST = 20_000
"""The bytes a second below which a line counts as broken."""

_T = TypeVar("_T")


class RemoteFiles:
    """An fsspec file system, opened once for each thread, whose cache of listings is never believed.

    Places are paths of the file system. What fails raises DatastoreException, after a second try with a new connection:
    servers end those that were idle for long. What may pass by itself is tried again after a while, but not what was waited for in vain.
    """

    def __init__(self, name: str, url: str, opened: Callable[..., Any], silence: Silence | None = None) -> None:
        self._name = name
        self._url = url
        self._opened = opened
        self._silence = silence or Silence()
        self._filesystems: dict[int, Any] = {}

    @property
    def filesystem(self) -> Any:
        """The fsspec file system of this thread: a connection of FTP is good for one."""
        if threading.get_ident() not in self._filesystems:
            self._filesystems[threading.get_ident()] = self._opened()
        return self._filesystems[threading.get_ident()]

    def facts(self, place: str) -> Facts | None:
        """Return what stands at a place, None if nothing does."""

        def look(filesystem: Any) -> Facts | None:
            try:
                facts: Facts = filesystem.info(place)
            except FileNotFoundError:
                return None
            return facts

        return self._seen(look)

    def below(self, place: str) -> dict[str, Facts]:
        """Return the file at a place, or all that are below it, by place; none of them if nothing is there."""

        def find(filesystem: Any) -> dict[str, Facts]:
            more: dict[str, Any] = {}
            try:
                if type(filesystem).find is fsspec.AbstractFileSystem.find:  # it passes by what it can't list
                    facts = filesystem.info(place)
                    if facts["type"] == "file":  # whose listing is a strange one by FTP
                        return {place: facts}
                    more["on_error"] = "raise"
                found: dict[str, Facts] = filesystem.find(place, detail=True, **more)
            except FileNotFoundError:
                return {}
            return {str(name): facts for name, facts in found.items() if not str(name).endswith("/")}

        return self._seen(find)

    def children(self, place: str) -> list[Facts]:
        """Return what stands directly in the folder at a place."""

        def children(filesystem: Any) -> list[Facts]:
            try:
                return list(filesystem.ls(place, detail=True))
            except FileNotFoundError:
                return []

        return self._seen(children)

    def open(self, place: str) -> BinaryIO:
        """Open the file at a place to be read."""
        stream: BinaryIO = self._now(lambda filesystem: filesystem.open(place, "rb"))
        return stream

    def put(self, source: str, place: str) -> None:
        """Copy the local file `source` to a place, whose folder is made."""

        def put(filesystem: Any) -> None:
            with _asked_once(filesystem):
                filesystem.makedirs(os.path.dirname(place), exist_ok=True)
            if isinstance(filesystem, AsyncFileSystem):  # some wait without end for a server's leave to send
                patience = 2 * SECONDS + os.path.getsize(source) / _SLOWEST
                sync(filesystem.loop, filesystem._put_file, source, place, timeout=patience)  # noqa: SLF001
            else:
                filesystem.put_file(source, place)

        self._done(put)

    def get(self, place: str, target: str) -> None:
        """Copy the file at a place to the local file `target`."""
        self._now(lambda filesystem: filesystem.get_file(place, target))

    def remove(self, place: str) -> None:
        """Remove the file at a place."""
        self._done(lambda filesystem: filesystem.rm_file(place))

    def remove_folder(self, place: str) -> None:
        """Remove the empty folder at a place."""
        self._done(lambda filesystem: filesystem.rmdir(place))

    def _seen(self, look: Callable[[Any], _T]) -> _T:
        """Return what a look tells that is there now."""

        def once(filesystem: Any) -> _T:
            with _asked_once(filesystem):
                return look(filesystem)

        return self._now(once)

    def _now(self, action: Callable[[Any], _T]) -> _T:
        """Return what an action returns that sees what is there now."""

        def fresh(filesystem: Any) -> _T:
            filesystem.invalidate_cache()
            return action(filesystem)

        return self._done(fresh)

    def _done(self, action: Callable[[Any], _T]) -> _T:
        try:
            done = self._tried(action)
        except DatastoreException:
            raise
        except Exception as error:  # each driver has errors of its own
            if was_awaited(error):
                self._silence.begin(SECONDS, f"{type(error).__name__}: {error}")
            raise self._failed(error) from error
        self._silence.end()
        return done

    def _tried(self, action: Callable[[Any], _T]) -> _T:
        """Return what the action returns, with a new connection if the first fails, and later again if it may pass."""
        try:
            return action(self.filesystem)
        except (FileNotFoundError, DatastoreException):
            raise
        except Exception as error:  # each driver has errors of its own
            if was_awaited(error):
                raise
            self._connect_anew()
        return patiently(lambda: action(self.filesystem), self._connect_anew, _may_pass, pauses=PAUSES[1:])

    def _connect_anew(self) -> None:
        self._filesystems[threading.get_ident()] = self._opened(skip_instance_cache=True)

    def _failed(self, error: Exception) -> DatastoreException:
        return DatastoreException(
            "A datastore can't be read or written",
            {"datastore": self._name, "url": self._url, "reason": f"{type(error).__name__}: {error}"},
            "Check that this machine reaches it, that the file is there, and your rights.",
        )


def _may_pass(error: Exception) -> bool:
    return is_transient(error) and not was_awaited(error)


@contextmanager
def _asked_once(filesystem: Any) -> Iterator[None]:
    """Keep a file system of S3 from asking again by itself, which multiplies the wait for a server that does not answer."""
    if not hasattr(type(filesystem), "retries"):
        yield
        return
    filesystem.retries = 1
    try:
        yield
    finally:  # that of the class counts again, whichever of several threads is the last here
        vars(filesystem).pop("retries", None)
