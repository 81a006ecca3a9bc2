"""How long calls and the end of a process wait for a server that hangs, fails for ever, or is merely slow."""

from __future__ import annotations

import json
from concurrent.futures import Future
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client

from stepwell.blocks.server import documents, patience
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.server.patience import PatientTransport, ServerSilent, give_up, is_silent
from stepwell.blocks.server.retry import ONCE

URL = "http://server:1/api"


class Server(httpx.BaseTransport):
    """Answers after `seconds` with `status`, unless the request's own deadline comes first."""

    def __init__(self, clock, seconds=0.0, status=200):
        self.clock, self.seconds, self.status, self.calls = clock, seconds, status, 0

    def handle_request(self, request):
        self.calls += 1
        limit = request.extensions["timeout"]["read"]
        self.clock[0] += min(self.seconds, limit)
        if self.seconds >= limit:
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(self.status, text="said")


@pytest.fixture
def clock(monkeypatch):
    """The time, which passes only in sleep and for answers; and no memory of what servers did."""
    now = [1000.0]
    monkeypatch.setattr(
        patience,
        "time",
        SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds)),
    )
    for name, empty in (("_silent", {}), ("_faltered", set()), ("_ending", {}), ("_sent", [])):
        monkeypatch.setattr(patience, name, empty)
    return now


def ask(server, path="/flows", method="GET", body=None, **extensions):
    with httpx.Client(transport=PatientTransport(server), base_url=URL) as client:
        return client.request(method, path, json=body, extensions=extensions or None)


def test_a_server_that_hangs_is_given_up_after_half_a_minute_and_then_at_once(clock):
    server = Server(clock, seconds=1e9)
    for seconds in (30, 3, 3):
        began = clock[0]
        with pytest.raises(ServerSilent, match="no answer"):
            ask(server)
        assert clock[0] - began == pytest.approx(seconds)
    assert is_silent(URL) and server.calls == 3
    clock[0] += 40
    assert ask(Server(clock, seconds=29)).text == "said"  # later, it may be slow again
    assert not is_silent(URL)


def test_a_slow_server_is_not_taken_for_a_dead_one(clock):
    server = Server(clock, seconds=25)
    assert [ask(server).status_code for _ in range(5)] == [200] * 5
    assert server.calls == 5 and not is_silent(URL)


def test_a_server_at_fault_for_ever_is_given_up_but_nothing_is_done_twice(clock):
    server = Server(clock, status=500)
    began = clock[0]
    with pytest.raises(ServerSilent, match="500"):
        ask(server)
    assert 25 < clock[0] - began <= 31 and server.calls > 5
    for more in ({"method": "POST"}, {"method": "POST", ONCE: True}, {ONCE: True}):
        server = Server(clock, status=500)
        assert ask(server, **more).status_code == 500 and server.calls == 1
    server = Server(clock, status=503)
    with pytest.raises(ServerSilent):
        ask(server, method="POST")
    assert server.calls > 1


def test_a_refusal_is_an_answer(clock):
    assert ask(Server(clock, status=404)).status_code == 404 and not is_silent(URL)


def test_a_request_that_tries_again_itself_hears_of_a_lost_connection_at_once(clock):
    class Gone(httpx.BaseTransport):
        def handle_request(self, request):
            raise httpx.ConnectError("refused")

    began = clock[0]
    with pytest.raises(httpx.ConnectError):
        ask(Gone(), **{ONCE: True})
    assert clock[0] == began


def test_the_end_of_a_run_of_ours_is_accepted_in_place_of_a_silent_server(clock):
    ours, lost = str(uuid4()), []
    patience.when_untold(ours, lambda: lost.append(ours))
    server = Server(clock, seconds=1e9)
    for run_id, kind in ((ours, "RUNNING"), (str(uuid4()), "COMPLETED")):
        with pytest.raises(ServerSilent):
            ask(server, f"/flow_runs/{run_id}/set_state", "POST", {"state": {"type": kind}})
    assert lost == []
    said = ask(server, f"/flow_runs/{ours}/set_state", "POST", {"state": {"type": "COMPLETED", "name": "Completed"}})
    assert json.loads(said.text)["status"] == "ACCEPT" and lost == [ours]
    assert json.loads(said.text)["state"]["state_details"] == {"flow_run_id": ours}  # by which callers find the run


