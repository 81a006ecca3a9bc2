"""Runs a script in several processes that find one another by variables: PyTorch's, or TensorFlow's `TF_CONFIG`."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import ExitStack, suppress

from stepwell.drivers.ranks import LOG, Logs, command_of, fail, variables_for

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0


def main(script: str, settings: dict[str, str]) -> None:
    """Run the script in the processes that `kind`, `workers`, `nodes` and `servers` tell of; end as the first that fails."""
    workers = int(settings["workers"])
    if settings["kind"] == "tensorflow":
        told = _tensorflow(workers, int(settings["servers"]))
    else:
        told = _pytorch(workers, int(settings["nodes"]))
    logs = Logs(list(told))
    with ExitStack() as opened:
        running: dict[str, subprocess.Popen[bytes]] = {}
        for name, variables in told.items():
            log = opened.enter_context(open(LOG.format(name), "wb"))
            running[name] = subprocess.Popen(
                command_of(script),
                env=variables_for(script, variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            logs.follow(lambda: _goes_on(running))
            failed = next((name for name, process in running.items() if process.poll()), None)
            code = running[failed].returncode if failed else 0
        finally:
            _end(running)
    if failed:
        fail(failed, len(running), code)


def _goes_on(running: dict[str, subprocess.Popen[bytes]]) -> bool:
    """Return whether no process has failed, and one that isn't a server works on."""
    codes = {name: process.poll() for name, process in running.items()}
    work = [code for name, code in codes.items() if not name.startswith("ps")]
    return not any(codes.values()) and None in work


def _end(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """End what is left: servers, and processes that wait for one that failed."""
    for process in running.values():
        with suppress(ProcessLookupError):
            process.terminate()
    last = time.monotonic() + _PATIENCE_SECONDS
    for process in running.values():
        try:
            process.wait(max(0.0, last - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pytorch(count: int, nodes: int) -> dict[str, dict[str, str]]:
    per_node, [port] = count // nodes, _free_ports(1)
    common = {"MASTER_ADDR": _HOST, "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "NODE_COUNT": str(nodes)}
    return {
        str(rank): {
            **common,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank % per_node),
            "LOCAL_WORLD_SIZE": str(per_node),
            "NODE_RANK": str(rank // per_node),
        }
        for rank in range(count)
    }


def _tensorflow(workers: int, servers: int) -> dict[str, dict[str, str]]:
    places = [f"{_HOST}:{port}" for port in _free_ports(workers + servers)]
    cluster = {"worker": places[:workers], **({"ps": places[workers:]} if servers else {})}
    tasks = [(kind, number) for kind, found in cluster.items() for number in range(len(found))]
    return {
        f"{kind}_{number}": {
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": kind, "index": number}, "environment": "cloud"}
            )
        }
        for kind, number in tasks
    }


def _free_ports(count: int) -> list[int]:
    """Return ports of this machine that nothing listens at."""
    with ExitStack() as held:
        found = []
        for _ in range(count):
            taken = held.enter_context(socket.socket())
            taken.bind((_HOST, 0))
            found.append(int(taken.getsockname()[1]))
        return found
