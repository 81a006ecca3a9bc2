"""One container of a real engine: what it writes, on which channel, how it ends, and that it is gone then."""

from __future__ import annotations

import threading
import uuid

import pytest
from waiting import in_time

from stepwell.blocks.compute.docker.container import ERR, OUT, ContainerSpec, run_container
from stepwell.blocks.compute.docker.engine import connect
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException


@pytest.fixture
def run(docker_engine):
    """Return a function that runs a command in a container; it returns the exit and what came on both channels."""

    def run(*words, stop=None, on_success=None, host=(), **more):
        settings = {
            "Image": docker_engine.image,
            "Cmd": list(words),
            "HostConfig": {"NetworkMode": "none", **dict(host)},
        }
        output = {OUT: [], ERR: []}
        spec = ContainerSpec(f"stepwell-test-{uuid.uuid4().hex}", settings, **more)
        end = run_container(
            connect("docker"),
            spec,
            lambda channel, data: output[channel].append(data),
            stop or StopSignal(),
            on_success,
        )
        return end, b"".join(output[OUT]), b"".join(output[ERR])

    yield run
    assert docker_engine.nothing_left()


def test_each_channel_comes_whole(run):
    end, out, err = run("sh", "-c", "seq 100000; seq 50000 >&2")
    assert out == b"".join(b"%d\n" % i for i in range(1, 100_001))
    assert err == b"".join(b"%d\n" % i for i in range(1, 50_001))
    assert (end.code, end.why, end.out_of_memory) == (0, "", False)


@pytest.mark.parametrize("data", [b"", b"\0\xff\n", b"x" * 5_000_000], ids=["none", "odd", "much"])
def test_what_it_reads_comes_whole_and_ends(run, data):
    _, out, _ = run("sh", "-c", "wc -c; md5sum < /dev/null", stdin=data)
    assert out.split()[0] == str(len(data)).encode()


def test_who_does_not_read_is_not_waited_for(run):
    end, out, _ = run("echo", "done", stdin=b"x" * 5_000_000)
    assert end.code == 0 and out == b"done\n"


@pytest.mark.parametrize(
    ("line", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("kill -SEGV $$", -11), ("exit 255", 255)]
)
def test_the_code_tells_how_it_ended(run, line, code):
    assert run("sh", "-c", line)[0].code == code


def test_a_timeout_asks_first_and_then_kills(run):
    def limited(trap, **more):
        line = f"trap {trap} TERM; echo up; while :; do sleep 0.1; done"
        attempt = lambda seconds: run("sh", "-c", line, timeout_seconds=seconds, **more)  # noqa: E731
        return in_time(attempt, lambda ended: ended[1])

    end, out, _ = limited("'echo bye; exit 4'")
    assert (end.why, end.code, out) == ("timeout", 4, b"up\nbye\n")
    end, out, _ = limited("''", grace_seconds=0.3)
    assert (end.why, end.code, out) == ("timeout", -9, b"up\n")


def test_a_stop_ends_it(run):
    stop = StopSignal()
    threading.Timer(1.0, stop.stop).start()
    end, _, _ = run("sleep", "900", stop=stop)
    assert end.why == "stop" and end.code == -15


def test_on_success_is_called_only_if_all_went_well(run):
    made = []
    run("true", on_success=made.append)
    run("false", on_success=made.append)
    assert len(made) == 1


def test_an_engine_that_does_not_see_our_files_says_so(run):
    mount = {"Type": "bind", "Source": "/not/there", "Target": "/x"}
    with pytest.raises(ComputeTargetException, match="does not see this machine's files"):
        run("true", host={"Mounts": [mount]})


def test_what_the_engine_refuses_is_told_with_its_reason(run):
    with pytest.raises(ComputeTargetException, match="refused what a step needs") as caught:
        run("true", host={"NetworkMode": "no-such-network"})
    assert "no-such-network" in caught.value.facts["reason"]
