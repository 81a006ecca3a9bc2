"""Answers to reads of block documents: given again to who may have them, and never once anything was written since."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest
from prefect_api import auth
from waiting import PATIENCE

from stepwell.blocks.server import documents
from stepwell.blocks.server.guard import remembered_answers
from stepwell.blocks.server.guard.remembered_answers import RememberedAnswers
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock

SECRET = "stepwell:secret"
ME = "Basic " + base64.b64encode(SECRET.encode()).decode()
FILTER = "/api/block_documents/filter"


class App:
    """Stands in for Prefect's: it answers what it is asked and how often it was, and waits where it is told to."""

    def __init__(self):
        self.count, self.status, self.content = 0, 200, b""
        self.gates = {}

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"]
        self.count += 1
        count = self.count
        if gate := self.gates.get(body):
            await gate.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-count", b"%d" % count)]})
        await send({"type": "http.response.body", "body": body + b" %d" % count, "more_body": True})
        await send({"type": "http.response.body", "body": self.content})


async def asked(app, method="POST", path=FILTER, body=b"which", authorization=ME, **headers):
    """Return status, text and count of the answer to a request that comes in two pieces."""
    pieces, said = [body[:2], body[2:]], []

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        said.append(message)

    named = [(b"authorization", authorization.encode())] if authorization else []
    named += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": named}
    if "/block_" not in path:
        pieces[:] = [body]
    elif method != "GET" and not path.endswith("/filter"):
        pieces[:] = [body]
    elif authorization != ME:
        pieces[:] = [body]
    await app(scope, receive, send)
    return said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]), said[0]["headers"]


@pytest.fixture
def app():
    return App()


@pytest.fixture
def remembering(app):
    return RememberedAnswers(app, SECRET)


def test_the_same_read_is_answered_once_by_the_app(app, remembering):
    async def talk():
        first = await asked(remembering)
        assert first == (200, b"which 1", [(b"x-count", b"1")])
        assert await asked(remembering) == first
        assert (await asked(remembering, body=b"others"))[1] == b"others 2"
        assert (await asked(remembering, x_prefect_api_version="0.9"))[1] == b"which 3"
        get = {"method": "GET", "path": "/api/block_types/slug/a/block_documents/name/b", "body": b""}
        assert await asked(remembering, **get) == await asked(remembering, **get)
        assert app.count == 4

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/block_documents/"),
        ("PATCH", "/api/block_documents/1"),
        ("DELETE", "/api/block_types/1"),
        ("POST", "/api/block_schemas/"),
        ("POST", "/api/block_types/install_system_block_types"),
        ("POST", "/api/admin/database/clear"),
        ("DELETE", "/api/flows/1"),
        ("PATCH", "/api/flows/1"),
        ("POST", "/api/flows/bulk_delete"),
    ],
)
def test_a_write_makes_all_forgotten(app, remembering, method, path):
    async def talk():
        await asked(remembering)
        await asked(remembering, method, path)
        assert (await asked(remembering))[1] == b"which 3"

    asyncio.run(talk())


def test_which_flow_has_a_name_is_answered_once_and_all_else_of_flows_each_time(app, remembering):
    async def talk():
        await asked(remembering)
        flow = await asked(remembering, path="/api/flows/", body=b"digits")
        assert await asked(remembering, path="/api/flows/", body=b"digits") == flow
        for method, path in (("POST", "/api/flows/filter"), ("GET", "/api/flows/1"), ("POST", "/api/flows/paginate")):
            before = app.count
            await asked(remembering, method, path)
            await asked(remembering, method, path)
            assert app.count == before + 2
        before = app.count
        assert await asked(remembering, path="/api/flows/", body=b"digits") == flow
        assert (await asked(remembering))[1] == b"which 1"
        assert app.count == before

    asyncio.run(talk())


@pytest.mark.parametrize("slow", [b"which", b"write"])
def test_what_is_read_while_something_is_written_is_not_remembered(app, remembering, slow):
    async def talk():
        gate = app.gates[slow] = asyncio.Event()
        write = "POST", "/api/block_documents/", b"write"
        begun = [asyncio.create_task(asked(remembering)), asyncio.create_task(asked(remembering, *write))]
        while app.count < 2:
            await asyncio.sleep(0)
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if slow == b"write":
            await asked(remembering)  # begun and answered while the other one is written
        gate.set()
        await asyncio.gather(*begun)
        before = app.count
        await asked(remembering)
        assert app.count == before + 1

    asyncio.run(talk())


def test_nobody_is_told_without_the_auth_string(app, remembering):
    async def talk():
        await asked(remembering)
        for authorization in ("", "Basic bm9ib2R5", "Bearer x"):
            before = app.count
            await asked(remembering, authorization=authorization)
            assert app.count == before + 1  # the app decides
        app.status = 401
        await asked(remembering, authorization="Basic bm9ib2R5")
        app.status = 200
        assert (await asked(remembering))[1] == b"which 1"

    asyncio.run(talk())


def test_errors_large_answers_and_all_else_are_not_remembered(app, remembering, monkeypatch):
    async def talk():
        app.status = 500
        await asked(remembering)
        app.status = 200
        assert (await asked(remembering))[1] == b"which 2"
        for path in ("/api/flow_runs/filter", "/api/admin/version", "/api/health"):
            before = app.count
            await asked(remembering, "GET", path)
            await asked(remembering, "GET", path)
            assert app.count == before + 2
        app.content = b"x" * 100
        monkeypatch.setattr(remembered_answers, "_LARGEST", 50)
        before = app.count
        await asked(remembering, body=b"large")
        await asked(remembering, body=b"large")
        assert app.count == before + 2

    asyncio.run(talk())


def test_only_so_much_is_remembered(app, remembering, monkeypatch):
    async def talk():
        monkeypatch.setattr(remembered_answers, "_MOST_BYTES", 30)
        for body in (b"first", b"second", b"third"):
            await asked(remembering, body=body)
        await asked(remembering, body=b"third")
        await asked(remembering, body=b"second")
        assert app.count == 3
        for number in range(5):
            await asked(remembering, body=b"%d more" % number)
        await asked(remembering, body=b"first")
        assert app.count == 9

    asyncio.run(talk())


def test_the_homes_own_server_answers_as_prefect_does_after_each_write(stepwell_home):
    name = "remembered-by-the-guard"
    assert documents.load_named(WorkspaceBlock, name) is None
    block = WorkspaceBlock(name=name, signing_key="0" * 64)
    documents.save_named(block)
    for friendly in ("one", "two"):
        found = documents.load_named(WorkspaceBlock, name)
        assert documents.load_named(WorkspaceBlock, name) == found
        found.friendly_name = friendly
        documents.save_named(found)
        assert documents.load_named(WorkspaceBlock, name).friendly_name == friendly
    assert documents.delete_named(WorkspaceBlock, name)
    assert documents.load_named(WorkspaceBlock, name) is None


def test_a_flow_that_was_deleted_is_made_anew(server):
    with httpx.Client(base_url=server, auth=auth(), timeout=PATIENCE) as api:
        made = [api.post("/flows/", json={"name": "here-and-gone"}) for _ in range(4)]
        assert [answer.status_code for answer in made] == [201, 200, 200, 200]
        assert len({answer.json()["id"] for answer in made}) == 1
        api.delete(f"/flows/{made[0].json()['id']}").raise_for_status()
        again = api.post("/flows/", json={"name": "here-and-gone"})
        assert again.status_code == 201 and again.json()["id"] != made[0].json()["id"]
