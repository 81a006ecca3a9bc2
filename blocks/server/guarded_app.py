"""Prefect's server behind a guard, as this home starts it: `python -m stepwell.blocks.server.guarded_app PORT`.

Prefect itself asks for the auth string. The guard lets nothing reach it that a page of another site sent, or that was
sent to another name for this machine, which is how pages get around the browser's rules.
"""

from __future__ import annotations

import sys
from typing import Any

from stepwell.blocks.server.sign_in import PATH, Receive, Scope, Send, SignIn, answer

HOST = "127.0.0.1"
_UNFRAMED = ((b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'"))


def origins(port: int) -> tuple[str, ...]:
    """Return where the pages of a server on that port may come from."""
    return tuple(f"http://{host}:{port}" for host in (HOST, "localhost"))


class Guard:
    """An ASGI app that hands on to `app` what programs and the pages of `app` itself ask, and nothing else."""

    def __init__(self, app: Any, port: int, auth_string: str) -> None:
        self._app = app
        self._origins = {origin.encode() for origin in origins(port)}
        self._hosts = {origin.partition(b"//")[2] for origin in self._origins}
        self._sign_in = SignIn(auth_string)
        self._address = origins(port)[0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let `app` answer it."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})  # which is a 403
        elif refusal is not None:
            await answer(send, *refusal)
        elif scope["type"] == "http" and scope["path"].startswith(PATH):
            await self._sign_in(scope, receive, send)
        else:
            await self._app(scope, receive, _unframed(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason if the request names another machine, or comes from a page of another site."""
        hosts, senders = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, f"The Host header names another machine. Call {self._address}.\n"
        if len(senders) > 1 or not self._origins.issuperset(senders):
            return 403, "Pages of other sites may not call this. Call it from a program.\n"
        return None


def _values(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name.lower() == wanted]


def _unframed(send: Send) -> Send:
    """Return a `send` whose answers no page of another site can show as a part of its own."""

    async def send_more(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_UNFRAMED]}
        await send(message)

    return send_more


def main() -> None:
    """Serve Prefect's app, with its services, until a signal comes."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    port = int(sys.argv[1])
    auth_string = get_current_settings().server.api.auth_string
    if auth_string is None:
        sys.exit("Prefect's server would let in everybody: PREFECT_SERVER_API_AUTH_STRING is not set")
    app = Guard(create_app(final=True), port, auth_string.get_secret_value())
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    main()
