"""An endpoint that listens, in a thread of this process, and what speaks to it byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from waiting import PATIENCE

from stepwell.deployments.endpoint.app import EndpointOptions, create_app
from stepwell.deployments.endpoint.connections import Connections
from stepwell.deployments.endpoint.process import server_settings

HANGS = PATIENCE


class Listening:
    """The endpoint: its port, its connections, and clients that end with it."""

    def __init__(self, port: int, connections: Connections, clients: ExitStack) -> None:
        self.port, self.connections, self._clients = port, connections, clients

    def connect(self, sent: bytes = b"", *, receive_buffer: int = 0) -> socket.socket:
        client = self._clients.enter_context(socket.socket())
        client.settimeout(HANGS)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.port))
        client.sendall(sent)
        return client

    def said(self, sent: bytes) -> bytes:
        """Return all that comes back until the endpoint closes."""
        return everything(self.connect(sent))


def everything(client: socket.socket) -> bytes:
    found = b""
    try:
        while data := client.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def listening(proxies: tuple[str, ...] = (), with_token: bool = True, **limits: Any) -> Iterator[Listening]:
    app = create_app(EndpointOptions(with_token=with_token, rate=1e6))
    settings = server_settings(proxies, **limits)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    with ExitStack() as clients:
        yield Listening(server.servers[0].sockets[0].getsockname()[1], settings["http"].args[0], clients)
    server.should_exit = True
    thread.join(HANGS)