def test_the_end_of_a_run_that_the_server_accepts_is_its_own(clock):
    patience.when_untold("a", lambda: pytest.fail("it was told"))
    ask(Server(clock), "/flow_runs/a/set_state", "POST", {"state": {"type": "FAILED"}})
    assert not patience._ending


def test_what_the_server_knows_of_a_run_is_not_told_it_again_but_once(clock, monkeypatch):
    monkeypatch.setattr(patience, "_known", {})
    said, server = {"flow_version": "1", "empirical_policy": {"retries": 0}}, Server(clock)
    patience.note_known("same", **said)
    assert ask(server, "/flow_runs/same", "PATCH", said).status_code == 204
    assert server.calls == 0
    patience.note_known("other", **said)
    for path, body in (
        ("/flow_runs/same", said),  # anybody may have changed it meanwhile
        ("/flow_runs/other", {**said, "name": "new"}),
        ("/flow_runs/nobodys", said),
    ):
        assert ask(server, path, "PATCH", body).text == "said"
    assert server.calls == 3


def test_every_client_of_a_flow_is_patient(server):
    with client_settings():
        assert isinstance(get_client(sync_client=True)._client._transport, PatientTransport)
    with documents.client() as api:
        assert isinstance(api._client._transport, PatientTransport)


# The end of the process ---------------------------------------------------------------------------------------------


@pytest.fixture
def draining(clock, monkeypatch):
    """A service of Prefect's that never gets rid of what it holds, how often it was waited for, and the server's health."""
    looks, sick = [], [None]

    def is_done(sent):
        looks.append(sent)
        clock[0] += 1
        return sent.done()

    monkeypatch.setattr(patience, "_is_done", is_done)

    def trouble(url, seconds):
        clock[0] += seconds if sick[0] else 0
        return sick[0]

    monkeypatch.setattr(patience, "trouble", trouble)
    sent, stopped = Future(), []
    service = SimpleNamespace(_drain=lambda at_exit: sent, _stop=lambda at_exit: stopped.append(1), stopped=stopped)
    return service, looks, sick, sent


def test_the_end_waits_seconds_for_a_silent_server(draining, clock):
    service, looks, sick, _ = draining
    began, sick[0] = clock[0], "hangs"
    patience._drain(service, URL)
    assert clock[0] - began == 11 and is_silent(URL)
    patience._drain(service, URL)
    assert len(looks) == 1 and service.stopped == [1]  # the next one is not waited for at all


def test_the_end_waits_for_a_living_server_but_not_for_ever(draining):
    service, looks, _, _ = draining
    patience._drain(service, URL)
    assert 120 <= len(looks) <= 122


def test_the_end_waits_for_nothing_once_all_is_sent(draining):
    service, looks, _, sent = draining
    sent.set_result(True)
    patience._drain(service, URL)
    assert len(looks) == 1 and not is_silent(URL)


def test_what_was_sent_is_only_believed_of_a_server_that_never_faltered(clock):
    done = []
    patience.when_sent(lambda: done.append(1))
    patience._all_sent()
    give_up(URL)
    patience._all_sent()
    assert done == [1]


def test_prefects_own_threads_end_as_we_say(server):
    from prefect._internal.concurrency.services import QueueService

    with client_settings():
        pass
    assert "patience" in QueueService._at_exit.__code__.co_filename


def test_flows_call_the_homes_own_server_through_the_client_that_all_else_uses(stepwell_home, monkeypatch):
    with documents.client() as api:
        asked = []
        send = api._client.send
        monkeypatch.setattr(
            api._client, "send", lambda request, **more: asked.append(request.url.path) or send(request, **more)
        )
        for _ in range(2):
            with client_settings(), get_client(sync_client=True) as one:
                assert one is api
                assert one.read_flows(limit=1) is not None
        assert api.hello().is_success
    assert not any("csrf" in path for path in asked)
