"""Tables that are queries: asked when they are read, by content an input as any other."""

from __future__ import annotations

import sqlite3

import pytest

from stepwell import DataPath, Dataset, Datastore, DataType
from stepwell.blocks.datasets.files import queries
from stepwell.blocks.remote.storage_drivers import transient
from stepwell.errors import DatasetValidationError, DatastoreException, UserErrorException


@pytest.fixture
def database(workspace, tmp_path, monkeypatch) -> Datastore:
    with sqlite3.connect(tmp_path / "flats.db") as connection:
        connection.execute("CREATE TABLE flats (id TEXT, rent REAL)")
        connection.executemany("INSERT INTO flats VALUES (?, ?)", [("007", 500.0), ("008", 900.0)])
    connection.close()
    monkeypatch.setenv("STEPWELL_DATASTORES", f'{{"server/flats": "{tmp_path}/flats.db"}}')
    return Datastore.register_azure_sql_database(
        workspace, "flats", "server", "flats", username="me", password="not-to-be-shown"
    )


def test_a_query_is_a_table(database, workspace, tmp_path) -> None:
    table = Dataset.Tabular.from_sql_query((database, "SELECT * FROM flats WHERE rent > 600 -- *"))
    assert table.to_pandas_dataframe().to_dict("list") == {"id": ["008"], "rent": [900.0]}
    assert table.keep_columns("id").register(workspace, "dear").version == 1
    found = Dataset.get_by_name(workspace, "dear")
    before = found.current_files().content
    assert found.current_files().content == before
    with sqlite3.connect(tmp_path / "flats.db") as connection:
        connection.execute("INSERT INTO flats VALUES ('009', 700.0)")
    connection.close()
    assert found.current_files().content != before
    assert found.to_pandas_dataframe()["id"].tolist() == ["008", "009"]
    typed = Dataset.Tabular.from_sql_query(
        DataPath(database, "SELECT * FROM flats"), set_column_types={"id": DataType.to_long()}
    )
    assert typed.to_csv_files().to_path() == ["/part-00000.csv"]
    assert typed.to_pandas_dataframe()["id"].tolist() == [7, 8, 9]


def test_what_can_not_be_answered_is_told(database, workspace) -> None:
    with pytest.raises(DatasetValidationError, match="can't be answered") as caught:
        Dataset.Tabular.from_sql_query((database, "SELECT * FROM houses"))
    assert "no such table" in caught.value.facts["reason"] and "not-to-be-shown" not in str(caught.value)
    assert Dataset.Tabular.from_sql_query((database, "SELECT 1 FROM houses"), validate=False).name is None
    with pytest.raises((DatastoreException, DatasetValidationError), match="holds no tables"):
        Dataset.Tabular.from_sql_query((workspace.get_default_datastore(), "SELECT 1"))
    with pytest.raises(UserErrorException, match="A query must be"):
        Dataset.Tabular.from_sql_query("SELECT 1")


def test_whole_numbers_beside_nothing_stay_whole(database, workspace) -> None:
    query = "SELECT 9007199254740993 AS id, 1.5 AS rent UNION ALL SELECT NULL, NULL"
    table = Dataset.Tabular.from_sql_query((database, query)).to_pandas_dataframe()
    assert int(table["id"].dropna().iloc[0]) == 9007199254740993


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT 'a:b' AS x, '12:30:00' AS y WHERE ':name' = ':name'", [["a:b", "12:30:00"]]),
        ("SELECT id FROM flats WHERE id LIKE '%7' AND '%s' <> '%(a)s'", [["007"]]),
        ("SELECT id FROM flats WHERE rent > 1e9", []),
        ("SELECT NULL AS a, 1 AS b;", [[None, 1]]),
    ],
)
def test_a_query_is_asked_as_it_is_written(database, query, found) -> None:
    table = Dataset.Tabular.from_sql_query((database, query)).to_pandas_dataframe()
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == found


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT a.id, b.id FROM flats a JOIN flats b ON a.id = b.id", "Two columns of the answer are called 'id'"),
        ("SELECT 1 AS a UNION ALL SELECT 'x'", "'a' of the answer has values of several types"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("INSERT INTO flats VALUES ('1', 2) RETURNING id", "INSERT is no query"),
        ("PRAGMA query_only = 1", "answers no rows"),
        ("SELECT CAST(x'ff41' AS TEXT) AS a", "can't be answered"),
        (" ", "A query must be|is empty"),
    ],
)
def test_what_is_no_table_is_one_sentence(database, query, told) -> None:
    with pytest.raises((DatasetValidationError, UserErrorException), match=told) as caught:
        Dataset.Tabular.from_sql_query((database, query))
    assert "Traceback" not in str(caught.value) and "\n" not in caught.value.title


def test_a_file_that_is_not_there_is_not_made(database, tmp_path) -> None:
    (tmp_path / "flats.db").rename(tmp_path / "a ?%20 b.db")
    with pytest.raises(DatasetValidationError, match="The file of the database is not there"):
        Dataset.Tabular.from_sql_query((database, "SELECT 1"))
    assert not (tmp_path / "flats.db").exists()
    (tmp_path / "flats.db").mkdir()
    with pytest.raises(DatasetValidationError, match="The file of the database is no file"):
        Dataset.Tabular.from_sql_query((database, "SELECT 1"))


def test_a_database_that_logs_ahead_is_read_too(database, tmp_path) -> None:
    with sqlite3.connect(tmp_path / "flats.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO flats VALUES ('009', 1.0)")
        connection.commit()
        assert len(Dataset.Tabular.from_sql_query((database, "SELECT * FROM flats")).to_pandas_dataframe()) == 3
    connection.close()
    assert len(Dataset.Tabular.from_sql_query((database, "SELECT * FROM flats")).to_pandas_dataframe()) == 3


def test_a_lock_that_lasts_is_told_on_the_way(database, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(queries, "_SECONDS_FOR_A_LOCK", 0)
    monkeypatch.setattr(transient.time, "sleep", lambda seconds: None)
    holder = sqlite3.connect(tmp_path / "flats.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with (
        pytest.warns(UserWarning, match="'flats' is busy: asking again"),
        pytest.raises(DatasetValidationError, match="can't be answered") as caught,
    ):
        Dataset.Tabular.from_sql_query((database, "SELECT * FROM flats"))
    holder.close()
    assert "locked" in caught.value.facts["reason"] and "End what else writes" in caught.value.hint
