"""Statements of SQLite that failed, let go while their connection is at rest.

An exception keeps the frames that it came through, and with them the cursor whose statement failed. Whoever drops the
exception has that statement reset, for which SQLite waits until the connection has done what it is at. By then the connection
may serve another request, which waits for a lock, up to a minute, and the lock be that of a transaction which only the thread
that dropped the exception could end: the server is silent until SQLite gives up.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.util import await_only


def let_go(context: ExceptionContext) -> None:
    """Close the cursor of a statement that failed; SQLAlchemy closes only those of statements that succeed."""
    error = context.original_exception
    if isinstance(error, Exception):  # a statement whose caller was cancelled is at work: who ends it waits for it
        for cursor in _cursors(error):
            with suppress(Exception):  # the connection is gone, and with it what it was at
                await_only(cursor.close())


def _cursors(error: BaseException) -> list[aiosqlite.Cursor]:
    """Return the cursors that an exception keeps."""
    seen = [value for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]
    return list({id(value): value for value in seen if isinstance(value, aiosqlite.Cursor)}.values())


def let_go_of_failed_statements(engine: Any = Engine) -> None:
    """Do so for all engines of this process, or for one.

    Args:
        engine: SQLAlchemy's engine, or their class.
    """
    event.listen(engine, "handle_error", let_go)
