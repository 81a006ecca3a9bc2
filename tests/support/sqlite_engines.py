"""An engine for SQLite as Prefect's server sets its own up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def engine_for(folder: Path, **functions: Callable[[], object]) -> AsyncEngine:
    """Return an engine whose transactions begin without the write lock; its SQL knows the functions, too."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'some.db'}", connect_args={"timeout": 60})

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None
        for name, function in functions.items():
            connection.create_function(name, 0, function)
        connection.cursor().execute("PRAGMA journal_mode = WAL")

    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN DEFERRED"))
    return engine
