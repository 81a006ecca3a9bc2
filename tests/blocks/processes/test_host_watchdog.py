"""The watchdog: nothing survives a host that is killed, and what the host did not run does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from process_bench import Bench, bench, start_host  # noqa: F401
from waiting import eventually

PRETENDER = """
import os, subprocess, sys, time
from stepwell.blocks.processes import host_watchdog as process_watchdog
argv = [sys.executable, "-I", "-S", process_watchdog.__file__, str(os.getpid()), "STEPWELL_MARKER"]
watchdog = subprocess.Popen(argv, stdin=subprocess.PIPE, bufsize=0)
watchdog.stdin.write(sys.argv[1].encode().replace(b"%00", b"\\0"))
print(watchdog.pid, flush=True)
time.sleep(900)
"""


def test_nothing_survives_a_host_that_is_killed(bench: Bench) -> None:
    host = start_host(bench, "watched")
    assert len(bench.alive()) >= 3
    host.kill()
    host.wait()
    eventually(lambda: not bench.alive())


def test_watchdog_kills_process_trees_that_run_and_forgets_those_that_ended(bench: Bench, tmp_path: Path) -> None:
    for kind in ("ended folder", "running folder"):
        (tmp_path / kind / "inner").mkdir(parents=True)
    markers = {kind: f"{bench.marker}-{kind}" for kind in ("ended", "running", "unreported")}
    sleepers = {
        kind: subprocess.Popen(["sleep", "900"], env={"STEPWELL_MARKER": f"outer {marker}"})
        for kind, marker in markers.items()
    }
    lines = f"{markers['ended']} 1 \0{tmp_path}/ended folder\n{markers['running']} 2 \0{tmp_path}/running folder\n"
    lines += f"{markers['ended']} 1 \0{tmp_path}/ended folder\n"
    host = subprocess.Popen(
        [sys.executable, "-c", PRETENDER, lines.replace("\0", "%00")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with host:
        watchdog = psutil.Process(int(host.stdout.readline()))
        time.sleep(0.1)
        assert all(sleeper.poll() is None for sleeper in sleepers.values())
        host.kill()
    eventually(lambda: not watchdog.is_running() or watchdog.status() == psutil.STATUS_ZOMBIE)
    assert sleepers["running"].wait() == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["ended folder"]
    for kind in ("ended", "unreported"):
        assert sleepers[kind].poll() is None
        sleepers[kind].kill()
        sleepers[kind].wait()


def test_watchdog_ends_with_a_host_that_ends_by_itself(bench: Bench) -> None:
    code = "import os, sys, time; print(os.getpid(), flush=True); from stepwell.blocks.processes.host import host\n"
    code += "with host.running(sys.argv[1]): pass"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    host = subprocess.check_output([sys.executable, "-c", code, bench.marker], env=environment, text=True).strip()

    def watchdogs() -> list[int]:
        lines = {process.pid: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
        return [
            pid
            for pid, line in lines.items()
            if host in line and any(text.endswith("processes/host_watchdog.py") for text in line)
        ]

    eventually(lambda: not watchdogs())
