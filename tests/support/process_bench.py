"""What tests of processes share: a bench that runs commands and misses nobody, and hosts to be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from waiting import eventually

from stepwell.blocks.processes import process_tree
from stepwell.blocks.processes.command import Command
from stepwell.blocks.processes.output import unchanged
from stepwell.blocks.processes.runner import StopSignal, run_process
from stepwell.model.records import Exit

HOST = """
import sys
from pathlib import Path
from stepwell.blocks.processes import host as process_host
from stepwell.blocks.processes.command import Command
from stepwell.blocks.processes.runner import StopSignal, run_process
folder, marker, path = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if sys.argv[4] == "unwatched":
    process_host._start_watchdog = lambda: -1
script = "setsid env -i sleep 987 & setsid sleep 987 & sleep 0.1; touch started; sleep 987"
command = Command(("sh", "-c", script), folder, {"PATH": path}, marker, *(folder / n for n in "abc"))
run_process(command, print, StopSignal())
"""


OWN = f"987.{os.getpid()}"
"""What 987 in a command becomes, so that its sleepers are known, and not taken for those of tests that run beside."""


@dataclass
class Bench:
    """A folder to run commands in, which knows every process that bears their marker."""

    folder: Path
    marker: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex}")
    texts: list[str] = field(default_factory=list)

    def command(self, *argv: str, **changes: object) -> Command:
        paths = [self.folder / name for name in ("out.txt", "err.txt", "both.txt")]
        variables = {"PATH": os.environ["PATH"]}
        argv = tuple(word.replace("987", OWN) for word in argv)
        return replace(Command(argv, self.folder, variables, self.marker, *paths), **changes)  # type: ignore[arg-type]

    def run(
        self, *argv: str, stop: StopSignal | None = None, redact: Callable[[str], str] | None = None, **changes: object
    ) -> Exit:
        command = self.command(*argv, **changes)
        return run_process(command, self.texts.append, stop or StopSignal(), redact or unchanged)

    def python(self, code: str, *argv: str, **options: object) -> Exit:
        return self.run(sys.executable, "-c", textwrap.dedent(code), *argv, **options)  # type: ignore[arg-type]

    def read(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def alive(self) -> list[int]:
        return [p.pid for p in psutil.process_iter() if self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return self.marker in process.environ().get("STEPWELL_MARKER", "") or OWN in process.cmdline()
        except psutil.Error:
            return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    zombies = {p.pid for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE}
    yield made
    assert not process_tree._mains
    assert made.alive() == []
    assert {p.pid for p in psutil.Process().children() if p.status() == psutil.STATUS_ZOMBIE} <= zombies


def start_host(bench: Bench, kind: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", HOST.replace("987", OWN), str(bench.folder), bench.marker, os.environ["PATH"], kind]
    host = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    eventually((bench.folder / "started").exists)
    return host
