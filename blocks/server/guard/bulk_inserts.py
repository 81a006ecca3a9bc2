"""Statements that insert many rows into SQLite, sent as one short statement and its rows.

Prefect writes such a statement with a parameter for each value of each row, and SQLAlchemy composes all of that anew each time,
which takes longer than all else that the server does to record a step. A statement for one row is composed in a moment, and
SQLite runs it for row after row. If one row is refused, those before it are undone with their transaction, not with the statement:
what follows in the same transaction would find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, Insert, event
from sqlalchemy.engine import Engine


def insert_by_rows(engine: Any = Engine) -> None:
    """Do so for all engines of this process, or for one.

    Args:
        engine: SQLAlchemy's engine, or their class.
    """
    event.listen(engine, "before_execute", _by_rows, retval=True)


def _by_rows(connection: Connection, statement: Any, many: Any, one: Any, _: Any) -> tuple[Any, Any, Any]:
    # ruff: noqa: SLF001  (no public name has the rows of a statement)
    if isinstance(statement, Insert) and connection.dialect.name == "sqlite" and not (many or one):
        rows = [] if statement._returning else _rows(statement._multi_values)
        if len(rows) > 1:
            short = statement._clone()
            short._multi_values = ()
            return short, rows, {}
    return statement, many, one


def _rows(values: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the rows that a statement inserts; none if they are not of the same columns and of plain values."""
    given = [row for rows in values for row in rows]
    if not all(isinstance(row, Mapping) for row in given):
        return []
    rows = [{getattr(column, "key", column): value for column, value in row.items()} for row in given]
    same = all(row.keys() == rows[0].keys() for row in rows)
    plain = not any(isinstance(value, ClauseElement) for row in rows for value in row.values())
    return rows if same and plain else []
