"""The worker of `stepwell worker`: one that takes the runs of a work pool on this machine, beside whatever serves elsewhere."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from stepwell.blocks.server import connection
from stepwell.blocks.server.health import trouble
from stepwell.blocks.server.work_pool import POOL, ensure_pool, worker_folder
from stepwell.deployments.serve.child_output import ChildLog, log_to_stderr
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns, worker_name
from stepwell.deployments.serve.stop_signals import Stop, stop_signals
from stepwell.deployments.serve.supervisor import Supervisor, only_one
from stepwell.deployments.serve.worker_child import ServerMonitor, worker_child
from stepwell.errors import ServerException

_POLL_SECONDS = 0.1
_SERVER_SECONDS = 2.0
_SECONDS_TO_START = 90.0


@dataclass(frozen=True)
class WorkerOptions:
    """Which pool, of which type, from which image its runs start, and how many at once; 0 is as many as come."""

    pool: str = POOL
    type: str = "process"
    image: str = ""
    limit: int = 0


def work(options: WorkerOptions) -> None:
    """Take runs until SIGINT or SIGTERM comes, then let Prefect know of those that were at work.

    Raises:
        UserErrorException: The pool is of another type, lacks an image, or has a worker from this home already.
        ServerException: Prefect's server, or the worker, does not come up.
    """
    folder = worker_folder(options.pool)
    with only_one(folder), stop_signals() as stop:
        server = connection.status()
        started_here = server.managed and server.url is None
        try:
            connection.ensure_server(log_to_stderr)
            ensure_pool(options.pool, options.type, options.image)
            _run(
                options,
                ChildLog(folder, "keeper"),
                Supervisor(folder, [worker_child(options.pool, options.type, options.limit)]),
                stop,
            )
        finally:
            if started_here:
                connection.stop()
    log_to_stderr("The worker is stopped")


def _run(options: WorkerOptions, log: ChildLog, supervisor: Supervisor, stop: Stop) -> None:
    server = ServerMonitor()
    stop.interrupts = False
    try:
        supervisor.start()
        _wait_until_ready(options, supervisor, stop)
        looked = time.monotonic()
        while not stop.wait(_POLL_SECONDS):
            if time.monotonic() - looked > _SERVER_SECONDS:
                with suppress(ServerException):  # it may come back
                    server.check()
                looked = time.monotonic()
            if server.has_moved():
                supervisor.restart()
            supervisor.check()
    finally:
        log_to_stderr("Stopping")
        supervisor.stop(hurry=lambda: stop.count > 1)
        if options.type == "process" and trouble(connection.status().url or "") is None:
            with suppress(Exception):  # `stepwell serve` finds what is left
                OrphanedRuns(log.emit).reschedule()


def _wait_until_ready(options: WorkerOptions, supervisor: Supervisor, stop: Stop) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not stop.wait(_POLL_SECONDS):
        supervisor.check()
        if supervisor.is_ready("worker"):
            most = f", {options.limit} at once" if options.limit else ""
            print(
                f"Worker {worker_name()} takes the runs of work pool {options.pool!r} ({options.type}){most}; Ctrl-C ends it",
                flush=True,
            )
            return
        if time.monotonic() >= deadline:
            raise ServerException(
                f"The worker has not started within {_SECONDS_TO_START:g} s.",
                {"logs": worker_folder(options.pool)},
                "Read the logs.",
            )
