"""The services of `stepwell serve`: Prefect's server, a worker, the HTTP endpoint and the reconciler of runs."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell.blocks.server import connection
from stepwell.blocks.server.health import trouble
from stepwell.blocks.server.work_pool import POOL, ensure_pool
from stepwell.blocks.system.home import home
from stepwell.deployments.access.addresses import networks
from stepwell.deployments.access.authentication import is_loopback
from stepwell.deployments.schedules.data_trigger import poll
from stepwell.deployments.serve.child_output import ChildLog, log_to_stderr
from stepwell.deployments.serve.reconciler import Reconciler
from stepwell.deployments.serve.runs.lost_runs import LostRuns
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns, worker_name
from stepwell.deployments.serve.runs.untold_runs import UntoldRuns
from stepwell.deployments.serve.stop_signals import Stop, stop_signals
from stepwell.deployments.serve.supervisor import Child, Supervisor, only_one
from stepwell.deployments.serve.worker_child import ServerMonitor, child_environment, worker_child
from stepwell.errors import ServerException, UserErrorException

_SECONDS_TO_START = 90.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ServeOptions:
    """Where the endpoint listens, its limits, and how many runs the worker does at once; no worker with `limit` 0."""

    host: str = "127.0.0.1"
    port: int = 4280
    public_url: str = ""
    token: bool = True
    limit: int = os.cpu_count() or 1
    rate: float | None = None
    most_waiting: int | None = None
    proxies: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address at which this machine itself finds the endpoint."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  (nothing is bound here)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def serve(options: ServeOptions) -> None:
    """Run everything until SIGINT or SIGTERM comes, and end it; raise UserErrorException if that can't be."""
    _check(options)
    folder = home() / "serve"
    with only_one(folder), stop_signals() as stop:
        log = ChildLog(folder, "keeper")
        server = connection.status()
        started_here = server.managed and server.url is None
        try:
            connection.ensure_server(log_to_stderr)
            if options.limit:
                ensure_pool()
            _run(options, folder, log, stop)
        finally:
            if started_here:
                connection.stop()
    log_to_stderr("Everything is stopped")


def _run(options: ServeOptions, folder: Path, log: ChildLog, stop: Stop) -> None:
    orphaned_runs, untold_runs = OrphanedRuns(log.emit), UntoldRuns(log.emit)
    supervisor = Supervisor(folder, children(options))
    server = ServerMonitor()
    reconciler = Reconciler(
        [server.check, untold_runs.tell, orphaned_runs.reconcile, LostRuns(orphaned_runs).settle, poll], log
    )
    stop.interrupts = False
    try:
        supervisor.start()
        reconciler.start()
        _wait_until_ready(options, supervisor, stop)
        while not stop.wait(_POLL_SECONDS):
            if server.has_moved():
                supervisor.restart()
            supervisor.check()
    finally:
        log_to_stderr("Stopping")
        supervisor.stop(hurry=lambda: stop.count > 1)
        reconciler.stop()
        if options.limit and trouble(connection.status().url or "") is None:
            with suppress(Exception):  # the next `stepwell serve` finds what is left
                orphaned_runs.reschedule()


def children(options: ServeOptions) -> list[Child]:
    """Return the endpoint, and a worker unless there is to be none."""
    found = [Child("endpoint", _endpoint_command(options), child_environment)]
    if options.limit:
        found.append(worker_child(POOL, "process", options.limit))
    return found


def _endpoint_command(options: ServeOptions) -> tuple[str, ...]:
    command = [
        sys.executable,
        "-m",
        "stepwell.deployments.endpoint",
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
    command += [part for proxy in options.proxies for part in ("--proxy", proxy)]
    return tuple(map(str, command if options.token else [*command, "--no-token"]))


# Before the start ------------------------------------------------------------------------------------------------


def _check(options: ServeOptions) -> None:
    if not options.token and not is_loopback(options.host):
        raise UserErrorException(
            "Without tokens, the endpoint may only be reached from this machine",
            {"host": options.host},
            "Leave out `--no-token`, or `--host`.",
        )
    networks(options.proxies)
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


# After it --------------------------------------------------------------------------------------------------------


def _wait_until_ready(options: ServeOptions, supervisor: Supervisor, stop: Stop) -> None:
    """Wait until everything answers, and print where it is."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while not stop.wait(_POLL_SECONDS):
        supervisor.check()
        if _is_up(options) and (not options.limit or supervisor.is_ready("worker")):
            print(table(options), flush=True)
            return
        if time.monotonic() >= deadline:
            raise ServerException(
                f"Not everything answers within {_SECONDS_TO_START:g} s.", {"logs": home() / "serve"}, "Read the logs."
            )


def _is_up(options: ServeOptions) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{options.address}/health", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def table(options: ServeOptions) -> str:
    """Return the text that says where everything is, and what to do next."""
    base = (options.public_url or options.address).rstrip("/")
    runs = f"{options.limit} {'run' if options.limit == 1 else 'runs'} at once"
    server = connection.status()
    rows = {
        "Prefect's UI": f"{server.ui_url or ''}{' (sign in: stepwell server open)' if server.guarded else ''}",
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
