"""Curves and tables of metrics in a terminal."""

from __future__ import annotations

import math

from stepwell.deployments.reports.metric_texts import curve, table_rows, value_of


def test_a_series_is_a_curve_no_wider_than_a_line():
    assert curve([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert curve([2.0, 2.0]) == "▅▅" and curve([1.0]) == "" and curve([math.nan, math.inf]) == ""
    assert curve([0, math.nan, 1]) == "▁ █"
    assert len(curve(range(10_000))) == 40 and curve(range(10_000))[0] == "▁" and curve(range(10_000))[-1] == "█"
    assert curve([-1.7e308, 1.7e308]) == "▁█"


def test_rows_are_a_table_and_documents_are_none():
    assert table_rows({"epoch": [1, 2], "loss": [0.25, None]}) == [["epoch", "loss"], ["1", "0.25"], ["2", ""]]
    assert table_rows({"a": 1, "b": "x"}) == [["a", "b"], ["1", "x"]]
    assert table_rows({"matrix": [[1, 2], [3, 4]]}) == [] and table_rows([1]) == [] and table_rows({}) == []
    long = table_rows({"n": list(range(50))})
    assert len(long) == 22 and long[-1] == ["and 30 more rows"]


def test_a_value_is_a_number_a_text_or_the_last_of_a_series():
    assert [value_of(value) for value in (0.123456, 7, "tree", [1, 2], {"a": [1]})] == [
        "0.1235",
        "7",
        "tree",
        "2 (the last of 2 values)",
        "",
    ]
