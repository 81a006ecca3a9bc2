"""Datasets as inputs of steps, before anything runs."""

import pytest

from stepwell import Dataset, DatasetConsumptionConfig, OutputFileDatasetConfig, PipelineData, PipelineParameter
from stepwell.errors import UserErrorException


@pytest.fixture
def store(shared_workspace):
    found = shared_workspace.get_default_datastore()
    (found.local_root / "in").mkdir(exist_ok=True)
    (found.local_root / "in" / "a.csv").write_text("x\n1\n")
    return found


def test_it_has_v1s_attributes(store) -> None:
    files = Dataset.File.from_files((store, "in"))
    made = files.as_named_input("raw")
    assert (made.name, made.dataset, made.mode, made.path_on_compute) == ("raw", files, "direct", None)
    assert made.as_mount().mode == "mount"
    assert made.as_hdfs().mode == "hdfs"
    assert made.as_download("data").path_on_compute == "data"
    assert str(made) == made.arg_val == "DatasetConsumptionConfig:raw"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a-b", "é"])
def test_the_name_has_to_name_a_variable(store, name: str) -> None:
    with pytest.raises(UserErrorException, match="can't name an input"):
        Dataset.File.from_files((store, "in")).as_named_input(name)


def test_a_table_is_no_path(store) -> None:
    table = Dataset.Tabular.from_delimited_files((store, "in/a.csv"))
    for made in (table, PipelineParameter("table", table), PipelineData("x").as_dataset().parse_delimited_files()):
        with pytest.raises(UserErrorException, match="can't be a path"):
            DatasetConsumptionConfig("raw", made, "mount")
    assert DatasetConsumptionConfig("raw", table).mode == "direct"


@pytest.mark.parametrize("value", ["in", 3, None, PipelineParameter("rate", 1), PipelineData])
def test_what_is_no_dataset_is_refused(value: object) -> None:
    with pytest.raises(UserErrorException, match="has no dataset"):
        DatasetConsumptionConfig("raw", value)


def test_an_unknown_mode_is_refused(store) -> None:
    with pytest.raises(UserErrorException, match="mode"):
        DatasetConsumptionConfig("raw", Dataset.File.from_files((store, "in")), "upload")  # type: ignore[arg-type]


def test_a_tuple_names_a_registered_one(store, shared_workspace) -> None:
    Dataset.File.from_files((store, "in")).register(shared_workspace, "by tuple")
    found = DatasetConsumptionConfig("raw", (shared_workspace, "by tuple")).dataset
    assert (found.name, found.version) == ("by tuple", 1)
    with pytest.raises(UserErrorException, match="There is no version 7"):
        DatasetConsumptionConfig("raw", (shared_workspace, "by tuple", 7))


def test_an_output_is_one_too() -> None:
    config = OutputFileDatasetConfig("out")
    assert DatasetConsumptionConfig("raw", config, "mount").dataset is config
    assert config.as_input("raw").arg_val == "DatasetConsumptionConfig:raw"
    assert config.read_delimited_files().as_input("raw").mode == "direct"
