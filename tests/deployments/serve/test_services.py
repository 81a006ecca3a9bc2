"""What `stepwell serve` refuses and says; that it serves is shown by the tests of published pipelines, end to end."""

from __future__ import annotations

import os
import socket

import pytest

from stepwell.deployments.serve import services
from stepwell.deployments.serve.services import ServeOptions, children, table
from stepwell.deployments.serve.supervisor import only_one
from stepwell.errors import UserErrorException


def test_without_tokens_only_this_machine_is_served():
    with pytest.raises(UserErrorException):
        services.serve(ServeOptions(host="0.0.0.0", token=False))


def test_a_taken_port_is_told_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserErrorException, match="can't listen"):
            services.serve(ServeOptions(port=taken.getsockname()[1]))


def test_a_second_one_is_refused(stepwell_home):
    with only_one(stepwell_home / "serve"), pytest.raises(UserErrorException, match=str(os.getpid())):
        services.serve(ServeOptions(port=4999))


def test_the_children_are_what_was_asked_for(server):
    endpoint, worker = children(
        ServeOptions(port=4999, token=False, rate=5, most_waiting=7, limit=3, public_url="https://x.example")
    )
    assert " ".join(endpoint.command[1:]) == (
        "-m stepwell.deployments.endpoint --host 127.0.0.1 --port 4999 --public-url https://x.example"
        " --rate 5 --most-waiting 7 --no-token"
    )
    assert worker.command[-2:] == ("--limit", "3")
    assert worker.environment()["PREFECT_WORKER_QUERY_SECONDS"] == "1"
    assert [child.name for child in children(ServeOptions(limit=0))] == ["endpoint"]


def test_the_table_says_where_everything_is(server):
    text = table(ServeOptions(port=4999, limit=2))
    assert "http://127.0.0.1:4999/docs" in text
    assert "2 runs at once" in text
    assert "open to everybody on this machine" in table(ServeOptions(token=False))
