"""The tables of a new database are those that Prefect itself makes, all of them or none."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stepwell.blocks.server.start import database, new_tables

PREFECTS_OWN = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().run_migrations_upgrade())
"""


def rows(path: Path) -> dict[str, object]:
    """Return what a database consists of; the constraints of a table in no order, as alembic has them from sets."""
    with closing(sqlite3.connect(path)) as opened:
        tables = opened.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        found: dict[str, object] = {
            f"{kind} {name} of {table}": sorted(line.strip(" ,\t") for line in (sql or "").splitlines())
            for kind, name, table, sql in tables
        }
        for name in [name for kind, name, _, _ in tables if kind == "table"]:
            found[f"rows of {name}"] = opened.execute(f'SELECT * FROM "{name}"').fetchall()
        for setting in ("page_size", "auto_vacuum", "encoding", "user_version", "application_id"):
            found[setting] = opened.execute(f"PRAGMA {setting}").fetchone()
        return found


def test_they_are_those_that_prefect_makes(tmp_path: Path) -> None:
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/prefects.db",
    }
    subprocess.run([sys.executable, "-c", PREFECTS_OWN], env=variables, check=True)
    new_tables.make(tmp_path / "ours.db")
    ours, prefects = rows(tmp_path / "ours.db"), rows(tmp_path / "prefects.db")
    assert len(ours) > 100
    assert ours == prefects
    assert ours["rows of alembic_version"] == [(database._installed().head,)]


def test_what_fails_leaves_nothing_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (a)")
        raise RuntimeError("no such revision")

    monkeypatch.setattr(new_tables, "migrate", fail)
    new_tables.make(tmp_path / "prefect.db")
    assert not list(tmp_path.iterdir())
    assert "no such revision" in caplog.text


def test_a_database_that_exists_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    (tmp_path / "prefect.db").write_bytes(b"")
    new_tables.make_beside(tmp_path / "prefect.db")()
    assert (tmp_path / "prefect.db").read_bytes() == b""


def test_who_waits_goes_on_when_the_maker_was_killed(tmp_path: Path) -> None:
    code = """
import os, signal
from pathlib import Path
from stepwell.blocks.server.start import new_tables

new_tables.make = lambda database: os.kill(os.getpid(), signal.SIGKILL)
new_tables.make_beside(Path("prefect.db"))()
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "goes on\n"
    assert not list(tmp_path.iterdir())
