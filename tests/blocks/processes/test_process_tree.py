"""Process trees: children, orphans and daemons die with the step, and nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from process_bench import HOST, Bench, bench, start_host  # noqa: F401
from waiting import eventually, in_time

from stepwell.blocks.processes import process_tree
from stepwell.blocks.processes.cgroup import Cgroup
from stepwell.blocks.processes.process_tree import kill_stray
from stepwell.errors import UserErrorException
from stepwell.model.records import Exit

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        {action}
    os._exit(0)
os.wait()
time.sleep(0.1)
"""


@pytest.mark.parametrize(
    "script",
    [
        "nohup sleep 987 >/dev/null 2>&1 &",
        "setsid sleep 987 &",
        "setsid sh -c 'setsid sleep 987 & sleep 987' & sleep 0.1",
        "setsid env -i sleep 987 & sleep 0.1",
        "env -i setsid sh -c 'setsid sleep 987 & setsid sleep 987 & exec sleep 987' & sleep 0.1",
        "(trap '' TERM HUP INT; setsid sleep 987 &) &",
    ],
)
def test_background_children_die_with_the_step(bench: Bench, script: str) -> None:
    assert bench.run("sh", "-c", script).ok


def test_daemon_that_forks_twice_dies_with_the_step(bench: Bench) -> None:
    assert bench.python(DAEMON.format(action="os.execvp('sleep', ['sleep', '987'])")).ok


def test_daemon_that_overwrites_its_environment_and_breeds_dies_too(bench: Bench) -> None:
    script = "for _ in $(seq 999); do setsid sleep 987 & sleep 0.01; done; exec sleep 987"
    action = f"os.execve('/bin/sh', ['sh', '-c', '{script}'], {{'PATH': os.environ['PATH']}})"
    assert bench.python(DAEMON.format(action=action)).ok


def test_daemon_that_was_quicker_than_the_cgroup_dies_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Cgroup.add

    def slow(cgroup: Cgroup, pid: int) -> bool:
        eventually((bench.folder / "left").exists)
        return add(cgroup, pid)

    monkeypatch.setattr(Cgroup, "add", slow)
    action = "open('left', 'w'); os.execve('/bin/sleep', ['sleep', '987'], {})"
    assert bench.python(DAEMON.format(action=action)).ok


def test_daemon_dies_when_the_step_is_stopped(bench: Bench) -> None:
    code = DAEMON.format(action="os.execvp('sleep', ['sleep', '987'])") + "\nopen('up', 'w')\ntime.sleep(987)"
    ended = in_time(
        lambda seconds: bench.python(code, timeout_seconds=seconds), lambda _: (bench.folder / "up").exists()
    )
    assert ended.timed_out


def test_marker_and_relationship_are_enough_without_tags(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_tree, "put_tag", lambda pid, tag: None)
    assert bench.run("sh", "-c", "setsid sh -c 'env -i setsid sleep 987 & exec sleep 987' & sleep 0.2").ok


def test_other_children_of_the_host_are_left_alone(bench: Bench) -> None:
    mine = subprocess.Popen(["sleep", "900"], start_new_session=True)
    parent = subprocess.Popen(["sh", "-c", "sleep 901 & wait"])
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(bench.run, "sh", "-c", "setsid sleep 987 & sleep 0.5")
        time.sleep(0.2)
        orphan = int(subprocess.check_output(["sh", "-c", "sleep 902 >/dev/null & echo $!"]))
        assert pending.result().ok
    others = [psutil.Process(mine.pid), *psutil.Process(parent.pid).children(), psutil.Process(orphan)]
    assert [other.cmdline() for other in others] == [["sleep", "900"], ["sleep", "901"], ["sleep", "902"]]
    for other in others:
        other.kill()
    assert parent.wait() == 0 and mine.wait() == -9
    os.waitpid(orphan, 0)


def test_runs_do_not_touch_each_other(tmp_path: Path, bench: Bench) -> None:
    def one(number: int) -> Exit:
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        return Bench(folder).run(
            "sh", "-c", f"setsid sleep 987 & sleep {0.01 * (number % 7)}; echo {number}; exit {number % 3}"
        )

    with ThreadPoolExecutor(8) as pool:
        exits = list(pool.map(one, range(40)))
    assert [exit.code for exit in exits] == [number % 3 for number in range(40)]
    assert all((tmp_path / f"run{number}" / "out.txt").read_text() == f"{number}\n" for number in range(40))


def test_run_within_a_run_ends_with_it(bench: Bench) -> None:
    argv = (str(bench.folder), "inner", os.environ["PATH"], "unwatched")
    variables = {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = bench.folder / "started"
    ended = in_time(
        lambda seconds: bench.run(sys.executable, "-c", HOST, *argv, variables=variables, timeout_seconds=seconds),
        lambda _: started.exists(),
    )
    assert ended.timed_out and started.exists()


def test_stray_processes_of_a_dead_host_are_found_by_their_marker(bench: Bench) -> None:
    host = start_host(bench, "unwatched")
    host.kill()
    host.wait()
    assert len(bench.alive()) >= 3
    assert kill_stray(bench.marker[:20]) >= 2
    for pid in bench.alive():  # the one without an environment: only a living host finds it
        assert "STEPWELL_MARKER" not in psutil.Process(pid).environ()
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not bench.alive())


def test_stray_search_kills_nobody_else(bench: Bench) -> None:
    assert kill_stray("test-no-such-run") == 0
    with pytest.raises(UserErrorException):
        kill_stray("")
