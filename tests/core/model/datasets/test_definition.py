"""Definitions of datasets as plain values."""

from stepwell.model.datasets.definition import ColumnType, DatasetDefinition, Place, ReadOptions

TABLE = DatasetDefinition(
    "tabular",
    (Place("blob", "sales/**/*.csv"), Place("", "https://example.org/a.csv")),
    "delimited",
    ReadOptions(types={"when": ColumnType("datetime", formats=("%Y",))}),
)


def test_a_definition_is_plain_json() -> None:
    definition = TABLE.then("filter", expression=[">", ["column", "a"], ["value", 3]]).then("keep", columns=["a"])
    assert DatasetDefinition.from_json(definition.to_json()) == definition


def test_how_a_table_is_read_does_not_depend_on_where_its_files_are() -> None:
    moved = DatasetDefinition("tabular", (Place("other", "b.csv"),), "delimited", TABLE.options, root="b")
    assert moved.reading == TABLE.reading
    assert TABLE.then("take", count=3).reading != TABLE.reading
    assert TABLE.with_options(include_path=True).reading != TABLE.reading


def test_paths_that_are_shown_are_part_of_how_it_is_read() -> None:
    shown = TABLE.with_options(include_path=True)
    assert DatasetDefinition.from_json({**shown.to_json(), "root": "x"}).reading != shown.reading


def test_files_are_no_matter_of_reading() -> None:
    assert DatasetDefinition("file", TABLE.places).then("take", count=1).reading == ""


def test_files_made_of_a_table_have_operations_of_both() -> None:
    made = TABLE.then("take", count=3).then("to_files", format="csv", separator=",").then("skip", count=1)
    assert [operation.name for operation in made.operations_on_rows] == ["take"]
    assert [operation.name for operation in made.operations_on_files] == ["skip"]
