"""A server that does not answer: few wait in vain, and nobody who must have what it holds gives up unasked."""

from __future__ import annotations

import socket

import pytest

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.errors import DatastoreException


@pytest.fixture
def opened():
    """Give what opens objects of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}

        def opened(**more):
            return RemoteObjects("s3://team/data", options, **{"timeout": 0.2, "pauses": (0.0,) * 9, **more})

        yield opened


def in_vain(objects):
    """Ask, and return how many requests that took."""
    before = objects.traffic.requests
    with pytest.raises(DatastoreException):
        objects.get("a")
    return objects.traffic.requests - before


def test_who_only_shares_rests_once_somebody_waited_in_vain(opened):
    look, sends, moves, others = opened(), opened(rests=0.2), opened(timeout=0.4, rests=0.4), opened(rests=0.5)
    assert not sends.rests and in_vain(look)
    assert sends.rests and in_vain(sends) == 0
    assert not moves.rests and in_vain(moves) == 1  # it waits for longer, and once
    assert moves.rests and in_vain(moves) == 0
    assert not others.rests
    assert in_vain(look)  # who never rests asks


def test_an_answer_ends_the_rest(opened, monkeypatch):
    look, sends = opened(), opened(rests=0.2)
    assert in_vain(look) and sends.rests
    answers = opened()
    monkeypatch.setattr(answers, "_driver", type("Driver", (), {"get": lambda *_: b"x"})())
    assert answers.get("a") == b"x"
    assert not sends.rests


def test_who_was_refused_did_not_wait():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{closed.getsockname()[1]}"}
    sends, looks = (RemoteObjects("s3://team/data", options, pauses=(), rests=rests) for rests in (5.0, 0.0))
    assert in_vain(sends)
    assert not sends.rests and looks.rests
    assert looks.why_silent() == ""


def test_who_asks_whether_it_answers_believes_who_waited(opened):
    look, sends = opened(), opened(timeout=0.4)
    assert "Timeout" in look.why_silent()
    asked = look.traffic.requests
    assert look.why_silent() and look.traffic.requests == asked
    assert in_vain(sends)
