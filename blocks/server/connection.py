"""Prefect's server: the user's own where one is named, else one per home that outlives the process that started it.

An ephemeral server, Prefect's default, loses task runs; so one is never left possible once `ensure_server` was called.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.server import process
from stepwell.blocks.server.guard import sign_in
from stepwell.blocks.server.guard.reports import report_path
from stepwell.blocks.server.health import lets_in_everybody, trouble
from stepwell.blocks.server.settings import (
    API_URL,
    AUTH_STRING,
    OWN_HOME,
    OWN_URL,
    activate,
    home_id,
    may_be_named,
    users_url,
)
from stepwell.errors import ServerException, UserErrorException

os.environ.setdefault("DO_NOT_TRACK", "1")

_SECONDS_TRUSTED = 10.0
_SECONDS_PATIENT = 15.0
"""How long the user's own server, which may be far away and busy, is given to say that it is healthy."""

_answered: dict[str, float] = {}
_looked_at: set[str] = set()


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """State and address of a server; `managed`: it is this home's own, so its process and database are known.

    `guarded`: it is so, and asks for this home's password. `elsewhere`: it lives on that host, where it can't be reached
    from here. The pid is None if the process can't be seen from here.
    """

    running: bool
    url: str | None
    pid: int | None
    ui_url: str | None
    database: Path | None
    managed: bool
    guarded: bool = False
    elsewhere: str = ""


def ensure_server(log: Callable[[str], None] = lambda _: None) -> str:
    """Start a server if none runs, put it in force for this process and its children, and return its API URL."""
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    users = _users_url()
    if users is not None:
        _require_answer(users)
        activate(users)
        _warn_if_open(users)
        return users
    url = process.running(log).url
    activate(url, process.own_auth_string())
    return url


def start_ahead(log: Callable[[str], None]) -> bool:
    """Let this home's own server start meanwhile if none runs and nobody may have named another, and return whether it does.

    Who needs it waits for it, and is told what went wrong, and tries again.
    """
    own = process.recorded()
    if may_be_named() or (own is not None and own.alive):
        return False

    def run() -> None:
        with suppress(Exception):  # who needs it meets it, too
            process.running(log)

    threading.Thread(target=run, name="start of the server", daemon=True).start()
    return True


def start(log: Callable[[str], None] = lambda _: None) -> ServerStatus:
    """Start the server if it does not run, and return its status."""
    ensure_server(log)
    return status()


def stop() -> bool:
    """Stop this home's own server and return whether it ran. A server that the user named is left alone."""
    return process.stop()


def status() -> ServerStatus:
    """Return the status of the server that `ensure_server` would return, without starting one."""
    users = _users_url()
    if users is not None:
        return ServerStatus(trouble(users) is None, users, None, _ui_url(users), None, managed=False)
    recorded = process.recorded()
    database = process.database_file()
    if recorded is None or not recorded.alive:
        return ServerStatus(False, None, None, None, database, managed=True)
    healthy, here = recorded.trouble() is None, recorded.here
    return ServerStatus(
        healthy,
        recorded.url,
        recorded.pid if here else None,
        _ui_url(recorded.url),
        database,
        managed=True,
        guarded=recorded.guarded,
        elsewhere="" if healthy or here else recorded.host or "another host",
    )


def known_ui_url(path: str = "") -> str:
    """Return the address of a page of Prefect's UI, '' if no server is known to run: none is started or asked to show something."""
    users = _users_url()
    recorded = process.recorded() if users is None else None
    url = users if users is not None else recorded.url if recorded and recorded.alive else ""
    if not url:
        return ""
    from prefect.settings import get_current_settings

    return (get_current_settings().ui_url or _ui_url(url)) + path


def report_link(run_id: str) -> str:
    """Return where pages of Prefect's UI find the report of a run: at their own address; '' if the server is not this home's."""
    return report_path(run_id) if _users_url() is None else ""


def ui_link(log: Callable[[str], None] = lambda _: None, path: str = "") -> str:
    """Return the address of a page of Prefect's UI; that of this home's own signs a browser in, once and within a minute."""
    url = ensure_server(log)
    return sign_in.link(url, process.own_auth_string(), path) if _users_url() is None else _ui_url(url) + path


