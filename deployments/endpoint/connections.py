"""Connections of the endpoint: how long a client may keep one waiting, and how many there are, of one address and in all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import h11
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from stepwell.deployments.access.addresses import Network, is_within, network_of
from stepwell.deployments.access.http_errors import HttpError

_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n%s"
)
_REFUSED = b'{"error":{"code":"TooManyConnections","message":"Too many calls are open","hint":"Call again later."}}'


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be, and how many seconds a client has for each thing that it has to do.

    `header_seconds` are for all headers of a call, from the connection or the response before on; `body_seconds` for all
    of the body; `take_seconds` for every part of a response. Trusted `proxies` may have as many as there are.
    """

    most: int = 500
    most_per_address: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    take_seconds: float = 30.0
    proxies: tuple[Network, ...] = ()


class Connection(Protocol):
    """What `Connections` has to know of one."""

    waits_since: float | None
    """When it began to wait for its client; None while the client waits for us."""

    def cut(self) -> None:
        """End it at once."""


class Connections:
    """All open connections of a server. Not for several threads."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._by_address: dict[str, set[Connection]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_address.values()))

    def admit(self, connection: Connection, address: str) -> bool:
        """Return whether there is room for one more; who kept us waiting longest is cut if that makes room.

        So connections that say nothing are in nobody's way, however many there are.
        """
        trusted = is_within(address, self.limits.proxies)
        key = address if trusted else network_of(address)
        mine = self._by_address.get(key, set())
        if not trusted and len(mine) >= self.limits.most_per_address and not self._cut_one({key: mine}):
            return False
        if len(self) >= self.limits.most and not self._cut_one(self._by_address):
            return False
        self._by_address.setdefault(key, set()).add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count the connection no longer, if it was admitted."""
        for key, those in list(self._by_address.items()):
            those.discard(connection)
            if not those:
                del self._by_address[key]

    def _cut_one(self, among: dict[str, set[Connection]]) -> bool:
        """Cut the connection that waits for its client longest, of the address that has most of them."""
        for those in sorted(among.values(), key=len, reverse=True):
            waiting = [one for one in those if one.waits_since is not None]
            if waiting:
                one = min(waiting, key=lambda one: one.waits_since or 0.0)
                self.forget(one)
                one.cut()
                return True
        return False


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, which has no deadlines of its own but for a connection that idles after a response."""

    def __init__(self, connections: Connections, **more: Any) -> None:
        super().__init__(**more)
        self._all = connections
        self._waits_for = ""
        self._timer: asyncio.TimerHandle | None = None
        self.waits_since: float | None = None

    def cut(self) -> None:
        """End it at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse the connection if there is no room for it."""
        super().connection_made(transport)
        if not self._all.admit(self, self.client[0] if self.client else ""):
            transport.write(_REFUSAL % (len(_REFUSED), _REFUSED))
            transport.close()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free its place."""
        self._all.forget(self)
        self._set_timer(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See whether the client has done what it had to."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next call."""
        super().on_response_complete()
        self._waits_for = ""
        self._look()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """Go on, since the client took it."""
        super().resume_writing()
        self._look()

    def _look(self) -> None:
        """Set the deadline for what the client has to do now, unless it's what it had to do before."""
        limits, wanted, seconds = self._all.limits, "", 0.0
        if self.transport.is_closing() or self.flow.write_paused:
            wanted, seconds = "take", limits.take_seconds
        elif self.conn.their_state is h11.IDLE:
            wanted, seconds = "headers", limits.header_seconds
        elif self.conn.their_state is h11.SEND_BODY:
            wanted, seconds = "body", limits.body_seconds
        if wanted != self._waits_for or not wanted:
            self._waits_for = wanted
            self._set_timer(seconds if wanted else None)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.cut) if seconds is not None else None
        self.waits_since = self.loop.time() if seconds is not None else None


def check_framing(request: Request) -> None:
    """Raise HttpError if a proxy and we could disagree on where the body ends: there a second call could be hidden."""
    lengths, codings = (request.headers.getlist(name) for name in ("content-length", "transfer-encoding"))
    if codings and (lengths or request.scope.get("http_version") == "1.0"):
        raise HttpError(
            400,
            "BadRequest",
            "The length of the body is told in two ways",
            "Send either Content-Length, or Transfer-Encoding in HTTP/1.1.",
        )
