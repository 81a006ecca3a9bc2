"""Connections are one user's at a time, do for the next one, and are not kept when they may be at fault."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from keeping import in_child
from object_stores import place

from stepwell.blocks.remote.storage_drivers import connections as module
from stepwell.blocks.remote.storage_drivers.connections import Connections
from stepwell.blocks.remote.objects import RemoteObjects

NUMBERS = itertools.count()


class Line:
    """A connection that notes that it was closed."""

    open = True

    def close(self) -> None:
        self.open = False


@pytest.fixture(autouse=True)
def no_clock_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_SECONDS", math.inf)


@pytest.fixture
def server() -> str:
    return f"server {next(NUMBERS)}"


def connections(server: str) -> Connections:
    return Connections(server, Line, lambda line: line.open, Line.close)


def used(server: str) -> Line:
    with connections(server).lent() as line:
        return line


def test_who_comes_next_has_the_same_one(server):
    assert used(server) is used(server)
    assert used(server) is not used(f"another {server}")


def test_who_comes_meanwhile_has_another(server):
    with connections(server).lent() as one, connections(server).lent() as other:
        assert one is not other
    assert {used(server), used(server)} < {one, other} and one.open and other.open


@pytest.mark.parametrize(("error", "stays"), [(FileNotFoundError(), True), (PermissionError(), True), (OSError("Failure"), True),
                                              (TimeoutError(), False), (EOFError(), False), (ConnectionResetError(), False),
                                              (KeyboardInterrupt(), False)])  # fmt: skip
def test_one_that_may_be_at_fault_is_closed(server, error, stays):
    with pytest.raises(type(error)), connections(server).lent() as line:
        raise error
    assert line.open is stays and (used(server) is line) is stays


def test_one_that_broke_is_not_used_again(server):
    first = used(server)
    first.open = False
    assert used(server) is not first


def test_one_that_was_silent_for_long_is_closed(server, monkeypatch):
    first = used(server)
    monkeypatch.setattr(module, "_KEPT_SECONDS", -1.0)
    assert used(server) is not first and not first.open


def test_no_more_are_kept_than_a_few(server):
    lent = [connections(server).lent() for _ in range(module._MOST_KEPT + 2)]
    lines = [one.__enter__() for one in lent]
    for one in lent:
        one.__exit__(None, None, None)
    assert [line.open for line in lines] == [False] * 2 + [True] * module._MOST_KEPT
    connections(server).close_kept()
    assert not any(line.open for line in lines)


def test_a_forked_process_has_its_own(server):
    ours = used(server)
    assert in_child(lambda: used(server) is not ours and ours.open) == 0
    assert used(server) is ours


def test_stores_of_a_process_speak_on_one_connection_of_sftp(tmp_path: Path, monkeypatch):
    from paramiko import SSHClient

    made, connect = [], SSHClient.connect

    def noted(client: SSHClient, *arguments: object, **more: object) -> None:
        made.append(client)
        connect(client, *arguments, **more)

    monkeypatch.setattr(SSHClient, "connect", noted)
    with place("sftp", tmp_path) as at:
        for number in range(3):
            RemoteObjects(f"{at.url}/{number}", at.options, pauses=()).put("name", b"held")
        assert [entry.name for entry in RemoteObjects(at.url, at.options, pauses=()).list()] == [
            "0/name",
            "1/name",
            "2/name",
        ]
        assert len(made) == 1
        made[0].close()  # as a server does that is started anew
        assert RemoteObjects(f"{at.url}/0", at.options, pauses=()).get("name") == b"held"
        assert len(made) == 2
