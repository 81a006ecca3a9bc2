"""What a script on a Dask worker asks the host of its run, relayed over Dask's own connections, as bytes.

The worker keeps a script's connection and tells the sender of its job; the sender takes the bytes from there, and puts
its own there, by `bootstrap.take` and `bootstrap.put`, as often as it needs. Part of the worker bundle.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Call = Callable[..., Any]
"""Calls a function of `bootstrap` by its name on the worker, with the connection's name, and returns what it returns."""

_CHUNK = 1 << 20


class WorkerSide:
    """The connections that scripts of one job have on this worker, each until the sender has answered."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._over = threading.Event()

    def serve(self, connection: socket.socket, _: bool) -> None:
        """Let the sender of the job answer the request on a connection."""
        connections = vars(sys.modules["_stepwell_bundle"]).setdefault("connections", {})
        name, done = os.urandom(16).hex(), threading.Event()
        connection.setblocking(False)
        connections[name] = (connection, done)
        try:
            self._tell(name)
            while not (done.wait(1.0) or self._over.is_set()):
                pass
        finally:
            del connections[name]

    def close(self) -> None:
        """Let go of the connections that nobody answers any more."""
        self._over.set()


def answer(call: Call, serve: Callable[[socket.socket, bool], None], *, same_files: bool) -> None:
    """Bring the bytes of a worker's connection to `serve`, and back, in the sender's process."""
    ours, theirs = socket.socketpair()

    def serve_it() -> None:
        with theirs, suppress(OSError):
            serve(theirs, same_files)

    server = threading.Thread(target=serve_it, name="stepwell-request", daemon=True)
    with ours:
        server.start()
        with suppress(Exception):  # the worker is gone, or the script
            with suppress(OSError):  # it was answered before it had said all
                while data := call("take", _CHUNK):
                    ours.sendall(data)
                ours.shutdown(socket.SHUT_WR)
            while data := ours.recv(_CHUNK):
                call("put", data)
            call("put", b"")
    server.join()
