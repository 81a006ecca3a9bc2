"""Lines of logs: sent many at once by this process, kept for a server that is away, and at the end what can come late."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from waiting import eventually

from stepwell.blocks.server.documents import client
from stepwell.errors import ServerException
from stepwell.flows.engine.scheduler import Engine
from stepwell.flows.task_runs import sending


class Server:
    """Stands in for the client of a taker, which is away at first, or takes no line of a kind."""

    def __init__(self):
        self.taken, self.away, self.refuses = [], 0, ""

    @contextmanager
    def client(self):
        yield self

    def request(self, method, path, *, json, headers):
        assert (method, path, headers) == ("POST", "/logs/", sending.AT_ONCE)
        if self.away:
            self.away -= 1
            raise ServerException("away")
        if any(line["message"] == self.refuses for line in json):
            raise ValueError("no such line")
        self.taken.append([line["message"] for line in json])


@pytest.fixture
def taker(monkeypatch):
    found, missed = Server(), []
    monkeypatch.setattr(sending, "client", found.client)
    monkeypatch.setattr(sending, "note_missed", lambda: missed.append(1))
    monkeypatch.setattr(sending, "_sender", sending._Sender())
    found.missed = missed
    return found


def lines(*words):
    return [{"message": word, "__payload_size__": 10} for word in words]


def test_lines_are_sent_at_the_end_in_their_order_and_what_may_come_late_after_them(taker):
    assert not sending.take(*lines("outside")) and not sending.at_end(print)
    with sending.sent_together():
        with sending.sent_together():
            assert all(map(sending.take, lines("a", "b")))
            assert sending.at_end(lambda: taker.taken.append("late"))
        assert taker.taken == [["a", "b"], "late"]
        assert sending.take(*lines("c"))
    assert taker.taken == [["a", "b"], "late", ["c"]] and not taker.missed
    assert not sending.take(*lines("outside"))


def test_lines_are_sent_in_pieces(taker, monkeypatch):
    monkeypatch.setattr(sending, "_AT_ONCE", 2)
    with sending.sent_together():
        for line in lines("a", "b", "c"):
            sending.take(line)
    monkeypatch.setattr(sending, "_AT_ONCE", 9)
    monkeypatch.setattr(sending, "_BYTES_AT_ONCE", 15)
    with sending.sent_together():
        for line in lines("a", "b", "c"):
            sending.take(line)
    assert taker.taken == [["a", "b"], ["c"], ["a", "b"], ["c"]]


def test_a_server_that_is_away_gets_the_lines_later_or_it_is_known_that_it_does_not(taker):
    with sending.sent_together():
        sending.take(*lines("a"))
        taker.away = 1
        assert not sending._sender._send()
        sending.take(*lines("b"))
    assert taker.taken == [["a", "b"]] and not taker.missed
    taker.away = 2
    with sending.sent_together():
        sending.take(*lines("c"))
    assert taker.missed == [1]


def test_lines_that_the_server_refuses_are_let_go(taker):
    taker.refuses = "bad"
    with sending.sent_together():
        sending.take(*lines("bad"))
        sending._sender._send()
        sending.take(*lines("good"))
    assert taker.taken == [["good"]] and taker.missed == [1]


def test_lines_are_sent_while_a_run_goes_on(taker, monkeypatch):
    monkeypatch.setattr(sending, "get_current_settings", lambda: Settings)
    with sending.sent_together():
        for word in ("a", "b"):
            sending.take(*lines(word))
            eventually(lambda: [word] in taker.taken)


class Settings:
    class logging:
        class to_api:
            batch_interval = 0.01


def test_where_somebody_else_takes_lines_they_are_left_to_that(taker, monkeypatch):
    taken = []
    sending.set_api_log_sink(taken.append)
    try:
        with sending.sent_together():
            sending.handlers.emit_api_log({"message": "a"})
            assert not sending.take(*lines("b"))
    finally:
        sending.set_api_log_sink(None)
    assert taken == [{"message": "a"}] and not taker.taken


def events_of(run_id):
    """Return the events that artifacts of the run were created, without what is each one's own."""
    body = {
        "filter": {"event": {"name": ["prefect.artifact.created"]}, "related": {"id": [f"prefect.flow-run.{run_id}"]}}
    }

    def found():
        with client() as api:
            events = api.request("POST", "/events/filter", json=body).json()["events"]
            artifacts = api.request(
                "POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run_id]}}}
            ).json()
        assert {one["resource"].pop("prefect.resource.id") for one in events} <= {
            f"prefect.artifact.{one['id']}" for one in artifacts
        }
        return events

    found = eventually(found)
    for event in found:  # Prefect's worker names a task run, too, in which it was started perhaps for another run
        event["related"] = [one for one in event["related"] if one["prefect.resource.role"] != "task-run"]
        for one in event["related"]:
            if one["prefect.resource.role"] == "flow-run":  # with the name that was made up when it began
                assert (
                    one.pop("prefect.resource.name") and one.pop("prefect.resource.id") == f"prefect.flow-run.{run_id}"
                )
    return [[event[name] for name in ("event", "resource", "related", "payload")] for event in found]


def test_a_run_of_reused_steps_has_its_lines_and_events_without_prefects_workers(project, monkeypatch):
    pipeline = project.pipeline(project.step("a.py", ""), name="told")
    project.run(pipeline)
    EventsWorker.drain_all()  # one that another run has started would name that run's flow
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "tell_of_artifact", None)
        by_prefect = project.run(pipeline)
    logger = logging.getLogger("prefect.flow_runs")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    for worker in (APILogWorker, EventsWorker):
        monkeypatch.setattr(worker, "instance", lambda *args: pytest.fail("a worker was started"))
    with sending.sent_together():
        run = project.run(pipeline)
    logger.manager._clear_cache()
    assert [step.happened for step in run.steps] == ["reused"]
    assert events_of(run.run_id) == events_of(by_prefect.run_id) != []

    def told():
        with client() as api:
            body = {"logs": {"flow_run_id": {"any_": [run.run_id]}}}
            found = [line["message"] for line in api.request("POST", "/logs/filter", json=body).json()]
        return [line for line in found if line.startswith("Finished in state Completed")] and found

    assert any(line.startswith("Beginning flow run") for line in eventually(told))
