"""Datasets as a script gets them."""

import json
import os

import pytest

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Operation, Place, ReadOptions
from stepwell.model.definitions import OUTPUT
from stepwell.script.tables.local_dataset import FileDataset, TabularDataset, dataset_at


@pytest.fixture
def folder(tmp_path):
    for name, text in {"b.csv": "x,y\n3,4\n", "a.csv": "x,y\n1,2\n", "deep/c.txt": "more"}.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    return tmp_path / "data"


def given(definition: DatasetDefinition, **facts: object) -> dict[str, object]:
    return {"document": json.dumps(definition.to_json()), "name": "", "version": 0, "id": "", **facts}


def test_files(folder, tmp_path) -> None:
    found = dataset_at(str(folder), given(DatasetDefinition("file"), name="raw", version=2, id="9"))
    assert isinstance(found, FileDataset)
    assert (found.name, found.version, found.id) == ("raw", 2, "9")
    assert found.to_path() == ["/a.csv", "/b.csv", "/deep/c.txt"]
    assert found.take(1).to_path() == ["/a.csv"]
    assert found.take(1).name is None
    assert found.filter(found.file_metadata("Extension") == ".txt").to_path() == ["/deep/c.txt"]
    copies = found.download(str(tmp_path / "copy"))
    assert [os.path.relpath(path, tmp_path / "copy") for path in copies] == ["a.csv", "b.csv", "deep/c.txt"]
    with pytest.raises(UserErrorException, match="there already"):
        found.download(str(tmp_path / "copy"))
    assert found.download(str(tmp_path / "copy"), overwrite=True) == copies


def test_files_are_mounted_as_links(folder) -> None:
    with dataset_at(str(folder), given(DatasetDefinition("file"))).mount() as mounted:
        assert (folder / "deep/c.txt").samefile(f"{mounted.mount_point}/deep/c.txt")
    assert not os.path.lexists(f"{mounted.mount_point}/deep/c.txt")


def test_a_table(folder) -> None:
    wanted = DatasetDefinition(
        "tabular",
        (Place(OUTPUT, "**/*.csv"),),
        "delimited",
        ReadOptions(include_path=True),
        (Operation("drop", {"columns": ["y"]}),),
    )
    found = dataset_at(str(folder), given(wanted))
    assert isinstance(found, TabularDataset)
    assert found.to_pandas_dataframe().to_dict("list") == {"Path": ["/a.csv", "/b.csv"], "x": [1, 3]}
    assert found.filter(found["x"] > 1).to_pandas_dataframe()["x"].tolist() == [3]
    assert found.to_dask_dataframe().compute()["x"].tolist() == [1, 3]


def test_a_table_of_spark_is_made_in_its_session_or_the_extra_is_named(folder, monkeypatch) -> None:
    import sys
    from types import SimpleNamespace

    found = dataset_at(str(folder), given(DatasetDefinition("tabular", (Place(OUTPUT, "a.csv"),), "delimited")))
    session = SimpleNamespace(createDataFrame=lambda frame: frame.to_dict("list"))
    spark = SimpleNamespace(SparkSession=SimpleNamespace(builder=SimpleNamespace(getOrCreate=lambda: session)))
    monkeypatch.setitem(sys.modules, "pyspark.sql", spark)
    assert found.to_spark_dataframe() == {"x": [1], "y": [2]}
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UserErrorException, match="pyspark.sql is not installed") as caught:
        found.to_spark_dataframe()
    assert "stepwell[spark]" in caught.value.hint


def test_a_lone_file_is_read_whatever_the_pattern(folder) -> None:
    wanted = DatasetDefinition("tabular", (Place(OUTPUT, "**/*.parquet"),), "delimited")
    assert dataset_at(str(folder / "a.csv"), given(wanted)).to_pandas_dataframe()["x"].tolist() == [1]
