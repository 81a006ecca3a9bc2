"""What `stepwell serve` keeps running: Prefect's server, a worker, the HTTP endpoint and the keeper of runs."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell.blocks.server import connection
from stepwell.blocks.server.health import trouble
from stepwell.blocks.server.work_pool import POOL, ensure_pool
from stepwell.blocks.system.home import home
from stepwell.deployments.access.authentication import is_loopback
from stepwell.deployments.schedules.data_trigger import poll
from stepwell.deployments.serve.child_output import ChildLog, say
from stepwell.deployments.serve.orphaned_runs import OrphanedRuns, worker_name
from stepwell.deployments.serve.reconciler import Reconciler
from stepwell.deployments.serve.supervisor import Child, Supervisor, only_one
from stepwell.errors import ServerException, UserErrorException

_SECONDS_TO_START = 90.0
_LOOK_SECONDS = 0.1
_WORKER_READY = "started!"
_WORKER_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
}


@dataclass(frozen=True)
class ServeOptions:
    """Where the endpoint listens and what it admits, and how many runs the worker does at once; no worker with `limit` 0."""

    host: str = "127.0.0.1"
    port: int = 4280
    public_url: str = ""
    token: bool = True
    limit: int = os.cpu_count() or 1
    rate: float | None = None
    most_waiting: int | None = None

    @property
    def address(self) -> str:
        """Where this machine itself finds the endpoint."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  (nothing is bound here)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def serve(options: ServeOptions) -> None:
    """Nothing; everything ran until SIGINT or SIGTERM came, and has ended."""
    _check(options)
    folder = home() / "serve"
    with only_one(folder), _stop_signals() as stop:
        log = ChildLog(folder, "keeper")
        standing = connection.status()
        started_here = standing.managed and standing.pid is None
        try:
            connection.ensure_server(say)
            if options.limit:
                ensure_pool()
            _run(options, folder, log, stop)
        finally:
            if started_here:
                connection.stop()
    say("Everything is stopped")


def _run(options: ServeOptions, folder: Path, log: ChildLog, stop: _Stop) -> None:
    stranded = OrphanedRuns(log.tell)
    supervisor = Supervisor(folder, children(options))
    care = _ServerCare()
    reconciler = Reconciler([care.look, stranded.look, poll], log)
    stop.interrupts = False
    try:
        supervisor.start()
        reconciler.start()
        _wait_until_ready(options, supervisor, stop)
        while not stop.wait(_LOOK_SECONDS):
            if care.moved():
                supervisor.restart()
            supervisor.check()
    finally:
        say("Stopping")
        supervisor.stop(hurry=lambda: stop.count > 1)
        reconciler.stop()
        if options.limit and trouble(connection.status().url or "") is None:
            with suppress(Exception):  # the next `stepwell serve` finds what is left
                stranded.park()


def children(options: ServeOptions) -> list[Child]:
    """The endpoint, and a worker unless there is to be none."""
    found = [Child("endpoint", _endpoint_command(options), _environment)]
    if options.limit:
        # Asked to end, a worker asks its runs, which then count as crashed. Killed, they can go on later.
        found.append(Child("worker", _worker_command(options), _worker_environment, patience=0, sign=_WORKER_READY))
    return found


def _endpoint_command(options: ServeOptions) -> tuple[str, ...]:
    command = [
        sys.executable,
        "-m",
        "stepwell.deployments.endpoint.process",
        "--host",
        options.host,
        "--port",
        options.port,
    ]
    more: dict[str, Any] = {
        "--public-url": options.public_url or None,
        "--rate": options.rate,
        "--most-waiting": options.most_waiting,
    }
    command += [part for name, value in more.items() if value is not None for part in (name, value)]
    return tuple(map(str, command if options.token else [*command, "--no-token"]))


