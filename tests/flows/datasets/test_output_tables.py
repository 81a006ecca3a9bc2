"""Outputs with a destination, as tables."""

from stepwell import OutputFileDatasetConfig
from stepwell.blocks.datasets.sources import definition_in


def test_it_stands_for_the_same_output() -> None:
    config = OutputFileDatasetConfig("out")
    table = config.read_delimited_files(path_glob="part-*.csv").keep_columns("a")
    assert table.original is config
    assert (table.name, str(table), table.port) == ("out", "DatasetOutputConfig:out", config.port)
    assert [place.path for place in definition_in(table.reading).places] == ["**/part-*.csv"]
    assert table.as_upload(overwrite=True, source_globs="*.csv").port.source_globs == "*.csv"
    assert table.as_upload().mode == "upload"


def test_it_becomes_a_table_of_the_workspace() -> None:
    config = OutputFileDatasetConfig("out").register_on_complete("files", "What it is", {"a": 1})
    assert config.port.register is not None
    assert (config.port.register.name, config.port.register.description) == ("files", "What it is")
    assert config.port.register.tags == {"a": "1"}
    assert definition_in(config.port.register.reading).kind == "file"
    table = OutputFileDatasetConfig("out").read_parquet_files().register_on_complete("table")
    assert table.port.register is not None
    assert definition_in(table.port.register.reading).format == "parquet"


def test_parts_are_of_the_same_output() -> None:
    first, second = OutputFileDatasetConfig("out").read_parquet_files().random_split(0.5, seed=3)
    assert first.original is second.original
    assert first.reading != second.reading
