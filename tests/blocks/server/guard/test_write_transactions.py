"""A request that reads and then writes takes the write lock first, so that nobody writes in between; others do not."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from prefect_api import auth
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlite_engines import engine_for
from waiting import PATIENCE

from stepwell.blocks.server.guard.write_transactions import WriteTransactions


def refused_of(folder: Path, method: str, path: str) -> list[str]:
    """Return which of two were refused, `request` or `other`, where the other one wants to write amid a request."""
    refused: list[str] = []

    async def ask() -> None:
        engine = engine_for(folder)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE things (name TEXT)"))

        async def other() -> None:
            try:
                async with engine.begin() as connection:
                    await connection.execute(text("INSERT INTO things VALUES ('other')"))
            except OperationalError:
                refused.append("other")

        async def prefect(_scope, _receive, _send) -> None:  # type: ignore[no-untyped-def]
            try:
                async with engine.begin() as connection:
                    await connection.execute(text("SELECT * FROM things"))
                    amid = asyncio.ensure_future(other())
                    await asyncio.wait([amid], timeout=None if path != "/api/flow_runs/" else 0.2)
                    await connection.execute(text("INSERT INTO things VALUES ('request')"))
            except OperationalError:
                refused.append("request")
            await amid

        await WriteTransactions(prefect, engine.sync_engine)(
            {"type": "http", "method": method, "path": path}, None, None
        )
        async with engine.connect() as connection:
            found = (await connection.execute(text("SELECT name FROM things"))).scalars().all()
        assert sorted([*found, *refused]) == ["other", "request"]
        await engine.dispose()

    asyncio.run(ask())
    return refused


def test_who_creates_a_run_is_not_refused_though_others_write(tmp_path: Path) -> None:
    assert refused_of(tmp_path, "POST", "/api/flow_runs/") == []


def test_others_begin_as_prefect_has_them_begin(tmp_path: Path) -> None:
    assert refused_of(tmp_path, "POST", "/api/flows/") == ["request"]


def test_runs_are_created_at_once_however_many_are(server: str) -> None:
    with httpx.Client(base_url=server, auth=auth(), timeout=PATIENCE) as api:
        flow = api.post("/flows/", json={"name": "many-at-once"}).raise_for_status().json()["id"]

        def create(number: int) -> int:
            return api.post("/flow_runs/", json={"flow_id": flow, "name": f"run {number}"}).status_code

        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(create, range(80))) == {201}
