"""The watchdog of containers: it removes what its host can't any more, and only that."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from waiting import eventually

from stepwell.blocks.compute.docker import container_watchdog

HOST = """
import os, subprocess, sys, time
reader, writer = os.pipe()
words = [sys.executable, "-I", "-S", sys.argv[1], str(os.getpid())]
watchdog = subprocess.Popen(words, stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True)
for line in sys.argv[2:]:
    os.write(writer, line.encode() + b"\\n")
print(watchdog.pid, flush=True)
time.sleep(900)
"""


@pytest.fixture
def host():
    """Return a function that starts a host, sends its watchdog these lines, and returns the host and the watchdog's id."""
    hosts = []

    def start(*lines):
        words = [sys.executable, "-c", HOST, container_watchdog.__file__, *lines]
        hosts.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return hosts[-1], int(hosts[-1].stdout.readline())

    yield start
    for process in hosts:
        process.kill()
        process.wait()
        process.stdout.close()


def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def up(engine, name, check=True):
    words = ("--init", "--network", "none", "--name", name, engine.image, "sleep", "300")
    engine.docker("run", "-d", *words, check=check)


def test_what_is_still_known_is_removed_and_what_has_ended_is_left_alone(docker_engine, host):
    up(docker_engine, "stepwell-test-known")
    up(docker_engine, "stepwell-test-other")
    try:
        known, other = (f"{docker_engine.address} stepwell-test-{name}" for name in ("known", "other"))
        process, watchdog = host(known, other, other)
        time.sleep(0.3)
        assert len(docker_engine.left()) == 2
        process.kill()
        eventually(lambda: gone(watchdog))
        assert [line.split()[0] for line in docker_engine.left()] == ["stepwell-test-other"]
    finally:
        docker_engine.docker("rm", "-f", "stepwell-test-known", "stepwell-test-other", check=False)


def test_one_that_is_made_late_is_removed_too(docker_engine, host):
    process, watchdog = host(f"{docker_engine.address} stepwell-test-late")
    process.kill()
    time.sleep(1.0)
    up(docker_engine, "stepwell-test-late", check=False)  # it may be gone before it is started
    eventually(lambda: gone(watchdog))
    assert docker_engine.nothing_left()


def test_it_ends_with_its_host_if_there_is_nothing_to_do(host):
    process, watchdog = host("unix:///nowhere a", "unix:///nowhere a")
    process.kill()
    eventually(lambda: gone(watchdog))


def test_an_engine_that_is_gone_is_given_up(host):
    process, watchdog = host("unix:///nowhere a", "tcp://127.0.0.1:9 b")
    process.kill()
    eventually(lambda: gone(watchdog))


def test_over_tcp_it_speaks_the_same():
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        heard = []

        def answer():
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert container_watchdog.remove(f"tcp://127.0.0.1:{server.getsockname()[1]}", "a") == 204
        thread.join()
    assert heard[0].startswith(b"DELETE /containers/a?force=1&v=1 HTTP/1.0\r\n")
