"""What Prefect's app answers to reads of block documents, and which flow has a name, remembered until any of them is written.

All who reach the app of this home's server come through here, and nobody else writes to its database: a read between two
writes has one answer. Commands read the same few documents again and again, and each read takes the app 10 ms and more.
"""

from __future__ import annotations

import base64
import hmac
from collections import OrderedDict
from typing import Any

from stepwell.blocks.server.guard.sign_in import Receive, Scope, Send

App = Any
_PLACES = ("/api/block_documents", "/api/block_types", "/api/block_schemas", "/api/block_capabilities")
_ALSO_WRITTEN = ("/api/flows", "/api/admin")
"""Below them, what changes or deletes flows, and what empties the database."""

_FLOW = ("POST", "/api/flows/")
"""What is asked before a run is created: which flow has a name. It is made if there is none, and then the answer is another."""

_READS = ("/filter", "/count", "/paginate")
"""How the paths of reads end that are sent with POST."""

_DECIDING = (b"accept", b"accept-encoding", b"x-prefect-api-version", b"origin")
"""The headers on which an answer depends."""

_LARGEST, _MOST_BYTES = 1 << 20, 16 << 20
_GOOD = 200


class RememberedAnswers:
    """An ASGI app that answers what `app` has answered before, to those who send the auth string, unless it may differ now."""

    def __init__(self, app: App, auth_string: str) -> None:
        self._app = app
        self._authorization = b"Basic " + base64.b64encode(auth_string.encode())
        self._answers: OrderedDict[tuple[Any, ...], tuple[dict[str, Any], bytes]] = OrderedDict()
        self._bytes = 0
        self._writes, self._writing = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do so."""
        if scope["type"] != "http" or not scope["path"].startswith((*_PLACES, *_ALSO_WRITTEN)):
            await self._app(scope, receive, send)
        elif not self._is_read(scope):
            await self._write(scope, receive, send)
        elif not (scope["path"].startswith(_PLACES) or self._asks_for_flow(scope)) or not self._may_read(scope):
            await self._app(scope, receive, send)
        else:
            await self._read(scope, receive, send)

    def _is_read(self, scope: Scope) -> bool:
        method, path = scope["method"], scope["path"]
        reads = method == "POST" and path.rstrip("/").endswith(_READS)
        return method in ("GET", "HEAD", "OPTIONS") or reads or self._asks_for_flow(scope)

    def _asks_for_flow(self, scope: Scope) -> bool:
        return (scope["method"], scope["path"]) == _FLOW

    def _may_read(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        return len(sent) == 1 and hmac.compare_digest(sent[0], self._authorization)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app write, and forget everything before and after: what is read meanwhile may be either."""
        self._writing += 1
        self._forget()
        try:
            await self._app(scope, receive, send)
        finally:
            self._writing -= 1
            self._forget()

    def _forget(self) -> None:
        self._writes += 1
        self._answers.clear()
        self._bytes = 0

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if body is None:
            return  # nobody is there any more
        deciding = sorted((name, value) for name, value in scope["headers"] if name.lower() in _DECIDING)
        key = (scope["method"], scope["path"], scope.get("query_string", b""), body, tuple(deciding))
        if key in self._answers:
            self._answers.move_to_end(key)
            start, content = self._answers[key]
            await send({**start, "headers": [*start["headers"]]})
            await send({"type": "http.response.body", "body": content})
            return
        before = self._writes
        heard = Heard(send)
        await self._app(scope, again(body, receive), heard)
        if heard.start is None or heard.start["status"] != _GOOD or not heard.whole:
            return
        if (self._writes, self._writing) == (before, 0):
            self._remember(key, heard.start, bytes(heard.content))

    def _remember(self, key: tuple[Any, ...], start: dict[str, Any], content: bytes) -> None:
        if key in self._answers:
            return
        self._answers[key] = start, content
        self._bytes += len(content)
        while self._bytes > _MOST_BYTES:
            _, (_, oldest) = self._answers.popitem(last=False)
            self._bytes -= len(oldest)


class Heard:
    """Passes on an answer, and keeps its beginning and, unless it is large, all of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.start: dict[str, Any] | None = None
        self.content = bytearray()
        self.whole = False
        self._too_large = False

    async def __call__(self, message: dict[str, Any]) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self.start = {**message, "headers": [*message.get("headers", ())]}
        elif message["type"] == "http.response.body" and not self._too_large:
            self.content += message.get("body", b"")
            self._too_large = len(self.content) > _LARGEST
            self.whole = not self._too_large and not message.get("more_body", False)
        await self._send(message)


async def whole_body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if its sender has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that hands over the body, and then what comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Any:
        return waiting.pop() if waiting else await receive()

    return receive_again
