"""Answers before Prefect's app has given its own: only to who asks for them, and nothing that was taken is lost."""

from __future__ import annotations

import asyncio
import base64

import pytest

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.guard import early_answers
from stepwell.blocks.server.guard.early_answers import AT_ONCE, EarlyAnswers
from tests.support.waiting import eventually

SECRET = "stepwell:secret"
ME = (b"authorization", b"Basic " + base64.b64encode(SECRET.encode()))
EARLY = next((name.encode(), value.encode()) for name, value in AT_ONCE.items())


class App:
    """Stands in for Prefect's: it notes what it takes, once its gate is open, and answers with what it is told to."""

    def __init__(self):
        self.taken, self.statuses, self.gate = [], {}, asyncio.Event()
        self.gate.set()
        self.ended_with = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.shutdown"
            self.ended_with = list(self.taken)
            return
        body = (await receive())["body"]
        await self.gate.wait()
        status = self.statuses[body].pop(0) if self.statuses.get(body) else 204
        if status == "dies":
            raise RuntimeError("of its own accord")
        if status < 300:
            self.taken.append(body)
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-from", b"app")]})
        await send({"type": "http.response.body", "body": b""})


async def told(app, body, *headers, path="/api/events", method="POST"):
    """Return the status of the answer to a request."""
    said = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        said.append(message)

    named = list(headers or (ME, EARLY))
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": named}
    await asyncio.wait_for(app(scope, receive, send), 30)
    return said[0]["status"]


async def nothing():
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(early_answers, "_SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(early_answers, "_SECONDS_FOR_MORE", 0.0)


def test_after_the_first_of_its_kind_a_request_is_answered_at_once_and_handed_on_in_order():
    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        assert await told(early, b"first") == 204 and app.taken == [b"first"]
        app.gate.clear()
        assert [await told(early, body) for body in (b"a", b"b", b"c")] == [204, 204, 204]
        assert app.taken == [b"first"]
        app.gate.set()
        await nothing()
        assert app.taken == [b"first", b"a", b"b", b"c"]

    asyncio.run(talk())


def test_what_was_taken_is_handed_on_also_if_its_sender_has_left():
    async def gone():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")

        async def receive():
            return {"type": "http.request", "body": b"second", "more_body": False}

        async def send(message):
            raise OSError("nobody is there")

        scope = {"type": "http", "method": "POST", "path": "/api/events", "query_string": b"", "headers": [ME, EARLY]}
        with pytest.raises(OSError, match="nobody"):
            await early(scope, receive, send)
        await nothing()
        assert app.taken == [b"first", b"second"]

    asyncio.run(gone())


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ((ME,), {}),
        ((EARLY,), {}),
        (((b"authorization", b"Basic d3Jvbmc="), EARLY), {}),
        ((ME, EARLY), {"path": "/api/flow_runs/"}),
        ((ME, EARLY, (b"x-prefect-api-version", b"9")), {}),
        ((ME, EARLY), {"path": "/api/logs/"}),
    ],
)
def test_whatever_else_is_asked_the_app_answers_itself(headers, more):
    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.statuses[b"bad"] = [422]
        assert await told(early, b"bad", *headers, **more) == 422

    asyncio.run(talk())


def test_after_a_refusal_the_app_answers_itself_until_it_takes_one():
    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.statuses = {b"a": [422], b"b": [409]}
        assert await told(early, b"a") == 204
        await nothing()
        assert await told(early, b"b") == 409
        assert await told(early, b"c") == 204 and app.taken == [b"first", b"c"]

    asyncio.run(talk())


def test_an_app_at_fault_gets_it_again_and_what_comes_meanwhile_after_it():
    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.statuses[b"a"] = [503, "dies", 500]
        assert [await told(early, body) for body in (b"a", b"b")] == [204, 204]
        while len(app.taken) < 3:
            await asyncio.sleep(0.001)
        assert app.taken == [b"first", b"a", b"b"]

    asyncio.run(talk())


def test_what_an_app_can_never_take_does_not_hold_up_the_rest(monkeypatch):
    monkeypatch.setattr(early_answers, "_LONGEST_PAUSE", 0.004)

    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.statuses[b"a"] = [500] * 100
        assert [await told(early, body) for body in (b"a", b"b")] == [204, 204]
        while b"b" not in app.taken:
            await asyncio.sleep(0.001)
        assert app.taken == [b"first", b"b"]

    asyncio.run(talk())


def test_the_app_ends_after_it_has_all_that_was_taken_for_it():
    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.gate.clear()
        await told(early, b"a")

        async def receive():
            return {"type": "lifespan.shutdown"}

        ending = asyncio.create_task(early({"type": "lifespan"}, receive, None))
        await nothing()
        assert app.ended_with is None
        app.gate.set()
        await ending
        assert app.ended_with == [b"first", b"a"]

    asyncio.run(talk())


def test_the_app_is_spared_while_more_comes_until_somebody_waits_for_it(monkeypatch):
    for name in ("_SECONDS_FOR_MORE", "_MOST_SECONDS_FOR_MORE"):
        monkeypatch.setattr(early_answers, name, 1000.0)

    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        await told(early, b"a")
        await nothing()
        assert app.taken == [b"first"]
        await told(early, b"b", path="/api/logs/")
        assert app.taken == [b"first", b"a", b"b"]

    asyncio.run(talk())


def test_what_would_take_too_much_memory_waits_for_its_turn(monkeypatch):
    monkeypatch.setattr(early_answers, "_MOST_BYTES", 10)

    async def talk():
        app = App()
        early = EarlyAnswers(app, SECRET)
        await told(early, b"first")
        app.gate.clear()
        assert await told(early, b"12345678") == 204
        last = asyncio.create_task(told(early, b"9012"))
        await nothing()
        assert not last.done()
        app.gate.set()
        assert await last == 204 and app.taken == [b"first", b"12345678", b"9012"]

    asyncio.run(talk())


def test_prefects_own_app_stores_what_was_answered_early(server):
    line = {"name": "early", "level": 20, "timestamp": "2026-01-01T00:00:00Z", "flow_run_id": None}
    with client() as api:
        for words in ("one", "two", "three"):
            api.request("POST", "/logs/", json=[{**line, "message": words}], headers=AT_ONCE)

        def found():
            body = {"sort": "TIMESTAMP_ASC", "limit": 200}
            said = api.request("POST", "/logs/filter", json=body).json()
            return sorted(one["message"] for one in said if one["name"] == "early")

        eventually(lambda: found() == ["one", "three", "two"])
