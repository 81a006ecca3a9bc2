"""Tables that are queries: asked when they are read, by content an input as any other."""

from __future__ import annotations

import sqlite3

import pytest

from stepwell import DataPath, Dataset, Datastore, DataType
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