def password(log: Callable[[str], None] = lambda _: None) -> str:
    """Return the auth string of this home's own server, which is what Prefect's UI asks for."""
    _own_url(log)
    return process.own_auth_string()


def variables(log: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """Return the variables with which Prefect's own commands reach this home's own server."""
    url = _own_url(log)
    # With the last two, Stepwell of this home still knows it as its own, and may start it again.
    return {API_URL: url, AUTH_STRING: process.own_auth_string(), OWN_URL: url, OWN_HOME: home_id()}


@contextmanager
def client_settings() -> Iterator[None]:
    """Apply the Prefect settings that Stepwell's own flows want, its server among them, while the block runs.

    Every call that Prefect makes for a flow has a deadline, and so has the end of this process.
    """
    url = ensure_server()
    from prefect.context import SettingsContext, get_settings_context

    from stepwell.blocks.server.patience import end_in_time, patient_calls

    end_in_time(url)
    # The heartbeat thread is joined at the end of each flow, which costs a second; no environment variable stops it.
    # A copy of what is in force does: Prefect's `temporary_settings` reads all settings anew, a tenth of a second.
    outer = get_settings_context()
    flows = outer.settings.flows.model_copy(update={"heartbeat_frequency": None})
    with SettingsContext(profile=outer.profile, settings=outer.settings.model_copy(update={"flows": flows})):
        try:
            with patient_calls():
                yield
        except ServerException:
            distrust()
            raise


def wait_until_available(seconds: float) -> bool:
    """Return whether the server in force answers, or does within `seconds`; one's own is started again if it has died."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        users = _users_url()
        recorded = process.recorded() if users is None else None
        if users is None and not (recorded and recorded.alive and recorded.guarded):
            with suppress(ServerException):
                ensure_server()
                return True
        elif trouble(recorded.url if recorded else users or "", left) is None:
            return True
        time.sleep(min(0.5, left))
    return False


def is_hung() -> bool:
    """Return whether this home's own server lives, was given up and is still silent: who needs it waits until it is replaced."""
    from stepwell.blocks.server.patience import is_silent

    own = process.recorded() if _users_url() is None else None
    return own is not None and own.alive and is_silent(own.url) and trouble(own.url) is not None


def distrust() -> None:
    """Have the server answer before `ensure_server` returns again: it did not answer somebody."""
    _answered.clear()
    process.distrust()


def named_server() -> str:
    """Return the API URL of the server that the user names, without what signs in to it; '' if this home's own is used."""
    users = _users_url()
    return "" if users is None else _redacted(users)


def revive(log: Callable[[str], None] = lambda _: None) -> str:
    """Do as `ensure_server`, and replace this home's own server if it lives and has been silent for half a minute."""
    own = process.recorded() if _users_url() is None else None
    if own is not None and trouble(own.url) is not None:
        distrust()
    return ensure_server(log)


def _users_url() -> str | None:
    """Return the API URL that the user names, unless it is that of this home's own server."""
    url = users_url()
    own = process.recorded() if url is not None else None
    return None if own is not None and own.url == url and own.alive else url


def _own_url(log: Callable[[str], None]) -> str:
    url = ensure_server(log)
    if _users_url() is not None:
        raise UserErrorException(
            "Prefect's server is one that you named, so Stepwell knows no password of it.",
            {"address": _redacted(url)},
            "Use what you signed in with there, or unset PREFECT_API_URL to use Stepwell's own.",
        )
    return url


def _warn_if_open(url: str) -> None:
    """Tell, once in a process, that the user's server does what anybody asks who reaches it."""
    if url in _looked_at:
        return
    _looked_at.add(url)
    if lets_in_everybody(url):
        print(
            f"Warning: Prefect's server at {_redacted(url)} asks for no password: web pages and other users of its network"
            " can read its secrets and start runs.\nHint: Start it with PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD and"
            " PREFECT_SERVER_CORS_ALLOWED_ORIGINS=ITS_ADDRESS, and set PREFECT_API_AUTH_STRING=USER:PASSWORD here.",
            file=sys.stderr,
        )


def _require_answer(url: str) -> None:
    if time.monotonic() - _answered.get(url, float("-inf")) < _SECONDS_TRUSTED:
        return
    reason = trouble(url, _SECONDS_PATIENT)
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
