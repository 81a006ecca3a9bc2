"""The socket over which one step asks the host of its run: each connection brings one request, served in a thread.

A step that never asks costs a thread that sleeps. Part of the worker bundle: it stands on the standard library alone.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepwell.script.channel import LONGEST_ADDRESS

Serve = Callable[[socket.socket, bool], None]
"""Answers the one request that comes over a connection; whether its step sees this machine's files under their names here."""

_MOST_AT_ONCE = 32
_BACKLOG = 128
_OWN = 0o600


@contextmanager
def listening(serve: Serve | None, place: Path, *, same_files: bool) -> Iterator[None]:
    """Listen at `place` for what a script asks, while the block runs; afterwards nobody is answered. None: don't."""
    if serve is None:
        yield
        return
    listener = _Listener(place, serve, same_files)
    try:
        yield
    finally:
        listener.close()


class _Listener:
    """A socket that accepts connections until it is closed."""

    def __init__(self, place: Path, serve: Serve, same_files: bool) -> None:
        self._serve, self._same_files = serve, same_files
        self._places = threading.Semaphore(_MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._socket = _bound(place)
        self._thread = threading.Thread(target=self._accept, name="stepwell-step-channel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more, and hang up on those who are being served."""
        with self._lock:
            self._closed = True
            connections = list(self._open)
        for connection in (self._socket, *connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._places.release()  # it may wait for one
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            self._places.acquire()
            if self._closed:
                return
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closed:
                    return
                self._places.release()
                self._pause()  # no descriptor is free, perhaps
                continue
            threading.Thread(target=self._answer, args=(connection,), name="stepwell-request", daemon=True).start()

    def _pause(self) -> None:
        threading.Event().wait(0.05)

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                with self._lock:
                    if self._closed:
                        return
                    self._open.add(connection)
                try:
                    self._serve(connection, self._same_files)
                finally:
                    with self._lock:
                        self._open.discard(connection)
        except OSError:  # it hung up
            pass
        finally:
            self._places.release()


def _bound(place: Path) -> socket.socket:
    """Return a listening socket at a path, also at one that is too long for an address; it is its user's alone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        long = len(os.fsencode(place)) >= LONGEST_ADDRESS
        address = f"/proc/self/fd/{folder}/{place.name}" if long else str(place)
        with suppress(FileNotFoundError):
            os.unlink(place)
        listener.bind(address)
        os.chmod(place.name, _OWN, dir_fd=folder)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener
