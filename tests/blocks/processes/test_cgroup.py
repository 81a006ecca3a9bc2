"""A cgroup: who is in it ends with the step whatever it did to itself, and where there is none the step runs all the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from process_bench import Bench, bench, start_host  # noqa: F401
from waiting import eventually

from stepwell.blocks.processes import cgroup, host_watchdog, runner
from stepwell.blocks.processes.cgroup import Cgroup, find_cgroups, new_cgroup
from stepwell.blocks.processes.process_tree import kill_stray

BARE = """
import os, resource, sys, time
time.sleep(0.2)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (hard, hard))
        os.execve('/bin/sleep', ['sleep', '987'], {})
    os._exit(0)
os.wait()
time.sleep(0.2)
"""
"""A daemon without the group, the variables and the limit by which members of a process tree are known."""


@pytest.fixture
def given(bench: Bench) -> None:  # noqa: F811
    """Skip the test where the kernel gives no cgroup."""
    made, process = new_cgroup(bench.marker), subprocess.Popen(["sleep", "30"])
    try:
        if made is None or not made.add(process.pid):
            pytest.skip("the kernel gives this process no cgroup")
    finally:
        process.kill()
        process.wait()
        if made:
            made.remove(5)


def test_a_daemon_that_took_off_all_its_marks_dies_with_the_step(bench: Bench, given: None) -> None:  # noqa: F811
    ended = bench.python(BARE)
    assert ended.ok and ended.guard == "cgroup"
    assert find_cgroups(bench.marker) == []


def test_it_dies_when_the_step_is_stopped(bench: Bench, given: None) -> None:  # noqa: F811
    ended = bench.python(BARE + "time.sleep(987)", timeout_seconds=2)
    assert ended.timed_out and bench.alive() == [] and find_cgroups(bench.marker) == []


def test_without_a_cgroup_the_marks_are_the_guard(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(runner, "new_cgroup", lambda _: None)
    ended = bench.run("sh", "-c", "setsid env -i sleep 987 & sleep 0.1")
    assert ended.ok and ended.guard == "marks"


def test_a_cgroup_that_takes_nobody_in_is_no_guard(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(runner, "new_cgroup", lambda _: Cgroup(bench.folder / "none"))
    assert bench.run("true").guard == "marks"


def test_where_the_hierarchy_can_not_be_written_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for own in (None, "/proc", "/nowhere"):
        monkeypatch.setattr(cgroup, "_own", lambda own=own: own and cgroup.Path(own))
        assert new_cgroup("test-x") is None


def test_a_host_that_is_killed_takes_it_along(bench: Bench, given: None) -> None:  # noqa: F811
    host = start_host(bench, "watched")
    assert find_cgroups(bench.marker)
    host.kill()
    host.wait()
    eventually(lambda: not bench.alive() and not find_cgroups(bench.marker))


def test_stray_processes_are_found_by_their_cgroup(bench: Bench, given: None) -> None:  # noqa: F811
    host = start_host(bench, "unwatched")
    host.kill()
    host.wait()
    assert kill_stray(bench.marker[:20]) >= 3  # with the one that has no environment
    eventually(lambda: not bench.alive())
    assert find_cgroups(bench.marker) == []


def test_members_are_killed_also_without_the_kernels_switch(bench: Bench, given: None) -> None:  # noqa: F811
    class Old(Cgroup):
        def kill(self) -> None:
            for pid in self.members():
                os.kill(pid, 9)

    made = new_cgroup(bench.marker)
    assert made
    old, process = Old(made.folder), subprocess.Popen(["sleep", "987"])
    assert old.add(process.pid) and old.members() == {process.pid} and old.populated()
    old.remove(5)
    assert process.wait() == -9 and not made.folder.exists()


def test_a_run_within_a_run_has_a_cgroup_of_its_own(bench: Bench, given: None) -> None:  # noqa: F811
    made = new_cgroup(bench.marker)
    assert made
    inner = Cgroup(made.folder / "stepwell.inner")
    inner.folder.mkdir()
    process = subprocess.Popen(["sleep", "987"])
    assert inner.add(process.pid)
    made.remove(5)
    assert process.wait() == -9 and not made.folder.exists()


def test_processes_of_other_pid_namespaces_have_no_number_and_are_no_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number reads as 0, which would mean our own group to `kill`."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    for folder in (tmp_path / "a", tmp_path / "b"):
        (folder / "cgroup.kill").mkdir(parents=True)  # as if there were no such switch, as in older kernels
        (folder / "cgroup.procs").write_text("0\n0\n99999999\n")
    assert Cgroup(tmp_path / "a").members() == {99999999}
    Cgroup(tmp_path / "a").kill()
    host_watchdog._remove(os.fsencode(tmp_path / "b"))
    assert killed == [99999999] * 2
