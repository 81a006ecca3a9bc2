"""Datasets as sources, and the texts that name them."""

import json

import pytest

from stepwell.blocks.datasets.sources import (
    at_place,
    dataset_source,
    definition_in,
    document_of,
    patterns_of,
    source_text,
    text_source,
)
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.definitions import OUTPUT, DatasetSource

ID = "0b8a6d0e-6ab0-4b0f-a6ad-2d0d8f9a1c11"
FILES = DatasetDefinition("file", (Place("store", "a/**/*.csv"),))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("weather", DatasetSource(name="weather")),
        ("weather:3", DatasetSource(name="weather", version=3)),
        ("weather:latest", DatasetSource(name="weather")),
        ("of: noon:2", DatasetSource(name="of: noon", version=2)),
        (ID.upper(), DatasetSource(id=ID)),
        (document_of(FILES), DatasetSource(document_of(FILES))),
    ],
)
def test_a_text_names_a_dataset(text: str, source: DatasetSource) -> None:
    assert text_source(text) == source
    assert text_source(source_text(source)) == source


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "{", '{"kind": 3}', json.dumps({"other": 1}), "{" * 5000])
def test_what_names_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        text_source(text)


def test_a_document_is_the_definition() -> None:
    assert definition_in(document_of(FILES)) == FILES


def test_nothing_but_a_dataset_is_a_source() -> None:
    assert [dataset_source(value) for value in (None, 1, "weather:1", object())] == [None] * 4


def test_a_dataset_of_an_output_gets_its_place() -> None:
    some = DatasetDefinition("tabular", (Place(OUTPUT, "**/*.csv"),), "delimited")
    assert patterns_of(some) == ("**/*.csv",)
    assert at_place(some, "store", "out/1").places == (Place("store", "out/1/**/*.csv"),)
    assert at_place(DatasetDefinition("file"), "store", "out/1/").places == (Place("store", "out/1"),)
