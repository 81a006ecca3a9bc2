"""Prefect's server: the user's own where one is named, else one per home that outlives the process that started it.

An ephemeral server, Prefect's default, loses task runs; so one is never left possible once `ensure_server` was called.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from stepwell.blocks.home import home
from stepwell.errors import ServerException, StepwellError

os.environ.setdefault("DO_NOT_TRACK", "1")

Say = Callable[[str], None]

_API_URL = "PREFECT_API_URL"
_OWN_URL = "STEPWELL_OWN_API_URL"
"""Beside PREFECT_API_URL and equal to it: tells a child process that Stepwell set it, not the user."""

_SECONDS_TO_ANSWER = 2.5
_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0
_SECONDS_TRUSTED = 10.0
_STARTS = 3

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
}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Whether a server answers, and where; `managed`: it is this home's own, so its process and database are known."""

    running: bool
    url: str | None
    pid: int | None
    ui_url: str | None
    database: Path | None
    managed: bool


@dataclass(frozen=True, slots=True)
class _Process:
    """A server's address and process; a pid means the same process only with the time it started."""

    url: str
    pid: int
    started: str


_children: dict[int, subprocess.Popen[bytes]] = {}
_known: dict[Path, _Process] = {}
_answered: dict[str, float] = {}
_own_urls: set[str] = set()
_refreshed_for: list[str | None] = []


# The doors ----------------------------------------------------------------------------------------------------------


def ensure_server(say: Say | None = None) -> str:
    """The API URL of a server that runs, started if need be, and now in force for this process and its children."""
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    users = _users_url()
    if users is not None:
        _require_answer(users)
        _put_in_force(users)
        return users
    process = _known.get(home())
    if process is None or not _alive(process):
        process = _known[home()] = _start_once(say or _say_nothing)
    _own_urls.add(process.url)
    _put_in_force(process.url)
    return process.url


def start(say: Say | None = None) -> ServerStatus:
    """How the server stands once it runs."""
    ensure_server(say)
    return status()


def stop() -> bool:
    """Whether this home's own server ran; now it does not. A server that the user named is left alone."""
    process = _recorded()
    ran = process is not None and _alive(process)
    if process is not None:
        _end(process)
        # Not before the server is dead: who starts one holds the lock, and gives up once its server is.
        with _locked():
            if _recorded() == process:
                _record_file().unlink(missing_ok=True)
    _known.pop(home(), None)
    return ran


def status() -> ServerStatus:
    """How the server stands that `ensure_server` would return; nothing is started."""
    users = _users_url()
    if users is not None:
        return ServerStatus(_trouble(users) is None, users, None, _ui_url(users), None, managed=False)
    process = _recorded()
    database = _folder() / "prefect.db"
    if process is None or not _alive(process):
        return ServerStatus(False, None, None, None, database, managed=True)
    running = _trouble(process.url) is None
    return ServerStatus(running, process.url, process.pid, _ui_url(process.url), database, managed=True)


@contextmanager
def client_settings() -> Iterator[None]:
    """A context with the Prefect settings that Stepwell's own flows want, its server among them."""
    ensure_server()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat thread is joined at the end of each flow, which costs a second; no environment variable stops it.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def _require_answer(url: str) -> None:
    if time.monotonic() - _answered.get(url, float("-inf")) < _SECONDS_TRUSTED:
        return
    trouble = _trouble(url)
    if trouble is None:
        _answered[url] = time.monotonic()
        return
    variable = os.environ.get(_API_URL) == url
    raise ServerException(
        "Prefect's server does not answer.",
        {"address": _shown(url), "named by": _API_URL if variable else "Prefect's settings", "reason": trouble},
        f"Start that server, or {'unset' if variable else 'remove'} PREFECT_API_URL"
        f"{'' if variable else ' from your Prefect profile'} to use Stepwell's own.",
    )


def _shown(url: str) -> str:
    return re.sub("//[^/@]*@", "//***@", url)


def _ui_url(url: str) -> str:
    return _shown(url).rstrip("/").removesuffix("/api")
