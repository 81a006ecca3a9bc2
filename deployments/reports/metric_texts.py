"""Metrics in a terminal: numbers, series as curves, rows and tables as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from stepwell.conditions import is_series

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 40
_MOST_ROWS = 20
_LONGEST = 40


def value_of(value: Any) -> str:
    """Return a number or text, or the last of a series of numbers; '' for tables and pictures."""
    if is_series(value):
        return f"{value_of(value[-1])} (the last of {len(value)} values)"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, (int, str)) else ""


def curve(values: Sequence[float]) -> str:
    """Return a series as a line of bars, as wide as 40 of them at most: neighbours are averaged. NaN leaves a gap."""
    finite = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not finite:
        return ""
    low, high = min(finite), max(finite)
    return "".join(_bar(value, low, high) for value in _thinned(values))


def _thinned(values: Sequence[float]) -> Iterable[float]:
    width = min(len(values), _WIDEST)
    for number in range(width):
        part = values[number * len(values) // width : (number + 1) * len(values) // width]
        finite = [value for value in part if math.isfinite(value)]
        yield sum(value / len(finite) for value in finite) if finite else math.nan


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return " "
    share = (
        0.5 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2)
    )  # halves: the largest floats differ by inf
    return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]


def table_rows(value: Any) -> list[list[str]]:
    """Return the head and rows of what `log_row` and `log_table` logged, the first twenty; empty if it is none."""
    if not isinstance(value, dict) or not value:
        return []
    cells = {name: column if isinstance(column, list) else [column] for name, column in value.items()}
    if any(isinstance(cell, (dict, list)) for column in cells.values() for cell in column):
        return []  # a confusion matrix, or another of v1's documents
    length = max(map(len, cells.values()))
    rows = [
        [_cell(column[number]) if number < len(column) else "" for column in cells.values()]
        for number in range(min(length, _MOST_ROWS))
    ]
    more = [[f"and {length - _MOST_ROWS} more rows", *[""] * (len(cells) - 1)]] if length > _MOST_ROWS else []
    return [list(cells), *rows, *more]


def _cell(value: Any) -> str:
    text = "" if value is None else value_of(value) or str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
