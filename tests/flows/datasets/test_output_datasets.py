"""What steps will write, as datasets."""

import pytest

from stepwell import PipelineData, PromoteHeadersBehavior
from stepwell.blocks.datasets.sources import definition_in
from stepwell.errors import UserErrorException


def test_files_have_the_names_and_modes_of_v1() -> None:
    data = PipelineData("prepared", output_name="table")
    files = data.as_dataset()
    assert (files.name, files.input_name, files.mode, files.port) == ("prepared", "prepared", "mount", data.port)
    named = files.as_named_input("raw")
    assert (named.input_name, named.name) == ("raw", "prepared")
    assert [named.as_download("x").mode, named.as_direct().mode, named.as_hdfs().mode] == ["download", "direct", "hdfs"]
    assert named.as_download("x").path_on_compute == "x"


def test_a_table_says_how_it_is_read() -> None:
    table = (
        PipelineData("x")
        .as_dataset()
        .as_named_input("raw")
        .parse_delimited_files(separator=";", header=PromoteHeadersBehavior.NO_HEADERS, file_extension=".csv")
    )
    found = definition_in(table.drop_columns("a").keep_columns(["b"]).reading)
    assert (found.kind, found.format, found.options.separator, found.options.headers) == (
        "tabular",
        "delimited",
        ";",
        "none",
    )
    assert [(o.name, o.arguments) for o in found.operations] == [
        ("drop", {"columns": ["a"]}),
        ("keep", {"columns": ["b"]}),
    ]
    assert [place.path for place in found.places] == ["**/*.csv"]
    assert (table.input_name, table.mode, table.as_direct()) == ("raw", "direct", table)
    assert definition_in(PipelineData("x").as_dataset().parse_parquet_files().reading).format == "parquet"


def test_parts_by_chance_are_the_same_each_time() -> None:
    def parts() -> list[str]:
        return [part.reading for part in PipelineData("x").as_dataset().parse_parquet_files().random_split(0.7)]

    assert parts() == parts()
    assert len(set(parts())) == 2


def test_a_table_is_no_path() -> None:
    with pytest.raises(UserErrorException, match="can't be a path"):
        PipelineData("x").as_dataset().parse_parquet_files().as_mount()


def test_registering_is_known_of_the_data_whatever_stands_among_the_outputs() -> None:
    data = PipelineData("x")
    files = data.as_dataset()
    assert files.register("prepared", create_new_version=False) is files
    assert data.port.register is not None
    assert (data.port.register.name, data.port.register.new_version) == ("prepared", False)
    table = files.parse_delimited_files().register("table")
    assert table.port.register is not None
    assert definition_in(table.port.register.reading).kind == "tabular"
