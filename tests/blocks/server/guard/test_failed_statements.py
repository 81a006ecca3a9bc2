"""An exception of SQLite's that somebody kept must not wait, when it is dropped, for what its connection does next."""

import asyncio
import gc
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlite_engines import engine_for

from stepwell.blocks.server.guard.failed_statements import let_go_of_failed_statements

BEFORE_A_HANG_IS_SAID, WHERE_IT_IS_EXPECTED = 60.0, 0.3
ONLY_THERE = pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer Pythons may drop the statement themselves")


async def refused(one: AsyncConnection, other: AsyncConnection) -> OperationalError:
    """Return the exception of a transaction that wants to write after it read and somebody else wrote."""
    await one.execute(text("SELECT * FROM things"))
    await other.execute(text("INSERT INTO things VALUES (1)"))
    await other.commit()
    with pytest.raises(OperationalError, match="locked") as said:
        await one.execute(text("INSERT INTO things VALUES (2)"))
    error = said.value
    del said
    await one.rollback()
    return error


@pytest.mark.parametrize("is_guarded", [True, pytest.param(False, marks=ONLY_THERE)])
def test_dropping_an_exception_waits_for_no_statement(tmp_path: Path, is_guarded: bool) -> None:
    begun, ended = threading.Event(), threading.Event()

    def wait() -> bool:
        begun.set()
        return ended.wait(BEFORE_A_HANG_IS_SAID if is_guarded else WHERE_IT_IS_EXPECTED)

    async def drop_while_the_connection_works() -> bool:
        engine = engine_for(tmp_path, wait=wait)
        if is_guarded:
            let_go_of_failed_statements(engine.sync_engine)
        async with engine.connect() as one, engine.connect() as other:
            await one.execute(text("CREATE TABLE things (number INTEGER)"))
            await one.commit()
            error = await refused(one, other)
            work = asyncio.ensure_future(one.execute(text("SELECT wait()")))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            del error
            gc.collect()
            ended.set()  # too late, if the line before waited for the statement
            [[was_told_in_time]] = (await work).all()
        await engine.dispose()
        return bool(was_told_in_time)

    assert asyncio.run(drop_while_the_connection_works()) == is_guarded
