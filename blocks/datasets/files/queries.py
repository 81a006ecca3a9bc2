"""Tables that are queries to databases: asked when somebody wants them, and kept as a file by content."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stepwell.blocks.datasets.files.made_files import kept_table
from stepwell.blocks.remote.transient import patiently
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatasetExecutionError
from stepwell.model.datasets.definition import Place
from stepwell.model.tree import Tree
from stepwell.script.tables.reading import library


def asked(workspace: BaseWorkspace, place: Place) -> tuple[Path, Tree]:
    """Return the folder of the file that holds what a query answers now, and what the folder holds.

    Raises:
        DatastoreException: The datastore holds no tables.
        DatasetExecutionError: The database can't be reached, or refuses the query.
    """
    datastore = Datastore.get(workspace, place.datastore)
    return kept_table(workspace.store, _answer(datastore, place.path))


def _answer(datastore: Datastore, query: str) -> Any:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    pandas = library("pandas")
    try:
        engine = create_engine(_with_driver(datastore.connection_url))
        try:

            def answer() -> Any:
                with engine.connect() as connection:  # whatever a query changes is undone with it
                    return pandas.read_sql_query(  # whole numbers stay whole beside NULL
                        text(query), connection, coerce_float=False, dtype_backend="numpy_nullable"
                    )

            return patiently(answer, engine.dispose, _may_pass)
        finally:
            engine.dispose()
    except ImportError as error:
        hint = "Install the driver that the database needs; stepwell[sql] brings that of PostgreSQL."
        raise _failed(datastore, query, error, hint) from error
    except (SQLAlchemyError, pandas.errors.DatabaseError) as error:
        hint = "Correct the query, or check that this machine reaches the database."
        known = error if isinstance(error, SQLAlchemyError) else error.__cause__  # the texts of both say too much
        raise _failed(datastore, query, getattr(known, "orig", None) or type(known).__name__, hint) from None


def _with_driver(url: str) -> str:
    """Return the URL with the driver for PostgreSQL that is there, if it names none and the usual one is not."""
    start, sign, rest = url.partition("://")
    if start == "postgresql" and find_spec("psycopg2") is None and find_spec("psycopg") is not None:
        return f"postgresql+psycopg{sign}{rest}"
    return url


def _may_pass(error: Exception) -> bool:
    """Return whether a database's refusal may pass: a lost connection, a lock, a server that is busy or starts."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    known = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(known, DBAPIError):
        return False
    reason = str(known.orig).lower()
    if type(known.orig).__module__ == "sqlite3":
        return "locked" in reason or "busy" in reason
    return (known.connection_invalidated or isinstance(known, OperationalError)) and "password" not in reason


def _failed(datastore: Datastore, query: str, reason: object, hint: str) -> DatasetExecutionError:
    facts = {"datastore": datastore.name, "query": query, "reason": reason}
    return DatasetExecutionError("A query to a database can't be answered", facts, hint)
