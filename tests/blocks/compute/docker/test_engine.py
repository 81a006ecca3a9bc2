"""A Docker engine: reached within seconds or an error, and cleaned of containers that dead hosts left."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import PATIENCE

from stepwell.blocks.compute.docker.engine import connect
from stepwell.errors import ComputeTargetException

SOURCE = Path(__file__).resolve().parents[4] / "src"
SETTINGS = {"Cmd": ["sleep", "300"], "HostConfig": {"NetworkMode": "none", "Init": True}}


def refused(address):
    began = time.monotonic()
    with pytest.raises(ComputeTargetException) as caught:
        connect("far", address)
    assert time.monotonic() - began < PATIENCE
    assert caught.value.facts["target"] == "far" and caught.value.facts["engine"] == address
    return caught.value


def test_no_engine_is_told_at_once(tmp_path):
    assert "can't be reached" in refused(f"unix://{tmp_path}/none.sock").title


def test_a_closed_port_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert refused(f"tcp://127.0.0.1:{free.getsockname()[1]}").facts["reason"] == "Connection refused"


def test_one_that_takes_calls_and_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("stepwell.blocks.compute.docker.engine._CONNECT_SECONDS", 0.5)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen()
        assert "can't be reached" in refused(f"unix://{tmp_path}/mute.sock").title


@pytest.mark.parametrize("address", ["ssh://me@far.example", "https://far.example:2376"])
def test_one_elsewhere_sees_no_files_of_ours(address):
    assert "can't see this machine's files" in refused(address).title


def test_a_socket_that_is_not_ours_is_told(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not")
    path = tmp_path / "closed.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(path))
        closed.listen()
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        for folder in (tmp_path, *tmp_path.parents):
            folder.chmod(folder.stat().st_mode | 0o011)
        code = f"""
from stepwell.blocks.compute.docker.engine import connect
import docker, os, requests
os.setuid(65534)
try:
    connect("far", "unix://{path}")
except Exception as error:
    print(error)
"""
        result = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True
        )
    assert "you may not speak to its Docker engine" in result.stdout, result.stderr


def test_a_container_is_gone_though_its_use_failed(docker_engine):
    engine = connect("docker")
    with (
        pytest.raises(ZeroDivisionError),
        engine.container("stepwell-test-gone", {"Image": docker_engine.image, **SETTINGS}) as container,
    ):
        engine.api.start(container)
        assert any("Up" in line for line in docker_engine.left())
        raise ZeroDivisionError
    assert docker_engine.nothing_left()


def test_what_a_dead_host_left_is_removed_by_the_next_and_what_lives_is_not(docker_engine):
    code = f"""
import os, sys
from stepwell.blocks.compute.docker import engine as docker_engine
docker_engine._start_watchdog = lambda: -1
engine = docker_engine.connect("docker")
using = engine.container(sys.argv[1], {{"Image": {docker_engine.image!r}, **{SETTINGS!r}}})
engine.api.start(using.__enter__())
print("up", flush=True)
sys.stdin.read()
os._exit(0)
"""
    clean_up = "from stepwell.blocks.compute.docker.engine import connect; connect('docker')"
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"stepwell-test-{name}"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("dead", "alive")
    ]
    try:
        assert [host.stdout.readline() for host in hosts] == [b"up\n"] * 2
        hosts[0].kill()
        hosts[0].wait()
        subprocess.run([sys.executable, "-c", clean_up], env=env, check=True)
        assert [line.split()[0] for line in docker_engine.left()] == ["stepwell-test-alive"]
    finally:
        for host in hosts:
            host.kill()
            host.wait()
            host.stdin.close()
            host.stdout.close()
        subprocess.run([sys.executable, "-c", clean_up], env=env, check=True)
    assert docker_engine.nothing_left()
