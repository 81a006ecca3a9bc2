"""Prefect's server: the user's own where one is named, else one per home that outlives the process that started it.

An ephemeral server, Prefect's default, loses task runs; so one is never left possible once `ensure_server` was called.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.server import process
from stepwell.blocks.server.health import trouble
from stepwell.blocks.server.settings import API_URL, activate, users_url
from stepwell.errors import ServerException

os.environ.setdefault("DO_NOT_TRACK", "1")

_SECONDS_TRUSTED = 10.0

_answered: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """State and address of a server; `managed`: it is this home's own, so its process and database are known."""

    running: bool
    url: str | None
    pid: int | None
    ui_url: str | None
    database: Path | None
    managed: bool


def ensure_server(log: Callable[[str], None] = lambda _: None) -> str:
    """Start a server if none runs, put it in force for this process and its children, and return its API URL."""
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    users = users_url()
    if users is not None:
        _require_answer(users)
        activate(users, own=False)
        return users
    url = process.running(log).url
    activate(url, own=True)
    return url


def start(log: Callable[[str], None] = lambda _: None) -> ServerStatus:
    """Start the server if it does not run, and return its status."""
    ensure_server(log)
    return status()


def stop() -> bool:
    """Stop this home's own server and return whether it ran. A server that the user named is left alone."""
    return process.stop()


def status() -> ServerStatus:
    """Return the status of the server that `ensure_server` would return, without starting one."""
    users = users_url()
    if users is not None:
        return ServerStatus(trouble(users) is None, users, None, _ui_url(users), None, managed=False)
    recorded = process.recorded()
    database = process.database()
    if recorded is None or not recorded.alive:
        return ServerStatus(False, None, None, None, database, managed=True)
    healthy = trouble(recorded.url) is None
    return ServerStatus(healthy, recorded.url, recorded.pid, _ui_url(recorded.url), database, managed=True)


@contextmanager
def client_settings() -> Iterator[None]:
    """Apply the Prefect settings that Stepwell's own flows want, its server among them, while the block runs."""
    ensure_server()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat thread is joined at the end of each flow, which costs a second; no environment variable stops it.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def wait_until_available(seconds: float) -> bool:
    """Return whether the server in force answers, or does within `seconds`; one's own is started again."""
    deadline = time.monotonic() + seconds
    while True:
        users = users_url()
        if users is None:
            with suppress(ServerException):
                ensure_server()
                return True
        elif trouble(users) is None:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.5)


def stop_client_retries() -> None:
    """Make Prefect's client fail at once in this process from now on, instead of trying for minutes."""
    from prefect.context import SettingsContext
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

    context = SettingsContext.get()
    if context is not None:
        settings = context.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
        SettingsContext(profile=context.profile, settings=settings).__enter__()  # for the rest of the process
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"


def _require_answer(url: str) -> None:
    if time.monotonic() - _answered.get(url, float("-inf")) < _SECONDS_TRUSTED:
        return
    reason = trouble(url)
    if reason is None:
        _answered[url] = time.monotonic()
        return
    variable = os.environ.get(API_URL) == url
    raise ServerException(
        "Prefect's server does not answer.",
        {"address": _redacted(url), "named by": API_URL if variable else "Prefect's settings", "reason": reason},
        f"Start that server, or {'unset' if variable else 'remove'} PREFECT_API_URL"
        f"{'' if variable else ' from your Prefect profile'} to use Stepwell's own.",
    )


def _redacted(url: str) -> str:
    return re.sub("//[^/@]*@", "//***@", url)


def _ui_url(url: str) -> str:
    return _redacted(url).rstrip("/").removesuffix("/api")
