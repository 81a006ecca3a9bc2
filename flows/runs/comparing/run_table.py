"""A row for each run, with its parameters and metrics, as plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.parameters.values import values_in
from stepwell.flows.runs.comparing.run_facts import (
    MetricName,
    all_metrics,
    is_number,
    seconds_of,
    single,
    tags_of,
)
from stepwell.flows.runs.summary import RunSummary

PARAMETER, METRIC = "params.", "metrics."
"""What the names of columns begin with that hold parameters and metrics."""


def rows_of(runs: Sequence[RunSummary], sort: str = "", *, ascending: bool = False) -> list[dict[str, Any]]:
    """Return a row for each run, with the same columns in each: None where a run has no such parameter or metric.

    A metric is called by its name alone where one step has it, else `<step>/<name>`. `sort` names a metric, a parameter or
    another column, by which the rows are ordered, the largest first; those without it come last.
    """
    metrics = [{name: single(value) for name, value in all_metrics(run).items()} for run in runs]
    names = column_names(name for found in metrics for name, value in found.items() if value is not None)
    parameters = [values_in(run.facts) for run in runs]
    every_parameter = list(dict.fromkeys(name for found in parameters for name in found))
    rows = [
        {
            "run": run.label,
            "id": run.run_id,
            "experiment": str(run.facts.get("experiment", "")),
            "machine": run.machine,
            "status": run.status,
            "started": run.started,
            "seconds": seconds_of(run),
            "tags": tags_of(run),
            **{PARAMETER + name: given.get(name) for name in every_parameter},
            **{METRIC + shown: found.get(name) for name, shown in names.items()},
        }
        for run, given, found in zip(runs, parameters, metrics, strict=True)
    ]
    return ordered(rows, column_of(rows, sort), ascending=ascending) if sort and rows else rows


def labels_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what people call each row's run: with its machine, where several machines have a run of that name."""
    machines: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        machines[row["run"]].add(row["machine"])
    return [f"{row['run']} ({row['machine']})" if len(machines[row["run"]]) > 1 else row["run"] for row in rows]


def column_names(names: Iterable[MetricName]) -> dict[MetricName, str]:
    """Return what each metric is called in a table: its name alone, if it is of one step."""
    owners: dict[str, set[str]] = defaultdict(set)
    known = list(dict.fromkeys(names))
    for name in known:
        owners[name.name].add(name.step)
    return {name: name.name if len(owners[name.name]) == 1 else str(name) for name in known}


def column_of(rows: Sequence[dict[str, Any]], word: str) -> str:
    """Return the column that the word names; raise UserErrorException if there is none."""
    known = list(rows[0])
    for column in (METRIC + word, PARAMETER + word, word):
        if column in known:
            return column
    bare = [column.removeprefix(METRIC).removeprefix(PARAMETER) for column in known]
    near = get_close_matches(word, bare, 1)
    raise UserErrorException(
        f"The runs have no metric or parameter {word!r}",
        {"there are": ", ".join(bare)},
        f"Write {near[0]!r}." if near else "Name one of these.",
    )


def ordered(rows: Sequence[dict[str, Any]], column: str, *, ascending: bool = False) -> list[dict[str, Any]]:
    """Return the rows by the values of a column: numbers, then texts, then those without a value."""
    numbers = [row for row in rows if is_number(row[column])]
    others = [row for row in rows if not is_number(row[column]) and row[column] is not None]
    numbers.sort(key=lambda row: row[column], reverse=not ascending)
    others.sort(key=lambda row: str(row[column]), reverse=not ascending)
    return [*numbers, *others, *(row for row in rows if row[column] is None)]
