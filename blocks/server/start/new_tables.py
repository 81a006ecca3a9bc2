"""The tables of a new database, made by Prefect's own migrations through SQLite's own driver, while the server imports the rest.

Prefect's server runs them after its imports, through a driver that hands each of their 30,000 calls to another thread and
waits for it there: half of the first start of a home.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from stepwell.blocks.system.files import make_durable

_logger = logging.getLogger(__name__)


def make_beside(database: Path) -> Callable[[], None]:
    """Begin to `make` the database in a fork, unless it exists, and return what waits for it; there may be no other threads."""
    if database.exists():
        return lambda: None
    from prefect.server.database.dependencies import provide_database_interface

    provide_database_interface()  # imports what both processes need
    maker = os.fork()
    if maker == 0:
        try:
            make(database)
        finally:
            os._exit(0)

    def wait() -> None:
        os.waitpid(maker, 0)

    return wait


def make(database: Path) -> None:
    """Make the database with all tables of the installed Prefect, as a whole or not at all.

    What goes wrong is logged, and left to Prefect, which makes them when it starts.
    """
    draft = database.with_suffix(".draft")
    try:
        draft.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(":memory:", isolation_level=None)) as memory,
            closing(sqlite3.connect(draft)) as file,
        ):
            migrate(memory)
            memory.backup(file)
        make_durable(draft)
        draft.replace(database)
    except Exception:
        _logger.warning("Prefect makes the tables of its database itself", exc_info=True)
        draft.unlink(missing_ok=True)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an empty database to the newest revision, by the migrations and in the surroundings that Prefect gives them."""
    import prefect.server.database
    import sqlalchemy
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from prefect.server.database.dependencies import provide_database_interface

    interface = provide_database_interface()
    config = Config(Path(prefect.server.database.__file__).parent / "alembic.ini")
    script = ScriptDirectory.from_config(config)
    script.version_locations = [str(interface.orm.versions_dir)]

    def revisions(current: Any, _: MigrationContext) -> Any:
        return script._upgrade_revs("head", current)  # noqa: SLF001  (what its own command calls)

    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: connection, poolclass=sqlalchemy.StaticPool)
    sqlalchemy.event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN"))
    with warnings.catch_warnings(), EnvironmentContext(config, script, fn=revisions) as environment:
        warnings.simplefilter("ignore")  # of indices of expressions, which alembic does not see
        with engine.connect() as connected:
            environment.configure(
                connection=connected,
                target_metadata=interface.Base.metadata,
                include_schemas=True,
                transaction_per_migration=True,
            )
            with environment.begin_transaction():
                environment.run_migrations()
