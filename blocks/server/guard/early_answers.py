"""Answers at once to who tells Prefect's app what nobody has to wait for: many events, many lines of logs.

The app takes most of a second for the thousand events of a run, and keeps them in this process's memory then. So whoever asks
for it is answered as soon as they are in that memory; the app gets them right after, one request after the other, all
before it ends. The first request of each kind is answered by the app itself, as are those that follow a refusal: what it does
not take, its sender is told.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from stepwell.blocks.server.guard.remembered_answers import App, Heard, again, whole_body
from stepwell.blocks.server.guard.sign_in import Receive, Scope, Send

AT_ONCE = {"x-stepwell-answer": "at-once"}
"""The header of a request whose sender waits for nothing but its arrival."""

_HEADER = next((name.encode(), value.encode()) for name, value in AT_ONCE.items())
_PLACES = ("/api/events", "/api/logs/")
_MOST_BYTES = 64 << 20
_FAULT, _REFUSAL = 500, 300
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 60.0
_SECONDS_AT_END = 8.0
_SECONDS_FOR_MORE, _MOST_SECONDS_FOR_MORE = 0.1, 1.0
"""How long the app is spared for what may come next: it answers nobody while it works through a thousand events."""


class EarlyAnswers:
    """An ASGI app that answers for `app` who sends the auth string and asks to be answered at once."""

    def __init__(self, app: App, auth_string: str) -> None:
        self._app = app
        self._authorization = b"Basic " + base64.b64encode(auth_string.encode())
        self._answers: dict[tuple[Any, ...], tuple[dict[str, Any], bytes]] = {}
        self._waiting: deque[tuple[Scope, bytes]] = deque()
        self._bytes = 0
        self._taken = 0.0
        self._worker: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do so."""
        if scope["type"] == "lifespan":
            await self._app(scope, self._until_all_is_told(receive), send)
        elif scope["type"] == "http" and scope["path"] in _PLACES and self._may_be_early(scope):
            await self._take(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _may_be_early(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        known = len(sent) == 1 and hmac.compare_digest(sent[0], self._authorization)
        return known and scope["method"] == "POST" and _HEADER in scope["headers"]

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if body is None:
            return  # nobody is there any more
        version = sorted(value for name, value in scope["headers"] if name.lower() == b"x-prefect-api-version")
        kind = (scope["path"], scope.get("query_string", b""), *version)
        if kind in self._answers and self._bytes + len(body) <= _MOST_BYTES:
            self._waiting.append((scope, body))
            self._bytes += len(body)
            self._taken = time.monotonic()
            if self._worker is None:  # before the answer, which may find nobody
                self._worker = asyncio.create_task(self._hand_on())
            start, content = self._answers[kind]
            await send({**start, "headers": [*start["headers"]]})
            await send({"type": "http.response.body", "body": content})
            return
        await self._all_told()
        heard = Heard(send)
        await self._app(scope, again(body, receive), heard)
        if heard.whole and heard.start is not None and heard.start["status"] < _REFUSAL:
            self._answers[kind] = heard.start, bytes(heard.content)

    async def _hand_on(self) -> None:
        """Let the app have what waits, in the order in which it came."""
        try:
            while self._waiting:
                await self._more_has_come()
                scope, body = self._waiting.popleft()
                try:
                    await self._tell(scope, body)
                finally:
                    self._bytes -= len(body)
        finally:
            self._worker = None

    async def _more_has_come(self) -> None:
        """Wait a moment for what else is to be taken, unless somebody waits."""
        deadline = time.monotonic() + _MOST_SECONDS_FOR_MORE
        while (left := min(deadline, self._taken + _SECONDS_FOR_MORE) - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), left)
                return

    async def _tell(self, scope: Scope, body: bytes) -> None:
        """Let the app have a request, again for as long as it may be at fault in passing; after one in vain, none is answered early."""
        pause = _SHORTEST_PAUSE
        while (status := await self._status_of(scope, body)) >= _FAULT and pause <= _LONGEST_PAUSE:
            await asyncio.sleep(pause)
            pause *= 2
        if status >= _REFUSAL:
            self._answers.clear()
            print(f"Prefect answered {status} to {len(body)} bytes for {scope['path']}", file=sys.stderr, flush=True)

    async def _status_of(self, scope: Scope, body: bytes) -> int:
        heard = Heard(_nobody)
        try:
            await self._app({**scope, "state": dict(scope.get("state") or {})}, again(body, _for_ever), heard)
        except Exception as error:  # noqa: BLE001  (whatever it is, the next request is another one)
            print(f"Prefect failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return _FAULT if heard.start is None else int(heard.start["status"])

    async def _all_told(self, seconds: float | None = None) -> None:
        """Wait until the app has all that was taken, for so many seconds at most."""
        if self._worker is not None:
            self._hurry.set()
            await asyncio.wait({self._worker}, timeout=seconds)
            self._hurry.clear()

    def _until_all_is_told(self, receive: Receive) -> Receive:
        """Return a `receive` that lets the app end once it has all that was taken for it."""

        async def receive_later() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._all_told(_SECONDS_AT_END)
            return message

        return receive_later


async def _nobody(_: dict[str, Any]) -> None:
    """Let an answer go."""


async def _for_ever() -> Any:
    await asyncio.Event().wait()
