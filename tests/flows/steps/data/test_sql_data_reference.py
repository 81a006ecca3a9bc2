"""Tables, queries and procedures of databases as sources of transfers: SQLite and, where Debian's is installed, PostgreSQL."""

from __future__ import annotations

import sqlite3

import pandas
import pytest
from ports import port_for_later
from postgres_server import PASSWORD, postgres, programs

from stepwell import (
    DataReference,
    Datastore,
    DataTransferStep,
    SqlDataReference,
    StoredProcedureParameter,
    StoredProcedureParameterType,
)
from stepwell.blocks.remote.storage_drivers import transient
from stepwell.errors import DatastoreException, UserErrorException


@pytest.fixture
def flats(workspace, tmp_path, monkeypatch) -> Datastore:
    change(
        tmp_path, "CREATE TABLE flats (id TEXT, rent REAL)", "INSERT INTO flats VALUES ('007', 500.0), ('008', 900.5)"
    )
    monkeypatch.setenv("STEPWELL_DATASTORES", f'{{"server/flats": "{tmp_path}/flats.db"}}')
    return Datastore.register_azure_sql_database(
        workspace, "flats", "server", "flats", username="me", password="hidden-9"
    )


def change(folder, *statements: str) -> None:
    connection = sqlite3.connect(folder / "flats.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_table_becomes_a_file_or_a_folder_and_is_transferred_again_when_its_rows_changed(project, flats, tmp_path):
    store = project.workspace.get_default_datastore()
    table = SqlDataReference(flats, "rents", sql_table="flats")
    dear = SqlDataReference(flats, "dear", sql_query="SELECT id FROM flats WHERE rent > 600")
    pipeline = lambda: project.pipeline(  # noqa: E731
        DataTransferStep("csv", table, DataReference(store, "out", "sql/rents.csv"), retries=0),
        DataTransferStep(
            "folder", dear, DataReference(store, "dear_out", "sql/dear"), destination_reference_type="directory"
        ),
    )
    assert project.happened(pipeline()) == {"csv": "ran", "folder": "ran"}
    assert (store.local_root / "sql/rents.csv").read_text() == "id,rent\n007,500.0\n008,900.5\n"
    assert pandas.read_parquet(store.local_root / "sql/dear")["id"].tolist() == ["008"]
    assert project.happened(pipeline()) == {"csv": "reused", "folder": "reused"}
    change(tmp_path, "INSERT INTO flats VALUES ('009', 300.0)")
    csv, folder = pipeline().plan()
    assert (csv.action, folder.action) == ("run", "reuse") and "rents" in csv.why[0]
    assert project.happened(pipeline()) == {"csv": "ran", "folder": "reused"}
    assert (store.local_root / "sql/rents.csv").read_text().endswith("009,300.0\n")


def test_a_lock_is_waited_for(flats, tmp_path, monkeypatch):
    holder = sqlite3.connect(tmp_path / "flats.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        holder.rollback() if len(waits) == 2 else None

    monkeypatch.setattr(transient.time, "sleep", let_go)
    monkeypatch.setattr("sqlalchemy.create_engine", short_of_patience(monkeypatch))
    files = SqlDataReference(flats, sql_table="flats").files("csv")
    assert files.to_path() == ["/part-00000.csv"] and waits == [0.0, 1.0]
    holder.close()


def short_of_patience(monkeypatch):
    import sqlalchemy

    usual = sqlalchemy.create_engine
    return lambda url: usual(url, connect_args={"timeout": 0})


def test_what_is_no_source_is_refused(workspace, flats):
    store = workspace.get_default_datastore()
    with pytest.raises(UserErrorException, match="is a table, a query or a stored procedure"):
        SqlDataReference(flats, sql_table="flats", sql_query="SELECT 1")
    with pytest.raises(UserErrorException, match="no stored procedures"):
        SqlDataReference(flats, sql_stored_procedure="cheapest")
    with pytest.raises(DatastoreException, match="holds no tables"):
        SqlDataReference(store, sql_table="flats")
    with pytest.raises(UserErrorException, match="can't write to a database"):
        DataTransferStep("back", DataReference(store, "x", "x"), SqlDataReference(flats, sql_table="flats"))


@pytest.mark.parametrize(
    ("dialect", "kind", "value", "text"),
    [
        ("mssql", "String", "d'Arc", "N'd''Arc'"),
        ("mssql", "Boolean", True, "1"),
        ("postgresql", "Boolean", "false", "false"),
        ("mysql", "Decimal", "1.50", "1.50"),
        ("mysql", "Date", "2026-01-31", "'2026-01-31'"),
    ],
)
def test_values_are_written_as_the_database_has_them(dialect, kind, value, text):
    assert StoredProcedureParameter("x", value, StoredProcedureParameterType[kind]).literal(dialect) == text


def test_a_procedure_is_called_as_the_database_has_it(workspace):
    server = Datastore.register_azure_sql_database(workspace, "ms", "s", "d", username="me", password="hidden-9")
    most = StoredProcedureParameter("most", 900, StoredProcedureParameterType.Int)
    assert SqlDataReference(server, sql_stored_procedure="dbo.c", sql_stored_procedure_params=[most]).query == (
        "EXEC dbo.c @most = 900"
    )
    assert SqlDataReference(server, sql_table="dbo.Order").query == "SELECT * FROM dbo.[Order]"
    mine = Datastore.register_azure_my_sql(workspace, "my", "s", "d", "me", "hidden-9")
    assert SqlDataReference(mine, sql_stored_procedure="c", sql_stored_procedure_params=[most]).query == "CALL c(900)"
    with pytest.raises(UserErrorException, match="is no Int"):
        StoredProcedureParameter("most", "9; DROP", StoredProcedureParameterType.Int).literal("mssql")


@pytest.mark.parametrize("name", ["my flats", "select", "a.b", "Größe", 'a"b', "a%b", "1st", "a;b", "a'b"])
def test_a_table_is_found_whatever_its_name_holds(flats, tmp_path, name):
    written = '"' + name.replace('"', '""') + '"'
    change(tmp_path, f"CREATE TABLE {written} (a INTEGER)", f"INSERT INTO {written} VALUES (7)")  # noqa: S608
    plain = [] if set(name) & set('."') else [name, f"main.{name}"]
    for given in (written, f"main.{written}", *plain):
        table = SqlDataReference(flats, sql_table=given)
        assert table.files("csv").to_path() == ["/part-00000.csv"], given


def test_names_of_tables_are_quoted_as_the_database_does(workspace, flats):
    server = Datastore.register_azure_sql_database(workspace, "ms2", "s", "d", username="me", password="hidden-9")
    query = lambda store, name: SqlDataReference(store, sql_table=name).query.removeprefix("SELECT * FROM ")  # noqa: E731
    assert query(server, "dbo.my flats") == "dbo.[my flats]"
    assert query(server, "[dbo].[my.flats]") == "dbo.[my.flats]"
    assert query(flats, "flats; DROP TABLE flats") == '"flats; DROP TABLE flats"'
    for wrong in ("a..b", ".", "a.", '"a"b'):
        with pytest.raises(UserErrorException, match="is no name of a table"):
            query(flats, wrong)


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
def test_postgresql_is_asked_for_a_table_and_a_function(project):
    port = port_for_later()
    with postgres(port):
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={port} user=me dbname=postgres", password=PASSWORD) as connection:
            connection.execute('CREATE TABLE "Flats" (id text, rent numeric(8, 2), since date, good boolean)')
            connection.execute(
                """INSERT INTO "Flats" VALUES ('007', 500.25, '2026-01-31', true), ('ü', NULL, NULL, false)"""
            )
            connection.execute(
                "CREATE FUNCTION cheap(most int, like_ text) RETURNS TABLE (id text) LANGUAGE sql AS"
                ' $$ SELECT id FROM "Flats" WHERE rent < most AND id <> like_ $$'
            )
        database = Datastore.register_azure_postgre_sql(
            project.workspace, "pg", "127.0.0.1", "postgres", "me", PASSWORD, port, enforce_ssl=False
        )
        store = project.workspace.get_default_datastore()
        most = StoredProcedureParameter("most", 600, StoredProcedureParameterType.Int)
        other = StoredProcedureParameter("like_", "d'Arc")
        cheap = SqlDataReference(
            database, "cheap", sql_stored_procedure="cheap", sql_stored_procedure_params=[most, other]
        )
        summary = project.run(
            project.pipeline(
                DataTransferStep(
                    "table", SqlDataReference(database, sql_table="Flats"), DataReference(store, "a", "a.tsv")
                ),
                DataTransferStep("function", cheap, DataReference(store, "b", "b.csv")),
            )
        )
        assert [step.error for step in summary.steps] == ["", ""]
    rows = (store.local_root / "a.tsv").read_text().splitlines()
    assert rows == ["id\trent\tsince\tgood", "007\t500.25\t2026-01-31\tTrue", "ü\t\t\tFalse"]
    assert (store.local_root / "b.csv").read_text() == "id\n007\n"
