"""The script's side of the channel: requests, files both ways, errors of the host, a host that is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stepwell.blocks.processes.step_channel import listening
from stepwell.errors import ModelNotFoundException, RunEnvironmentException, StepwellError, UserErrorException
from stepwell.script import channel
from stepwell.script.frames import ClosedError, read_frame, read_tree, write_frame, write_tree

SOURCE = Path(channel.__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "given" / "inner").mkdir(parents=True)
    (tmp_path / "given" / "inner" / "run.sh").write_text("echo")
    (tmp_path / "given" / "inner" / "run.sh").chmod(0o755)
    (tmp_path / "given" / "empty").mkdir()
    (tmp_path / "given" / "link").symlink_to(tmp_path / "given" / "inner" / "run.sh")
    return tmp_path


@pytest.fixture
def host(folder, monkeypatch):
    """Answer what is asked in this process, as a host would: `echo`, `error`, `folder`, and `keep` of what is sent."""

    def serve(connection, same_files):
        try:
            request = read_frame(connection)
        except ClosedError:
            return
        match request["operation"]:
            case "error":
                error = {"class": "ModelNotFoundException", "title": "gone", "facts": {"name": "x"}, "hint": "Look."}
                write_frame(connection, {"error": error})
            case "strange":
                write_frame(connection, {"error": {"class": "SystemExit", "title": "no"}})
            case "folder":
                write_frame(connection, {})
                write_tree(connection, str(folder / "given"))
            case "place":
                write_frame(connection, {"path": str(folder / "given")})
            case "keep":
                target = folder / "kept" / os.urandom(4).hex()
                target.mkdir(parents=True)
                write_frame(connection, {"value": read_tree(connection, str(target))})
            case "hang up":
                return
            case _:
                write_frame(connection, {"value": request["arguments"]})

    place = folder / ("x" * 150) / "channel"  # too long for an address
    place.parent.mkdir()
    monkeypatch.setenv(channel.SOCKET, str(place))
    monkeypatch.setenv(channel.TOKEN, "token")
    with listening(serve, place, same_files=False):
        yield place


def test_without_a_step_there_is_no_channel(monkeypatch):
    monkeypatch.delenv(channel.SOCKET, raising=False)
    assert not channel.available()
    with pytest.raises(RunEnvironmentException, match="inside a step"):
        channel.ask("echo")


def test_values_arrive_and_come_back(host):
    assert channel.available()
    assert channel.ask("echo", name="ü", many=[1, None, {"a": 0.5}]) == {"name": "ü", "many": [1, None, {"a": 0.5}]}
    with pytest.raises(UserErrorException, match="can't be sent"):
        channel.ask("echo", thing=object())


def test_errors_of_the_host_are_the_same_errors_here(host):
    with pytest.raises(ModelNotFoundException) as caught:
        channel.ask("error")
    assert (caught.value.title, caught.value.facts, caught.value.hint) == ("gone", {"name": "x"}, "Look.")
    with pytest.raises(StepwellError, match="no"):
        channel.ask("strange")


def test_folders_and_files_travel_both_ways(host, folder):
    place = Path(channel.receive("folder"))
    assert place.name == "given" and place.is_relative_to(host.parent / channel.RECEIVED)
    assert os.access(place / "inner" / "run.sh", os.X_OK) and (place / "empty").is_dir()
    assert (place / "link").read_text() == "echo" and not (place / "link").is_symlink()
    assert channel.receive("place") == str(folder / "given")
    kept = Path(channel.send("keep", folder / "given"))
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*")) == [
        "empty", "inner", "inner/run.sh", "link",
    ]  # fmt: skip
    assert Path(channel.send("keep", folder / "given" / "link")).read_text() == "echo"
    with pytest.raises(FileNotFoundError):
        channel.send("keep", folder / "nothing")


def test_threads_forks_and_closed_descriptors_do_not_mix_requests_up(host):
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: channel.ask("echo", n=n)["n"], range(200))) == list(range(200))
    script = """
import os, sys
from stepwell.script import channel
os.closerange(3, 256)
children = [os.fork() for _ in range(4)]
for n in range(20):
    assert channel.ask("echo", n=[os.getpid(), n])["n"] == [os.getpid(), n]
if 0 in children:
    os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(SOURCE)}).returncode == 0


def test_a_host_that_is_gone_or_hangs_up_is_one_clear_error(host):
    with pytest.raises(RunEnvironmentException, match="does not answer"):
        channel.ask("hang up")
    host.unlink()
    with pytest.raises(RunEnvironmentException, match="does not answer") as caught:
        channel.ask("echo")
    assert caught.value.facts["asked for"] == "echo" and caught.value.hint


def pair():
    return socket.socketpair()


@pytest.mark.parametrize(
    "entries",
    [
        [{"path": "../out", "size": 0}],
        [{"path": "/etc/x", "size": 0}],
        [{"path": "a/../../x", "size": 0}],
        [{"path": "a", "folder": True}, {"path": "b/x", "size": 0}],
        [{"path": "a\0b", "size": 0}],
        [{"path": "a", "size": -1}],
        [{"path": "a", "size": True}],
        [{"path": ["a"], "size": 0}],
        [{"path": "a", "size": 1 << 60}],
        [{}],
    ],
)
def test_a_tree_that_is_none_is_refused(entries, tmp_path):
    ours, theirs = pair()
    with ours, theirs:
        for entry in (*entries, {}):
            write_frame(theirs, entry)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((ValueError, OSError)):
            read_tree(ours, str(tmp_path / "target"), 1 << 20)
    assert not (tmp_path / "out").exists()


def test_a_frame_that_is_too_large_or_cut_off_or_no_object_is_refused():
    for data, error in (
        (b"\xff\xff\xff\xff", ValueError),
        (b"\0\0\0\x05{}", ClosedError),
        (b"\0\0\0\x02[]", ValueError),
        (b"\0\0\0\x02{x", ValueError),
        ((200_000).to_bytes(4, "big") + b"[" * 200_000, ValueError),
        (b"", ClosedError),
    ):
        ours, theirs = pair()
        with ours, theirs:
            sender = threading.Thread(target=lambda: (theirs.sendall(data), theirs.shutdown(socket.SHUT_WR)))
            sender.start()
            with pytest.raises(error):
                read_frame(ours)
            sender.join()


def test_the_import_brings_nothing_else():
    names = (
        "import sys, stepwell.script; a = {*sys.modules}; import stepwell.script.channel; print(*{*sys.modules} - a)"
    )
    variables = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", names], env=variables, capture_output=True, text=True)
    assert {*done.stdout.split()} - {"__future__"} == {"stepwell.script.channel", "stepwell.errors"}, done.stderr
