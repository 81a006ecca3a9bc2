"""Where it is measured: a home of its own with a server of its own, both gone afterwards; and processes that are timed.

Nothing here imports Prefect: the peak of a process's memory, as the kernel counts, begins with that of its parent.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwell.blocks.server import connection
from stepwell.blocks.system.files import remove
from stepwell.deployments.resident import overview

HERE = Path(__file__).resolve().parent
CLI = [sys.executable, "-m", "stepwell.deployments.cli"]
_TICKS = os.sysconf("SC_CLK_TCK")
_salts = itertools.count()


@dataclass(frozen=True, slots=True)
class Timed:
    """What a process took: seconds by the clock, seconds of processors, and the peak of its memory in MB."""

    seconds: float
    cpu: float
    megabytes: float


class Place:
    """A folder to measure in. `repeat` is how often a figure is taken, `quick` whether sizes are small."""

    def __init__(self, folder: Path, *, quick: bool, full: bool) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.quick = quick
        self.repeat = 2 if quick else 7 if full else 3
        shutil.copytree(HERE / "project", self.project, ignore=shutil.ignore_patterns("__pycache__"))

    def command(self, *words: str, **variables: str) -> Timed:
        """Return what a process took; one that fails ends the benchmark with what it said. Variables that are '' are left out."""
        self.settle()
        environment = {name: value for name, value in {**os.environ, **variables}.items() if value}
        with open(self.folder / "said.txt", "wb") as said:
            before = time.perf_counter()
            child = subprocess.Popen(words, stdout=said, stderr=said, cwd=self.project, env=environment)
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - before
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            text = (self.folder / "said.txt").read_text()[-3000:]
            raise RuntimeError(f"{words} ended with {child.returncode}:\n{text}")
        return Timed(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def run(self, count: int, salt: str, *options: str, shape: str = "flat", **more: str) -> Timed:
        """Return what `stepwell run` took for a pipeline of that many steps; `more` are variables."""
        variables = {"BENCH_STEPS": str(count), "BENCH_SHAPE": shape, "BENCH_SALT": salt, **more}
        return self.command(*CLI, "run", "pipeline.py", *options, **variables)

    def ask(self, task: str, **arguments: Any) -> Any:
        """Return what `worker.py`, a process of its own, measured from within."""
        self.settle()
        words = [sys.executable, str(HERE / "worker.py"), task, str(self.folder), json.dumps(arguments)]
        done = subprocess.run(words, cwd=self.project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"The task {task} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def settle(self) -> None:
        """Bring the server to rest."""
        settle()


def new_salt() -> str:
    """Return a word that no step of this process's benchmarks has had in its name."""
    return f"{'abcdefghij'[os.getpid() % 10]}{os.getpid()}x{next(_salts)}"


def server_cpu() -> float:
    """Return the processor seconds that the server has used so far."""
    fields = Path(f"/proc/{connection.status().pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def settle(most: float = 20.0) -> None:
    """Wait until the server, which records what runs tell it some time later, has caught up."""
    deadline, before = time.monotonic() + most, server_cpu()
    while time.monotonic() < deadline:
        time.sleep(0.25)
        now = server_cpu()
        if now - before < 0.03:
            return
        before = now


@contextmanager
def place(
    *, quick: bool, full: bool, prepare: Callable[[Path], AbstractContextManager[object]] = nullcontext
) -> Iterator[Place]:
    """Give a place whose server runs; server and folder are gone at the end, however it ends. `prepare` is around the server.

    What the environment says of Prefect and Stepwell counts no more; this checkout's code does, whatever is installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="stepwell-bench-"))
    os.environ.update(_environment(folder))
    try:
        with prepare(folder):
            try:
                connection.ensure_server()
                yield Place(folder, quick=quick, full=full)
            finally:
                connection.stop()
                overview.stop()
    finally:
        left = _left(folder)
        remove(folder)
        if left:
            print(f"Still at work in {folder}: processes {left}", file=sys.stderr)


def _environment(folder: Path) -> Mapping[str, str]:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "STEPWELL_"))]:
        del os.environ[name]
    code = os.pathsep.join(filter(None, (str(HERE.parent / "src"), os.environ.get("PYTHONPATH"))))
    return {"STEPWELL_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": code}


def _left(folder: Path, seconds: float = 5.0) -> list[int]:
    """Return the processes that still know of the folder after so many seconds; normally none."""
    deadline, name = time.monotonic() + seconds, str(folder).encode()
    while (found := [pid for pid in _others() if name in _surroundings(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _surroundings(pid: int) -> bytes:
    try:
        return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))
    except OSError:
        return b""
