from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import psutil
import pytest
from waiting import eventually, has_ended

from stepwell.deployments.serve.supervisor import Child, Supervisor, only_one
from stepwell.errors import UserErrorException

PROCESS_TREE = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)']); print('here', flush=True); time.sleep(900)"


@pytest.fixture
def supervised(tmp_path):
    made = []

    def supervise(code, **more):
        supervisor = Supervisor(tmp_path, [Child("one", (sys.executable, "-c", code), ready_marker="here", **more)])
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield supervise
    for supervisor in made:
        supervisor.stop()


def is_alive(member):
    with contextlib.suppress(psutil.NoSuchProcess):
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    return False


def process_tree(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def test_children_run_and_end_with_everybody_they_started(supervised):
    supervisor = supervised(PROCESS_TREE, grace_seconds=0.2)
    eventually(lambda: supervisor.is_ready("one"))
    members = process_tree(supervisor.pids()["one"])
    assert len(members) == 3
    supervisor.stop()
    eventually(lambda: not any(map(is_alive, members)))  # a killed process takes its time to go
    assert supervisor.pids() == {}


def test_who_dies_is_started_again_and_said_so(supervised, tmp_path, capsys):
    supervisor = supervised("print('here'); raise SystemExit(3)")
    first = supervisor.pids()["one"]

    def again():
        supervisor.check()
        return supervisor.pids().get("one", first) != first

    eventually(again)
    assert "one | ended with code 3; starts again in 0.2 s" in capsys.readouterr().err
    eventually(lambda: "here" in (tmp_path / "one.log").read_text())


def test_children_end_with_a_supervisor_that_is_killed(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from stepwell.deployments.serve.supervisor import Child, Supervisor
supervisor = Supervisor(Path({str(tmp_path)!r}), [Child("one", (sys.executable, "-c", {PROCESS_TREE!r}), grace_seconds=0.2, ready_marker="here")])
supervisor.start()
while not supervisor.is_ready("one"):
    time.sleep(0.02)
print(supervisor.pids()["one"], flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    members = process_tree(int(process.stdout.readline()))
    assert len(members) == 3
    process.kill()
    process.wait()
    eventually(lambda: all(has_ended(member.pid) for member in members))


def test_what_does_not_listen_is_killed(supervised):
    supervisor = supervised(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(900)",
        grace_seconds=0.2,
    )
    eventually(lambda: supervisor.is_ready("one"))
    members = process_tree(supervisor.pids()["one"])
    supervisor.stop()
    assert members
    eventually(lambda: all(has_ended(one.pid) for one in members))


def test_a_command_that_is_none_is_tried_again(tmp_path):
    supervisor = Supervisor(tmp_path, [Child("none", ("/nonexistent",))])
    supervisor.start()

    def told():
        supervisor.check()
        log = tmp_path / "none.log"
        return log.exists() and "starts again in 0.4 s" in log.read_text()

    eventually(told)
    supervisor.stop()


def test_only_one_supervises_a_folder(tmp_path):
    with only_one(tmp_path), pytest.raises(UserErrorException, match=str(os.getpid())), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        assert (tmp_path / "pid").read_text() == str(os.getpid())
        (tmp_path / "place").write_text("far pid:[1]")
        with pytest.raises(UserErrorException, match="machine it is on") as raised, only_one(tmp_path):
            pass
        assert "far" in str(raised.value) and str(os.getpid()) not in str(raised.value)
    assert not (tmp_path / "pid").exists()
