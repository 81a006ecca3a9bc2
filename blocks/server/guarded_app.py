"""Prefect's server behind a guard, as this home starts it: `python -m stepwell.blocks.server.guarded_app PORT [LOCK]`.

Prefect itself asks for the auth string. The guard lets nothing reach it that a page of another site sent, or that was
sent to another name for this machine, which is how pages get around the browser's rules. It also says whose server this
is, and ends it for who can't see its process:

GET  /stepwell/server/NONCE   a digest of the nonce that only a server with this auth string can make
POST /stepwell/server/stop    with the auth string

LOCK is a descriptor that was inherited: its lock tells that the server lives, in whatever container it does.
"""

from __future__ import annotations

import base64
import faulthandler
import gc
import hmac
import importlib.util
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from stepwell.blocks.server.guard.early_answers import EarlyAnswers
from stepwell.blocks.server.guard.remembered_answers import RememberedAnswers
from stepwell.blocks.server.guard.reports import Reports
from stepwell.blocks.server.guard.sign_in import PATH, Receive, Scope, Send, SignIn, answer
from stepwell.blocks.server.start import block_types, database, new_tables
from stepwell.errors import ServerException

HOST = "127.0.0.1"
_SERVER_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    # In batches of one, Prefect's default, recording a task run costs four times as much.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    # By default after 15 s: calls that wait for a worker would each be written again, in the way of new ones.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "3600",
}

SERVER_PATH = f"{PATH}server/"
_SECONDS_OF_QUIET = 1.0
_SECONDS_WITHOUT_QUIET = 10.0
_STOP_PATH = f"{SERVER_PATH}stop"
_UNFRAMED = ((b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'"))


def origins(port: int) -> tuple[str, ...]:
    """Return where the pages of a server on that port may come from."""
    return tuple(f"http://{host}:{port}" for host in (HOST, "localhost"))


def free_port(last: str) -> int:
    """Return a port that nobody listens on: the last one if that is free, so that addresses stay as they are."""
    candidates = [random.randrange(20000, 30000) for _ in range(100)]  # noqa: S311  (ports are no secret)
    for port in [int(last), *candidates] if last.isdecimal() else candidates:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except (OSError, OverflowError):
                continue
        return port
    raise ServerException("Prefect's server can't be started.", {"reason": "100 ports tried, and none is free"})


def proof(auth_string: str, nonce: str) -> str:
    """Return what only a server that asks for this auth string can say to the nonce."""
    return hmac.new(auth_string.encode(), b"stepwell server " + nonce.encode(), "sha256").hexdigest()


class Guard:
    """An ASGI app that hands on to `app` what programs and the pages of `app` itself ask, and nothing else."""

    def __init__(self, app: Any, port: int, auth_string: str) -> None:
        self._app = app
        self._origins = {origin.encode() for origin in origins(port)}
        self._hosts = {origin.partition(b"//")[2] for origin in self._origins}
        self._auth_string = auth_string
        self._sign_in = SignIn(auth_string)
        self._reports = Reports(auth_string)
        self._address = origins(port)[0]
        self._asked: float | None = None

    def wait_for_quiet(self) -> None:
        """Return when nobody has asked anything for a second after the first request, or ten seconds after it."""
        while self._asked is None:
            time.sleep(_SECONDS_OF_QUIET / 4)
        deadline = self._asked + _SECONDS_WITHOUT_QUIET
        while time.monotonic() < min(deadline, self._asked + _SECONDS_OF_QUIET):
            time.sleep(_SECONDS_OF_QUIET / 4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let `app` answer it."""
        self._asked = time.monotonic()
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})  # which is a 403
        elif refusal is not None:
            await answer(send, *refusal)
        elif scope["type"] == "http" and scope["path"].startswith(SERVER_PATH):
            await self._answer_of_itself(scope, send)
        elif scope["type"] == "http" and Reports.has(scope["path"]):
            await self._reports(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(PATH):
            await self._sign_in(scope, receive, send)
        else:
            await self._app(scope, receive, _unframed(send))

    async def _answer_of_itself(self, scope: Scope, send: Send) -> None:
        """Say whose server this is, or end it."""
        method, nonce = scope["method"], scope["path"].removeprefix(SERVER_PATH)
        if method == "GET" and nonce.isalnum() and nonce.isascii():
            await answer(send, 200, proof(self._auth_string, nonce))
        elif (method, scope["path"]) == ("POST", _STOP_PATH):
            wanted = b"Basic " + base64.b64encode(self._auth_string.encode())
            sent = _values(scope, b"authorization")
            if len(sent) == 1 and hmac.compare_digest(sent[0], wanted):
                await answer(send, 200, "Stopping.\n")
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                await answer(send, 401, "The auth string is missing or wrong.\n")
        else:
            await answer(send, 404, "There is nothing here.\n")

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


def environment(folder: Path, port: int, auth_string: str) -> dict[str, str]:
    """Return the variables of a server that keeps its data in the folder, where it is also to be started."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STEPWELL_OWN_"))}
    # The UI calls the port that is named here, not the one on the command line.
    own = {
        "PREFECT_HOME": str(folder),
        # Relative to the server's folder: in an absolute one, a `?` of the home would begin options.
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///prefect.db",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins(port)),
    }
    if "PYTHONPATH" in kept:  # the server runs in another folder
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    spec = importlib.util.find_spec("prefect")
    if spec is not None and not all(os.access(place, os.W_OK) for place in spec.submodule_search_locations or ()):
        # Prefect unpacks its UI beside its own code, or else goes without.
        own["PREFECT_UI_STATIC_DIRECTORY"] = str(folder / "ui")
    return kept | _SERVER_SETTINGS | block_types.SETTINGS | own


async def _make_routes(app: Any, auth_string: str) -> None:
    """Have the app make its routes, which it does when it is first asked for any: while a first start waits for its tables."""
    import httpx

    user, _, password = auth_string.partition(":")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", auth=(user, password)) as client:
        await client.get("/api/no-such-route")


def main() -> None:
    """Serve Prefect's app, with its services, until a signal comes."""
    faulthandler.register(signal.SIGUSR1)  # what every thread is at, for who replaces a server that hangs
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the start
    wait_for_tables = new_tables.make_beside(database.database(Path()))
    import asyncio

    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    from stepwell.blocks.server.guard.bulk_inserts import insert_by_rows
    from stepwell.blocks.server.guard.failed_statements import let_go_of_failed_statements  # these load SQLAlchemy
    from stepwell.blocks.server.guard.write_transactions import WriteTransactions

    port = int(sys.argv[1])
    for lock in map(int, sys.argv[2:]):
        os.set_inheritable(lock, False)  # it is to be freed when this process ends, whatever that has started
    auth_string = get_current_settings().server.api.auth_string
    if auth_string is None:
        sys.exit("Prefect's server would let in everybody: PREFECT_SERVER_API_AUTH_STRING is not set")
    secret = auth_string.get_secret_value()
    insert_by_rows()
    let_go_of_failed_statements()
    prefect = WriteTransactions(create_app(final=True))
    app = Guard(EarlyAnswers(RememberedAnswers(prefect, secret), secret), port, secret)
    asyncio.run(_make_routes(prefect, secret))
    wait_for_tables()
    gc.freeze()
    if not block_types.known(Path()):
        block_types.learn_after(app.wait_for_quiet, Path())
    gc.enable()
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    main()
