"""A worker as a child process: how it is started, in which environment, and on which server it depends."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from stepwell.blocks.server import connection
from stepwell.blocks.server.settings import AUTH_STRING
from stepwell.blocks.system.home import home
from stepwell.deployments.serve.child_output import log_to_stderr
from stepwell.deployments.serve.runs.orphaned_runs import worker_name
from stepwell.deployments.serve.supervisor import Child

_GRACE_SECONDS = 10.0
_WORKER_READY = "started!"
_WORKER_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
}


def worker_child(pool: str, type: str, limit: int) -> Child:
    """Return the worker of a pool, which does so many runs at once; 0 is as many as come.

    Asked to end, a worker asks the processes of its runs, which then count as crashed. Killed, these go on later. Containers
    and pods tell Prefect themselves how they end.
    """
    worker = ("worker", "start", "--pool", pool, "--type", type, "--name", worker_name())
    command = (sys.executable, "-m", "stepwell.deployments.serve.worker", *worker)
    grace = 0.0 if type == "process" else _GRACE_SECONDS
    limited = ("--limit", str(limit)) if limit else ()
    return Child("worker", (*command, *limited), _worker_environment, grace_seconds=grace, ready_marker=_WORKER_READY)


def child_environment() -> dict[str, str]:
    """Return our environment as it is right now, but for a child in another folder."""
    # What keeps Prefect quiet in our own command line would keep warnings out of the log.
    quiet = ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_LOGGING_INTERNAL_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in quiet or value != "CRITICAL"}
    if "PYTHONPATH" in kept:
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return {**kept, "STEPWELL_HOME": str(home()), "PYTHONUNBUFFERED": "1"}


def _worker_environment() -> dict[str, str]:
    kept = child_environment()
    # Runs are started as `python`, which has to be this one.
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, **_WORKER_SETTINGS, "PATH": path}


class ServerMonitor:
    """Starts this home's own server again when it has died, or hangs; notices when that has another address or password."""

    def __init__(self) -> None:
        self._place = (connection.ensure_server(), os.environ.get(AUTH_STRING))
        self._moved = threading.Event()

    def check(self) -> None:
        """Start the server again if need be, and note where it is."""
        place = (connection.revive(log_to_stderr), os.environ.get(AUTH_STRING))
        if place != self._place:
            self._place = place
            self._moved.set()

    def has_moved(self) -> bool:
        """Return whether the server has moved since the last time that this was asked."""
        moved = self._moved.is_set()
        self._moved.clear()
        return moved
