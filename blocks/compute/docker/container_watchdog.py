"""The watchdog of containers: a process that sleeps until its host is gone, then removes what the host can't any more.

It is run as a program, by its path and apart from all installed packages, so that it starts soon; that is why it stands
on the standard library and speaks to the engine by itself.

Its argument is the host's process id. On its standard input come lines of an engine's address and a container's name:
the first time before the container is made, the second time when it is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time

_CHUNK = 64 * 1024
_PAUSE_SECONDS = 0.1
_ROUNDS = 300
_LATE_SECONDS = 5.0
_DONE, _GONE = range(200, 300), 404

Container = tuple[str, str]
"""An engine's address, and a name there."""


class _Containers:
    """The containers that there may be, by what the host reported."""

    def __init__(self) -> None:
        self.known: set[Container] = set()
        self._rest = b""

    def listen(self) -> bool:
        """Read what the host reported, and return whether more may come."""
        data = os.read(0, _CHUNK)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            address, _, name = os.fsdecode(line).rpartition(" ")
            self.known ^= {(address, name)}
        return bool(data)


def watch(host: int) -> None:
    """Wait until the host is gone, then remove all its containers."""
    containers = _Containers()
    os.set_blocking(0, False)
    with contextlib.suppress(OSError):
        _sleep(host, containers)
    with contextlib.suppress(OSError):
        while containers.listen():
            pass
    late = time.monotonic() + _LATE_SECONDS  # an engine may still be at a request of the host's
    for _ in range(_ROUNDS):
        containers.known = {one for one in containers.known if not _remove(*one, final=time.monotonic() > late)}
        if not containers.known:
            break
        time.sleep(_PAUSE_SECONDS)


def _sleep(host: int, containers: _Containers) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(os.pidfd_open(host), select.POLLIN)
    while os.getppid() == host:
        if 0 in dict(poll.poll()) and not containers.listen():
            poll.unregister(0)


def _remove(address: str, name: str, *, final: bool) -> bool:
    """Remove the container and return whether it is gone. `final`: one that isn't there won't come any more."""
    try:
        status = remove(address, name)
    except (OSError, ValueError, IndexError):
        return final
    return status in _DONE or (status == _GONE and final)


def remove(address: str, name: str) -> int:
    """Remove a container, running or not, and return the HTTP status of the engine's response."""
    with _connect(address) as connection:
        request = f"DELETE /containers/{name}?force=1&v=1 HTTP/1.0\r\nHost: docker\r\n\r\n"
        connection.sendall(request.encode())
        return int(connection.makefile("rb").readline().split()[1])


def _connect(address: str) -> socket.socket:
    scheme, _, location = address.partition("://")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(location)
        return connection
    machine, _, port = location.rpartition(":")
    return socket.create_connection((machine.strip("[]"), int(port)), timeout=30)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
