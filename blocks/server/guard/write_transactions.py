"""Requests whose transaction reads and then writes, given SQLite's write lock before they read.

Prefect begins such a transaction without the lock. If another one has written by the time that it wants to write, which is so
for as long as the server records steps, SQLite refuses at once ("database is locked"), all was done in vain, and the client is
told to ask again later. With the lock from the beginning it waits for some milliseconds.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from stepwell.blocks.server.guard.remembered_answers import App
from stepwell.blocks.server.guard.sign_in import Receive, Scope, Send

_REQUESTS = (("POST", "/api/flow_runs/"),)
"""Those that create a run. Each transaction here is the only one of its request: a second one would wait for the first."""

_begins_with_lock: ContextVar[bool] = ContextVar("begins_with_lock", default=False)


class WriteTransactions:
    """An ASGI app that hands all on to `app`."""

    def __init__(self, app: App, engine: Any = Engine) -> None:
        self._app = app
        event.listen(engine, "before_cursor_execute", _begin, retval=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, with the lock if it is one of those that want it."""
        marked = _begins_with_lock.set(scope["type"] == "http" and (scope["method"], scope["path"]) in _REQUESTS)
        try:
            await self._app(scope, receive, send)
        finally:
            _begins_with_lock.reset(marked)


def _begin(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    return "BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" and _begins_with_lock.get() else statement, parameters
