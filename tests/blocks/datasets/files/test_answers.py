"""What databases answer, as tables that a file holds and gives back."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pandas
import pytest

from stepwell.blocks.datasets.files.answers import table_of
from stepwell.errors import UserErrorException
from stepwell.script.tables.writing import write_table


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 2**63 - 1],
        [2**70, None, 1],
        [1.5, None],
        ["", "ü", None],
        [True, None],
        [Decimal("1.50"), None, Decimal("-3.25")],
        [date(1, 1, 1), None],
        [datetime(1, 1, 1), None, datetime(9999, 12, 31, 23, 59)],  # noqa: DTZ001  (as databases have them)
        [datetime(2026, 1, 31, tzinfo=UTC)],
        [time(1, 2, 3), None],
        [b"\xff\x00", None],
        [None, None],
        [],
    ],
)
def test_each_kind_of_value_comes_back_from_a_file(tmp_path, values):
    write_table(table_of(["a b", "n"], [(value, 1) for value in values]), tmp_path / "t.parquet")
    found = pandas.read_parquet(tmp_path / "t.parquet")
    assert list(found.columns) == ["a b", "n"] and len(found) == len(values)
    assert [None if pandas.isna(value) else value for value in found["a b"]] == values


def test_what_only_a_driver_knows_becomes_text(tmp_path):
    some = uuid.UUID(int=1)
    table = table_of(["a", "b", "c"], [(some, {"x": [1]}, memoryview(b"x")), (None, None, None)])
    assert table["a"].tolist()[0] == str(some) and table["b"].tolist()[0] == '{"x": [1]}'
    assert table["c"].tolist()[0] == b"x"


def test_whole_numbers_and_others_are_numbers_as_long_as_they_stay_exact():
    assert table_of(["a"], [(1,), (2.5,), (None,)])["a"].tolist()[:2] == [1.0, 2.5]
    assert table_of(["a"], [(1,), (Decimal("2.5"),)])["a"].tolist() == [Decimal(1), Decimal("2.5")]
    with pytest.raises(UserErrorException, match="'a' of the answer has values of several types"):
        table_of(["a"], [(2**53 + 1,), (2.5,)])


@pytest.mark.parametrize("mixed", [[1, "x"], ["x", b"x"], [1.5, "x", None], [True, 1]])
def test_values_of_several_types_are_told(mixed):
    with pytest.raises(UserErrorException, match=r"values of several types: .* and ") as caught:
        table_of(["a"], [(value,) for value in mixed])
    assert "CAST(a AS TEXT)" in caught.value.hint and "1: " in caught.value.facts["rows"]


def test_columns_of_one_name_and_values_beyond_all_types_are_told():
    with pytest.raises(UserErrorException, match="Two columns of the answer are called 'id'"):
        table_of(["id", "id"], [(1, 2)])
    with pytest.raises(UserErrorException, match="values that no table holds"):
        table_of(["a"], [(10**90,)])


def test_a_text_file_holds_no_bytes(tmp_path):
    with pytest.raises(UserErrorException, match="can't hold the bytes of the column 'a'"):
        write_table(table_of(["a"], [(b"x",)]), tmp_path / "t.csv")
