"""Tables of datasets: made of files, DataFrames and other tables, chosen by columns and times, written in parts."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from stepwell import DataPath, Dataset, Datastore, DataType, FileDataset, PromoteHeadersBehavior, TabularDataset
from stepwell.errors import DatasetValidationError, StepwellError, UserErrorException

FRAME = pd.DataFrame(
    {
        "town": ["Ulm", "Bonn", "a/b", None],
        "year": [2019, 2019, 2020, 2020],
        "rent": [1.5, 2.0, 2.5, 3.0],
        "when": pd.date_range("2020-01-01", periods=4),
    }
)


@pytest.fixture
def store(workspace, tmp_path) -> Datastore:
    datastore = Datastore.register(workspace, "local", f"file://{tmp_path}/data")
    (tmp_path / "data").mkdir(exist_ok=True)
    FRAME.to_csv(tmp_path / "data" / "a.csv", index=False)
    FRAME.to_parquet(tmp_path / "data" / "a.parquet")
    FRAME.drop(columns="when").to_json(tmp_path / "data" / "a.jsonl", orient="records", lines=True)
    return datastore


@pytest.fixture
def table(store) -> TabularDataset:
    return Dataset.Tabular.from_delimited_files(path=(store, "a.csv"))


def test_tables_are_read_from_each_format(store, table) -> None:
    assert_frame_equal(table.to_pandas_dataframe(), FRAME, check_dtype=False)
    parquet = Dataset.Tabular.from_parquet_files(DataPath(store, "a.parquet"))
    assert_frame_equal(parquet.to_pandas_dataframe(), FRAME)
    lines = Dataset.Tabular.from_json_lines_files([store.path("a.jsonl")]).to_pandas_dataframe()
    assert lines["rent"].tolist() == FRAME["rent"].tolist()
    assert Dataset.Tabular.from_delimited_files(
        (store, "a.csv"), header=PromoteHeadersBehavior.NO_HEADERS, set_column_types={"Column2": DataType.to_long()}
    ).to_pandas_dataframe()["Column2"].tolist()[1:] == [2019, 2019, 2020, 2020]


def test_rows_and_columns_are_chosen_and_nothing_is_read_before(store, table) -> None:
    chosen = table.filter((table["rent"] >= 2) & ~table["town"].is_null()).keep_columns(["town", "year"])
    assert chosen.to_pandas_dataframe()["town"].tolist() == ["Bonn", "a/b"]
    assert table[["rent"]].skip(3).to_pandas_dataframe()["rent"].tolist() == [3.0]
    assert table.drop_columns("when").take(0).to_pandas_dataframe().columns.tolist() == ["town", "year", "rent"]
    train, test = table.random_split(percentage=0.5, seed=7)
    both = pd.concat([train.to_pandas_dataframe(), test.to_pandas_dataframe()])
    assert sorted(both["rent"]) == FRAME["rent"].tolist()
    assert table.take_sample(1.0).to_pandas_dataframe().shape == FRAME.shape
    with pytest.raises(UserErrorException, match="no column 'none'"):
        table.keep_columns("none", validate=True)
    assert table.keep_columns("none").definition.kind == "tabular"


def test_wrong_arguments_are_told(table) -> None:
    for call, words in [
        (lambda: table.take(-1), "can't be -1"),
        (lambda: table.take_sample(2), "`probability`"),
        (lambda: table.filter("rent > 2"), "an expression"),
        (lambda: table.to_pandas_dataframe(on_error="stop"), "on_error"),
        (lambda: table.take(cuont=1), "cuont"),
        (lambda: table.time_before(datetime(2020, 1, 1)), "No column tells"),
        (lambda: table.as_named_input("a").as_mount(), "can't be a path"),
    ]:
        with pytest.raises(UserErrorException, match=words) as caught:
            call()
        assert caught.value.hint


def test_rows_are_chosen_by_time(table) -> None:
    times = table.with_timestamp_columns("when", validate=True)
    assert times.timestamp_columns == ("when", None)

    def days(chosen: TabularDataset) -> list[int]:
        return [when.day for when in chosen.to_pandas_dataframe()["when"]]

    assert days(times.time_after(datetime(2020, 1, 3))) == [3, 4]
    assert days(times.time_before(datetime(2020, 1, 2), include_boundary=False)) == [1]
    assert days(times.time_between(datetime(2020, 1, 2), datetime(2020, 1, 3))) == [2, 3]
    assert days(times.time_recent(timedelta(days=1))) == [] and len(days(times.time_recent(timedelta(days=99999)))) == 4
    assert times.drop_columns("rent").timestamp_columns == ("when", None)
    assert times.keep_columns("rent").timestamp_columns == (None, None)
    with pytest.raises(UserErrorException, match="holds no times"):
        table.with_timestamp_columns("rent", validate=True)


def test_validation_reads_and_can_be_left_out(store, tmp_path) -> None:
    (tmp_path / "data" / "bad.csv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetValidationError, match="can't be read"):
        Dataset.Tabular.from_delimited_files((store, "bad.csv"))
    assert Dataset.Tabular.from_delimited_files((store, "bad.csv"), validate=False).name is None
    with pytest.raises(DatasetValidationError, match="no data"):
        Dataset.Tabular.from_delimited_files((store, "none.csv"))
    with pytest.raises(UserErrorException, match="encoding"):
        Dataset.Tabular.from_delimited_files((store, "a.csv"), encoding="klingon")


def test_frames_are_registered_once_for_each_content(store, workspace) -> None:
    indexed = FRAME.set_index("rent", drop=False)
    first = Dataset.Tabular.register_pandas_dataframe(indexed, target=(store, "frames"), name="flats", tags={"a": 1})
    assert_frame_equal(first.to_pandas_dataframe(), FRAME)
    assert (first.version, first.tags) == (1, {"a": "1"})
    assert Dataset.Tabular.register_pandas_dataframe(FRAME, (store, "frames"), "flats").version == 1
    assert Dataset.Tabular.register_pandas_dataframe(FRAME.head(1), store, "flats").version == 2
    assert workspace.datasets["flats"].version == 2
    with pytest.raises(UserErrorException, match="can't be registered as a table"):
        Dataset.Tabular.register_pandas_dataframe([1], store, "flats")


def test_a_partitioned_table_is_the_table_and_knows_its_keys(store, table, workspace, capsys) -> None:
    parts = table.partition_by(["year", "town"], target=(store, "parts"), name="parts")
    assert "Wrote 4 rows to 4 files" in capsys.readouterr().out
    assert parts.partition_keys == ["year", "town"] and parts.version == 1
    wanted = FRAME.sort_values(["year", "town"], na_position="last")[["year", "town", "rent", "when"]]
    found = parts.to_pandas_dataframe().sort_values(["year", "town"], na_position="last")
    assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True), check_dtype=False)
    assert parts.get_partition_key_values(["year"]) == [{"year": 2019}, {"year": 2020}]
    assert {"year": 2020, "town": None} in parts.get_partition_key_values()
    assert parts.filter(parts["year"] == 2019).to_pandas_dataframe().shape[0] == 2
    again = table.partition_by(["year", "town"], (store, "parts"), show_progress=False)
    assert again.definition == parts.definition
    files = table.partition_by(["year"], (store, "parts"), partition_as_file_dataset=True)
    assert isinstance(files, FileDataset) and files.get_partition_key_values() == [{"year": 2019}, {"year": 2020}]
    with pytest.raises(UserErrorException, match="no partition key 'rent'"):
        parts.get_partition_key_values(["rent"])
    with pytest.raises(UserErrorException, match="no column 'none'"):
        table.partition_by(["none"], (store, "parts"))


def test_a_table_becomes_files_which_are_made_once(table, tmp_path, monkeypatch) -> None:
    files = table.take(2).to_csv_files(separator=";")
    [path] = files.download(tmp_path / "out")
    assert_frame_equal(pd.read_csv(path, sep=";", parse_dates=["when"]), FRAME.head(2), check_dtype=False)
    assert files.to_path() == ["/part-00000.csv"] and table.to_parquet_files().to_path() == ["/part-00000.parquet"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert files.to_path() == ["/part-00000.csv"]
    with pytest.raises(StepwellError, match="need pandas"):
        table.take(1).to_csv_files(separator=";").to_path()


def test_files_of_a_table_that_changed_meanwhile_are_made_again(store, tmp_path, monkeypatch) -> None:
    from stepwell.blocks.datasets.files import made_files

    place = store.local_root / "changing.csv"
    place.write_text("x\n1\n")
    made, read = Dataset.Tabular.from_delimited_files((store, "changing.csv")).to_csv_files(), made_files.frame_of
    with monkeypatch.context() as patch:
        patch.setattr(made_files, "frame_of", lambda *given: (place.write_text("x\n9\n"), read(*given))[1])
        assert Path(made.download(tmp_path / "first")[0]).read_text() == "x\n9\n"
    place.write_text("x\n1\n")
    assert Path(made.download(tmp_path / "second")[0]).read_text() == "x\n1\n"


def test_tables_are_made_where_there_is_no_pandas(store, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Dataset.Tabular.from_delimited_files((store, "a.csv")).name is None


def test_other_libraries_get_the_table_or_are_named(table, monkeypatch) -> None:
    assert table.to_dask_dataframe().compute()["rent"].tolist() == FRAME["rent"].tolist()
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UserErrorException, match="pyspark.sql is not installed") as caught:
        table.to_spark_dataframe()
    assert "pip install 'stepwell[spark]'" in caught.value.hint
