"""`stepwell server`: what it says without a server, and of one that it can't see."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from stepwell.blocks.server import process
from stepwell.blocks.server.start import database
from stepwell.deployments.cli.server import app


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the server of a home that has none yet."""
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


def test_what_is_restored_is_told(folder):
    with closing(sqlite3.connect(database.database(folder))) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (database._installed().head,))
    database._back_up(folder, "r", database._installed(), lambda _: None)
    database.database(folder).write_bytes(b"damaged" * 1000)
    said = CliRunner().invoke(app, ["restore"])
    (kept,) = (folder / "backups").glob("*-replaced.db")
    assert said.exit_code == 0 and "again" in said.output and str(kept) in said.output.replace("\n", "")
    database.check(folder)
    assert "empty when the server starts next" in CliRunner().invoke(app, ["restore", "--empty"]).output


def test_a_server_that_lives_elsewhere_is_told(folder):
    lock = database.lock(folder, 1)
    process._record(
        process.ServerProcess("http://127.0.0.1:1/api", 1, "", host="far", namespace="pid:[1]", locked=True)
    )
    said = CliRunner().invoke(app, ["status"])
    assert said.exit_code == 1 and "another container" in said.output and "far" in said.output
    os.close(lock)
    assert "No server runs" in CliRunner().invoke(app, ["status"]).output
