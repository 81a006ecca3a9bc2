"""Runs with their parameters and metrics as a table for people, and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from stepwell.deployments.reports.report import columns
from stepwell.deployments.reports.run_differences import value_text
from stepwell.flows.runs.comparing.run_facts import is_number
from stepwell.flows.runs.comparing.run_table import METRIC, PARAMETER, labels_of

_MOST_COLUMNS = 12


def comparison_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of the runs, without columns that have one value in all; these stand beneath it."""
    if not rows:
        return ["There is no such run"]
    names = [name for name in rows[0] if name.startswith((PARAMETER, METRIC))]
    fixed = [name for name in names if len(rows) > 1 and name.startswith(PARAMETER) and _is_fixed(rows, name)]
    varying = [name for name in names if name not in fixed]
    shown, left_out = varying[:_MOST_COLUMNS], varying[_MOST_COLUMNS:]
    head = ["run", "status", "seconds", *(bare(name) for name in shown)]
    body = [
        [label, row["status"], _cell(row["seconds"]), *(_text(name, row[name]) for name in shown)]
        for label, row in zip(labels_of(rows), rows, strict=True)
    ]
    lines = columns([head, *body])
    if fixed:
        lines.append("The same in all: " + ", ".join(f"{bare(name)} = {_text(name, rows[0][name])}" for name in fixed))
    if left_out:
        lines.append(f"Left out here, not with --csv or --json: {', '.join(map(bare, left_out))}")
    return lines


def bare(column: str) -> str:
    """Return the name of a parameter or metric, without what tells them apart."""
    return column.removeprefix(PARAMETER).removeprefix(METRIC)


def _is_fixed(rows: Sequence[dict[str, Any]], name: str) -> bool:
    return all(repr(row[name]) == repr(rows[0][name]) for row in rows)


def _text(name: str, value: Any) -> str:
    """Return the text of a column's value: a list is a series of numbers where it is a metric, and itself where a parameter is one."""
    return (
        json.dumps(value, ensure_ascii=False)
        if name.startswith(PARAMETER) and isinstance(value, list)
        else _cell(value)
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def comparison_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table as CSV with every column; tags are `name=value`, one after the other."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            tags = " ".join(f"{name}={value}" if value else name for name, value in row["tags"].items())
            writer.writerow({name: _csv_cell(tags if name == "tags" else value) for name, value in row.items()})
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    """Return the value so that no spreadsheet takes a text for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) and not is_number(value) else value
