"""Calls come in while endpoint, worker, runs and Prefect's server are killed: what becomes of the runs acknowledged.

`python benchmarks/endpoint_kill.py [--calls 200] [--kills 12] [--seed 1]`. Exit code 1 if one of them does not end, or is doubled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib import error, request
from uuid import uuid4

import place
import psutil

_VICTIMS = {
    "endpoint": "stepwell.deployments.endpoint",
    "worker": "serve.worker worker start",
    "run": "stepwell.flows.worker_run",
    "server": "stepwell.blocks.server.guarded_app",
}
_ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def main() -> None:
    """Exit with 0 if every acknowledged run ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with place.place(quick=True, full=False):
        sys.exit(0 if _try(given) else 1)


def _try(given: argparse.Namespace) -> bool:
    published_id, port = _publish(), _free_port()
    command = [*place.CLI, "serve", "--port", str(port), "--no-token", "--limit", "6", "--rate", "10000"]
    with open(Path(os.environ["STEPWELL_HOME"]) / "said.txt", "wb") as said:
        serving = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        base = f"http://127.0.0.1:{port}"
        while not _answers(f"{base}/health"):
            time.sleep(0.2)
        done = threading.Event()
        killer = threading.Thread(target=_kill, args=(random.Random(given.seed), given.kills, done))
        killer.start()
        address = f"{base}/PipelineRuns/PipelineSubmit/{published_id}"
        with ThreadPoolExecutor(8) as callers:
            ids = list(callers.map(lambda number: _call(address, number), range(given.calls)))
        done.set()
        killer.join()
        print(f"{len(ids)} calls were acknowledged, {len(set(ids))} runs", flush=True)
        return _watch(set(ids)) and len(set(ids)) == len(ids)
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait()


def _kill(dice: random.Random, kills: int, done: threading.Event) -> None:
    killed: Counter[str] = Counter()
    for _ in range(kills):
        if done.wait(dice.uniform(1, 6)):
            break
        name = dice.choice(sorted(_VICTIMS))
        found = _processes(_VICTIMS[name])
        if found:
            with contextlib.suppress(psutil.Error):
                dice.choice(found).kill()
                killed[name] += 1
    print(f"killed {dict(killed)} while calls came in", flush=True)


def _processes(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = os.environ["STEPWELL_HOME"] in (process.environ().get("STEPWELL_HOME"), None)
            if word in " ".join(process.cmdline()) and mine:
                found.append(process)
    return found


def _publish() -> str:
    from stepwell import Pipeline, PipelineParameter, PythonScriptStep, Workspace

    source = Path(os.environ["STEPWELL_HOME"]) / "source"
    source.mkdir(parents=True)
    (source / "step.py").write_text("import sys, time\ntime.sleep(0.2)\nprint(sys.argv)\n")
    step = PythonScriptStep("step.py", arguments=[PipelineParameter("number", 0)], source_directory=source)
    return str(Pipeline(Workspace.create("kill", exist_ok=True), [step], name="kill").publish().id)


def _call(address: str, number: int) -> str:
    """Return the id of the run, however often the call had to be repeated."""
    body = json.dumps({"ExperimentName": "kill", "ParameterAssignments": {"number": number}}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    while True:
        try:
            with request.urlopen(request.Request(address, body, headers), timeout=60) as answer:
                return str(json.load(answer)["Id"])
        except error.HTTPError as refused:
            if refused.code < 500 and refused.code != 429:
                raise
        except OSError:
            pass
        time.sleep(0.3)


def _watch(wanted: set[str], seconds: float = 900) -> bool:
    """Return whether every run has ended in time."""
    from stepwell.blocks.server.documents import client
    from stepwell.blocks.server.retry import with_retries

    deadline = time.monotonic() + seconds

    def states() -> dict[str, str]:
        found: dict[str, str] = {}
        with client() as api:
            while True:
                page = api.request(
                    "POST", "/flow_runs/filter", json={"limit": 200, "offset": len(found), "sort": "ID_DESC"}
                ).json()
                found |= {run["id"]: run["state"]["type"] for run in page}
                if len(page) < 200:
                    return found

    while True:
        found = with_retries(states, 60)
        count = Counter(found.get(run_id, "LOST") for run_id in wanted)
        if set(count) <= set(_ENDS) or time.monotonic() > deadline:
            print(f"they ended as {dict(count)}; Prefect has {len(found)} runs", flush=True)
            return set(count) <= set(_ENDS) and len(found) == len(wanted)
        time.sleep(2)


def _answers(address: str) -> bool:
    try:
        with request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