def _worker_command(options: ServeOptions) -> tuple[str, ...]:
    worker = ("worker", "start", "--pool", POOL, "--type", "process", "--name", worker_name())
    return (sys.executable, "-m", "prefect", *worker, "--limit", str(options.limit))


def _environment() -> dict[str, str]:
    """Ours as it is right now, but for a child in another folder."""
    # What keeps Prefect quiet in our own command line would keep troubles out of the log.
    quiet = ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_LOGGING_INTERNAL_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in quiet or value != "CRITICAL"}
    if "PYTHONPATH" in kept:
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return {**kept, "STEPWELL_HOME": str(home()), "PYTHONUNBUFFERED": "1"}


def _worker_environment() -> dict[str, str]:
    kept = _environment()
    # Runs are started as `python`, which has to be this one.
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, **_WORKER_SETTINGS, "PATH": path}


class _ServerCare:
    """Starts this home's own server again when it has died; notices when that had to move to another port."""

    def __init__(self) -> None:
        self._url = connection.ensure_server()
        self._moved = threading.Event()

    def look(self) -> None:
        url = connection.ensure_server(say)
        if url != self._url:
            self._url = url
            self._moved.set()

    def moved(self) -> bool:
        """Whether it did since the last time this was asked."""
        moved = self._moved.is_set()
        self._moved.clear()
        return moved


# Before the start ------------------------------------------------------------------------------------------------


def _check(options: ServeOptions) -> None:
    if not options.token and not is_loopback(options.host):
        raise UserErrorException(
            "Without tokens, the endpoint may only be reached from this machine",
            {"host": options.host},
            "Leave out `--no-token`, or `--host`.",
        )
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((options.host, options.port))
        except (OSError, OverflowError) as error:
            facts = {"host": options.host, "port": options.port, "reason": error}
            raise UserErrorException(
                "The endpoint can't listen there", facts, "Choose another with `--port` or `--host`."
            ) from None


class _Stop:
    """Whether, and how often, somebody asked for the end."""

    def __init__(self) -> None:
        self.count = 0
        self.interrupts = True
        """Whether the first request ends what is being done, since nobody looks for one soon."""
        self._asked = threading.Event()

    def ask(self, *_: object) -> None:
        self.count += 1
        self._asked.set()
        if self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt

    def wait(self, seconds: float) -> bool:
        return self._asked.wait(seconds)


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Asks a `_Stop` when a signal comes; the handlers before are put back."""
    stop = _Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# After it --------------------------------------------------------------------------------------------------------


def _wait_until_ready(options: ServeOptions, supervisor: Supervisor, stop: _Stop) -> None:
    """Prints where everything is, once it answers."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while not stop.wait(_LOOK_SECONDS):
        supervisor.check()
        if _answers(options) and (not options.limit or supervisor.is_ready("worker")):
            print(table(options), flush=True)
            return
        if time.monotonic() >= deadline:
            raise ServerException(
                f"Not everything answers within {_SECONDS_TO_START:g} s.", {"logs": home() / "serve"}, "Read the logs."
            )


def _answers(options: ServeOptions) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{options.address}/health", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def table(options: ServeOptions) -> str:
    """Where everything is, and what to do next."""
    base = (options.public_url or options.address).rstrip("/")
    runs = f"{options.limit} {'run' if options.limit == 1 else 'runs'} at once"
    rows = {
        "Prefect's UI": connection.status().ui_url or "",
        "endpoint": base if options.token else f"{base} (open to everybody on this machine)",
        "its pages": f"{base}/docs",
        "worker": f"{worker_name()}, {runs}" if options.limit else "none here",
        "logs": str(home() / "serve"),
    }
    if options.token:
        rows["tokens"] = "stepwell token create LABEL"
    rows["stop"] = f"Ctrl-C, or kill {os.getpid()}"
    width = max(map(len, rows))
    return "\n".join(["Stepwell is serving", *(f"  {name:<{width}}  {text}" for name, text in rows.items())])
