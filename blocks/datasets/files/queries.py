"""Tables that are queries to databases: asked when somebody wants them, and kept as a file by content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepwell.blocks.datasets.files.made_files import kept_table
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

    url, pandas = datastore.connection_url, library("pandas")
    try:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return pandas.read_sql_query(text(query), connection)
        finally:
            engine.dispose()
    except ImportError as error:
        raise _failed(datastore, query, error, "Install the driver that the database needs.") from error
    except (SQLAlchemyError, pandas.errors.DatabaseError) as error:
        hint = "Correct the query, or check that this machine reaches the database."
        known = error if isinstance(error, SQLAlchemyError) else error.__cause__  # the texts of both say too much
        raise _failed(datastore, query, getattr(known, "orig", None) or type(known).__name__, hint) from None


def _failed(datastore: Datastore, query: str, reason: object, hint: str) -> DatasetExecutionError:
    facts = {"datastore": datastore.name, "query": query, "reason": reason}
    return DatasetExecutionError("A query to a database can't be answered", facts, hint)
