"""The socket of a step: it stands a flood and garbage, serves at once, and is gone when its step is."""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import suppress

import pytest
from stepwell.blocks.processes.step_channel import listening
from waiting import eventually


def connected(place):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(place))
    return connection


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    return folder / "channel"


def test_nothing_is_made_where_nobody_answers(place):
    with listening(None, place, same_files=True):
        assert not place.exists()


def test_it_is_its_users_alone_and_answers_many_at_once(place):
    together = threading.Barrier(8)

    def serve(connection, same_files):
        together.wait()  # a server of one at a time would never come here
        connection.sendall(b"yes" if same_files else b"no")

    with listening(serve, place, same_files=True):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        connections = [connected(place) for _ in range(8)]
        assert [connection.recv(9) for connection in connections] == [b"yes"] * 8
        for connection in connections:
            connection.close()


def test_a_flood_and_errors_of_handlers_leave_it_at_work_and_it_ends_all_the_same(place):
    served = []

    def serve(connection, _):
        data = connection.recv(9)
        served.append(data)
        if data == b"fail":
            raise OSError("the script hung up")
        connection.sendall(data)

    silent = []
    with listening(serve, place, same_files=True):
        for _ in range(40):
            with connected(place) as connection:
                connection.sendall(b"fail")
        with connected(place) as connection:
            connection.sendall(b"well")
            assert connection.recv(9) == b"well"
        silent += [connected(place) for _ in range(60)]  # more than are served at once, and none says a word
    for connection in silent:
        with connection, suppress(ConnectionResetError):
            assert connection.recv(9) == b""
    assert served.count(b"fail") == 40
    with pytest.raises(OSError):
        connected(place)
    assert eventually(
        lambda: not [t for t in threading.enumerate() if t.name in ("stepwell-request", "stepwell-step-channel")]
    )


def test_a_place_that_the_step_took_away_harms_nobody_else(place):
    with listening(lambda connection, _: connection.sendall(b"x"), place, same_files=True):
        os.unlink(place)
    with listening(lambda connection, _: connection.sendall(b"x"), place, same_files=True), connected(place) as one:
        assert one.recv(1) == b"x"
