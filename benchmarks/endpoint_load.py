"""Many calls at once against the HTTP endpoint: how long each takes, and whether Prefect has exactly the runs acknowledged.

`python benchmarks/endpoint_load.py [--calls 1000] [--at-once 20] [--plot FILE]` asks the same of a server with SQLite and of
one with PostgreSQL (its `initdb` and `pg_ctl` have to be on the PATH, else that part is left out). No worker runs meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib import request

import place


def main() -> None:
    """Exit with 1 if a call was answered with 5xx, or a run was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    measured, good = {}, True
    for name in ("SQLite", "PostgreSQL"):
        if name == "PostgreSQL" and not shutil.which("pg_ctl"):
            print("PostgreSQL: its programs are not on the PATH")
            continue
        with place.place(quick=True, full=False, prepare=postgres if name == "PostgreSQL" else nullcontext):
            measured[name], fine = measure(name, given.calls, given.at_once)
            good &= fine
    if given.plot:
        plot(measured, given, given.plot)
    sys.exit(0 if good else 1)


def measure(name: str, calls: int, at_once: int) -> tuple[list[float], bool]:
    """Return the seconds that each call took, and whether all was well."""
    published_id = _publish()
    with _endpoint() as base:
        address = f"{base}/PipelineRuns/PipelineSubmit/{published_id}"
        _call(address, -1)
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as callers:
            answers = list(callers.map(lambda number: _call(address, number), range(calls)))
        seconds = time.perf_counter() - began
    codes = Counter(code for code, _, _ in answers)
    ids = [run_id for code, run_id, _ in answers if code == 202]
    lost, doubled = _compare(set(ids), calls)
    took = sorted(duration for _, _, duration in answers)
    at = {f"p{part}": took[min(len(took) - 1, len(took) * part // 100)] for part in (50, 95, 99)}
    figures = ", ".join(f"{word} {value * 1000:.0f} ms" for word, value in at.items())
    print(f"{name:<10}  {calls} calls, {at_once} at once: {seconds:.1f} s, {calls / seconds:.0f} a second; {figures}")
    print(f"{'':<10}  answers {dict(codes)}; {len(set(ids))} runs acknowledged, {lost} lost, {doubled} doubled")
    return took, not lost and not doubled and len(set(ids)) == len(ids) and max(codes) < 500


def _publish() -> str:
    from stepwell import Pipeline, PipelineParameter, PythonScriptStep, Workspace

    source = Path(os.environ["STEPWELL_HOME"]) / "source"
    source.mkdir(parents=True)
    (source / "step.py").write_text("import sys\nprint(sys.argv)\n")
    step = PythonScriptStep("step.py", arguments=[PipelineParameter("number", 0)], source_directory=source)
    return str(Pipeline(Workspace.create("load", exist_ok=True), [step], name="load").publish().id)


@contextmanager
def _endpoint() -> Iterator[str]:
    port = _free_port()
    words = ["--port", str(port), "--no-token", "--rate", "10000", "--most-waiting", "1000000"]
    command = [sys.executable, "-m", "stepwell.deployments.endpoint", *words]
    with open(Path(os.environ["STEPWELL_HOME"]) / "endpoint.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_for(f"{base}/health", process)
        yield base
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def _call(address: str, number: int) -> tuple[int, str, float]:
    """Return the status, the run's id, and the seconds."""
    body = json.dumps({"ExperimentName": "load", "ParameterAssignments": {"number": number}}).encode()
    asked = request.Request(address, body, {"Content-Type": "application/json"})
    began = time.perf_counter()
    try:
        with request.urlopen(asked, timeout=120) as answer:
            return answer.status, json.load(answer)["Id"], time.perf_counter() - began
    except request.HTTPError as error:
        return error.code, "", time.perf_counter() - began


def _compare(acknowledged: set[str], calls: int) -> tuple[int, int]:
    """Return how many acknowledged runs Prefect lacks, and how many runs it has for a call that has another."""
    from stepwell.blocks.server.documents import client

    numbers: Counter[int] = Counter()
    known: set[str] = set()
    with client() as api:
        while True:
            asked: dict[str, Any] = {"limit": 200, "offset": len(known), "sort": "ID_DESC"}
            page = api.request("POST", "/flow_runs/filter", json=asked).json()
            known |= {run["id"] for run in page}
            numbers.update(run["parameters"]["number"] for run in page)
            if len(page) < 200:
                break
    return len(acknowledged - known), sum(count - 1 for number, count in numbers.items() if 0 <= number < calls)


@contextmanager
def postgres(folder: Path) -> Iterator[None]:
    """Give a server of Prefect's on a PostgreSQL of its own, in force for all that follows."""
    root = os.geteuid() == 0  # as whom PostgreSQL does not run
    prefix = ["runuser", "-u", "postgres", "--"] if root else []
    data = Path(tempfile.mkdtemp(prefix="stepwell-postgres-"))
    if root:
        shutil.chown(data, "postgres", "postgres")
    port = _free_port()
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={data}"
    there = ("-h", "127.0.0.1", "-p", str(port), "-U", "prefect")

    def run(*words: str) -> str:
        return subprocess.run([*prefix, *words], check=True, stdout=subprocess.PIPE, text=True, cwd=data).stdout.strip()

    def control(*words: str) -> None:  # its own output would keep the pipe open for as long as it runs
        subprocess.run(
            [*prefix, "pg_ctl", "-D", str(data / "db"), *words], check=True, stdout=subprocess.DEVNULL, cwd=data
        )

    run("initdb", "-D", str(data / "db"), "-A", "trust", "-U", "prefect", "--no-sync")
    control("-w", "-o", options, "-l", str(data / "log"), "start")
    try:
        run("createdb", *there, "prefect")
        with _prefect(folder, f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"):
            yield
        runs = run("psql", *there, "-Atc", "select count(*) from flow_run")
        print(f"{'':<10}  PostgreSQL itself counts {runs} flow runs, one of them the first call's")
    finally:
        control("-m", "immediate", "stop")
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _prefect(folder: Path, database: str) -> Iterator[None]:
    port = _free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    settings = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "3600",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with open(folder / "prefect.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **settings})
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health", process)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not _answers(address):
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"{address} does not answer")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def plot(measured: dict[str, list[float]], given: argparse.Namespace, file: Path) -> None:
    """Draw which share of the calls was answered within which time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.2))
    for name, took in measured.items():
        shares = [100 * (index + 1) / len(took) for index in range(len(took))]
        axes.step([seconds * 1000 for seconds in took], shares, where="post", label=name)
    axes.set(xlabel="milliseconds until the answer", ylabel="% of the calls", ylim=(0, 101), xlim=(0, None))
    axes.set_title(f"{given.calls} POSTs, {given.at_once} at a time: every one is a run in Prefect", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
