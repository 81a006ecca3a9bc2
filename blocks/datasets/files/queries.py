"""Tables that are queries to databases: asked when somebody wants them, and kept as a file by content."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stepwell.blocks.datasets.files.answers import table_of
from stepwell.blocks.datasets.files.made_files import kept_table
from stepwell.blocks.datasets.files.statements import check_query
from stepwell.blocks.remote.storage_drivers.transient import patiently
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatasetExecutionError, UserErrorException
from stepwell.model.datasets.definition import Place
from stepwell.model.tree import Tree

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_SECONDS_FOR_A_LOCK = 1


def asked(workspace: BaseWorkspace, place: Place) -> tuple[Path, Tree]:
    """Return the folder of the file that holds what a query answers now, and what the folder holds.

    Raises:
        DatastoreException: The datastore holds no tables.
        DatasetExecutionError: The database can't be reached, or refuses the query.
    """
    datastore = Datastore.get(workspace, place.datastore)
    return kept_table(workspace.store, _answer(datastore, place.path))


def _answer(datastore: Datastore, query: str) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = _for_reading(make_url(_with_driver(datastore.connection_url)))
        check_query(query, url.get_backend_name())
        engine = create_engine(url)
        try:

            def answer() -> Any:
                with engine.connect() as connection:  # whatever a query changes is undone with it
                    # as it is written: a colon or a percent sign is no parameter
                    answered = connection.execution_options(no_parameters=True).exec_driver_sql(query)
                    if not answered.returns_rows:
                        raise UserErrorException("The statement answers no rows", {}, "Write a SELECT.")
                    return list(answered.keys()), answered.fetchall()

            def again() -> None:
                engine.dispose()
                warnings.warn(f"The database of the datastore {datastore.name!r} is busy: asking again", stacklevel=2)

            return table_of(*patiently(answer, again, _may_pass))
        finally:
            engine.dispose()
    except ImportError as error:
        hint = "Install the driver that the database needs; stepwell[sql] brings that of PostgreSQL."
        raise _failed(datastore, query, error, hint) from error
    except SQLAlchemyError as error:
        hint = "Correct the query, or check that this machine reaches the database."
        if _is_locked(error):
            hint = "End what else writes to the database, or ask again later."
        raise _failed(datastore, query, getattr(error, "orig", None) or type(error).__name__, hint) from None
    except UserErrorException as error:
        facts = {"datastore": datastore.name, "query": query, **error.facts}
        raise DatasetExecutionError(error.title, facts, error.hint) from None


def _for_reading(url: URL) -> URL:
    """Return the URL of a database; a file of SQLite is opened for reading alone, which makes none, and waits shortly."""
    place = url.database or ""
    if url.get_backend_name() != "sqlite" or place in ("", ":memory:") or place.startswith("file:"):
        return url
    if not os.path.isfile(place):
        what = "is no file" if os.path.exists(place) else "is not there"
        raise UserErrorException(f"The file of the database {what}", {"file": place}, "Correct the datastore's place.")
    known = {"timeout": str(_SECONDS_FOR_A_LOCK), **url.query, "mode": "ro", "uri": "true"}
    return url.set(database=f"file:{quote(os.path.abspath(place))}", query=known)


def _with_driver(url: str) -> str:
    """Return the URL with the driver for PostgreSQL that is there, if it names none and the usual one is not."""
    start, sign, rest = url.partition("://")
    if start == "postgresql" and find_spec("psycopg2") is None and find_spec("psycopg") is not None:
        return f"postgresql+psycopg{sign}{rest}"
    return url


def _may_pass(error: Exception) -> bool:
    """Return whether a database's refusal may pass: a lost connection, a lock, a server that is busy or starts."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    if not isinstance(error, DBAPIError):
        return False
    reason = str(error.orig).lower()
    if type(error.orig).__module__ == "sqlite3":
        return _is_locked(error)
    return (error.connection_invalidated or isinstance(error, OperationalError)) and "password" not in reason


def _is_locked(error: Exception) -> bool:
    """Return whether SQLite says that another process has the file."""
    reason = str(getattr(error, "orig", "")).lower()
    return type(getattr(error, "orig", None)).__module__ == "sqlite3" and ("locked" in reason or "busy" in reason)


def _failed(datastore: Datastore, query: str, reason: object, hint: str) -> DatasetExecutionError:
    facts = {"datastore": datastore.name, "query": query, "reason": reason}
    return DatasetExecutionError("A query to a database can't be answered", facts, hint)
