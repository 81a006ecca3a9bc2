"""What a report tells of a run, as plain values: bounded, secrets masked, not yet escaped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.summary import RunSummary, StepSummary
from stepwell.model.fingerprint import CONTENT, Row
from stepwell.model.nofollow import open_file
from stepwell.model.records import BESIDE, StepRecord, is_own
from stepwell.model.redaction import here
from stepwell.script.metrics import metrics_of

Record = Callable[[str], StepRecord | None]
"""Returns the record of a key, None if there is none to be believed."""

LONGEST_TEXT = 2_000
MOST_ROWS = 500
_MOST_TABLES, _MOST_TABLE_ROWS, _MOST_COLUMNS, _MOST_CURVES = 40, 100, 30, 60
_MOST_LOGS, _LOG_BYTES, _LOG_LINES = 20, 16_000, 60
_ENVIRONMENT = ("python", "environment", "package", "own package", "imported", "command python", "command package")
_SOURCE = ("script", "module", "file", "own module", "read")


class Table(NamedTuple):
    """A table: whose it is, its title, its head and its rows; `more` rows are left out."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: int = 0


class Series(NamedTuple):
    """A metric that was logged again and again: None stands for what is no number."""

    title: str
    values: Sequence[float | None]


class Log(NamedTuple):
    """The end of what a step's script wrote."""

    step: str
    text: str
    cut: bool


@dataclass
class Logged:
    """What scripts logged, by how it is shown."""

    numbers: list[tuple[str, str, str]] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    more: int = 0
    """How many metrics are left out."""


def shortened(value: Any) -> str:
    """Return a value as text of bounded length, its secrets masked."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = here().redact(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} more characters)"


def logged_in(summary: RunSummary) -> Logged:
    """Return what the run and its steps logged."""
    own = [("", metrics_of(summary.events, "parent"), _pictures(summary.events))]
    each = ((step.id, metrics_of(step.events, "step"), _pictures(step.events)) for step in summary.steps)
    return logged_under((*own, *each))


def logged_under(metrics_of_each: Iterable[tuple[str, Mapping[str, Any], set[str]]]) -> Logged:
    """Return what was logged, by whom, without the named pictures."""
    found = Logged()
    for whose, metrics, pictures in metrics_of_each:
        for name, value in metrics.items():
            if name not in pictures and not _take(found, whose, name, value):
                found.more += 1
    return found


def _pictures(events: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(event["name"]) for event in events if event["type"] == "image"}


def _take(found: Logged, whose: str, name: str, value: Any) -> bool:
    """Add a metric where it is shown; return whether there was room."""
    title = f"{whose}: {name}" if whose else name
    if (table := _table(title, value)) is not None:
        if len(found.tables) < _MOST_TABLES:
            found.tables.append(table)
            return True
        return False
    if (numbers := _numbers(value)) is not None and len(numbers) > 1:
        if len(found.series) < _MOST_CURVES:
            found.series.append(Series(title, numbers))
        value = f"{shortened(value[-1])} (the last of {len(numbers)} values)"
    if len(found.numbers) >= MOST_ROWS:
        return False
    found.numbers.append((whose or "the run", name, shortened(value)))
    return True


def _numbers(value: Any) -> list[float | None] | None:
    if not isinstance(value, list) or not all(isinstance(v, (int, float)) for v in value):
        return None
    return [_finite(v) for v in value]


def _finite(value: float) -> float | None:
    """Return the number as one that can be drawn."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) and abs(number) < 1e300 else None


def _table(title: str, value: Any) -> Table | None:
    """Return a metric of columns, or a confusion matrix, as a table; None if it is neither."""
    if not isinstance(value, dict) or not value:
        return None
    data = value.get("data")
    if isinstance(data, dict) and isinstance(labels := data.get("class_labels"), list) and "matrix" in data:
        rows = [row for row in data["matrix"] if isinstance(row, list)] if isinstance(data["matrix"], list) else []
        named = [[label, *row] for label, row in zip(labels, rows, strict=False)]
        return bounded(title, ["true class", *labels], named)
    columns = [cells if isinstance(cells, list) else [cells] for cells in value.values()]
    if any(isinstance(cell, (dict, list)) for cells in columns for cell in cells[:_MOST_TABLE_ROWS]):
        return None
    longest = max(map(len, columns))
    shown = min(longest, _MOST_TABLE_ROWS)
    rows = [[cells[i] if i < len(cells) else None for cells in columns] for i in range(shown)]
    return bounded(title, list(value), rows, longest - shown)


def bounded(title: str, head: Sequence[Any], rows: Sequence[Sequence[Any]], more: int = 0) -> Table:
    """Return a table of texts, cut to a size that a page can hold."""
    kept = rows[:MOST_ROWS]
    cells = [["" if cell is None else shortened(cell) for cell in row[:_MOST_COLUMNS]] for row in kept]
    return Table(title, [shortened(name) for name in head[:_MOST_COLUMNS]], cells, more + len(rows) - len(kept))


# What results depend on -----------------------------------------------------------------------------------------------


def records_of(summary: RunSummary, record: Record) -> dict[str, StepRecord]:
    """Return the records of the steps that have one."""
    found = {step.id: record(step.key) for step in summary.steps if step.key}
    return {step: one for step, one in found.items() if one is not None}


def environments(records: Mapping[str, StepRecord]) -> list[Table]:
    """Return Python and the packages that results depend on, a table for each environment that steps share."""
    return _shared(records, lambda row: row.kind in _ENVIRONMENT, ("what", "version"))


def sources(records: Mapping[str, StepRecord]) -> list[Table]:
    """Return the files that results depend on with their digests, a table for each set that steps share."""
    return _shared(records, lambda row: row.kind in _SOURCE and not row.is_absence, ("file", "content"))


def _shared(records: Mapping[str, StepRecord], wanted: Callable[[Row], bool], head: tuple[str, str]) -> list[Table]:
    steps: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for step, record in records.items():
        rows = tuple((row.label, row.value) for row in record.fingerprint.rows if wanted(row))
        if rows:
            steps.setdefault(rows, []).append(step)
    return [bounded(_names(of), head, rows) for rows, of in [*steps.items()][:_MOST_TABLES]]


def _names(steps: Sequence[str], most: int = 8) -> str:
    return ", ".join(steps[:most]) + (f" and {len(steps) - most} more" if len(steps) > most else "")


def inputs(records: Mapping[str, StepRecord]) -> Table:
    """Return what steps read, by content."""
    rows = [
        (step, row.name, row.value)
        for step, record in records.items()
        for row in record.fingerprint.rows
        if row.kind == "input" and row.value.startswith(CONTENT)
    ]
    return bounded("Inputs", ("step", "input", "content"), rows)


def outputs(records: Mapping[str, StepRecord]) -> Table:
    """Return what steps wrote, where, and by content."""
    rows = [
        (step, name, f"{data.datastore}/{data.path}", size_of(data.size), f"{CONTENT}{data.digest}")
        for step, record in records.items()
        for name, data in record.outputs.items()
        if name != BESIDE and not is_own(name)
    ]
    return bounded("Outputs", ("step", "output", "place", "size", "content"), rows)


def size_of(count: int) -> str:
    """Return a number of bytes in words."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# What was asked for ---------------------------------------------------------------------------------------------------


def definitions(summary: RunSummary) -> Table:
    """Return what each step runs, with which arguments, and where."""
    rows = [
        [step.get(name) or "" for name in ("id", "type", "source_directory")]
        + [_command(step), step.get("compute_target") or ""]
        for step in _defined(summary)
    ]
    return bounded("Steps", ("step", "type", "source directory", "script and arguments", "target"), rows)


def asked_environments(summary: RunSummary) -> Table:
    """Return the environments that steps ask for, steps with the same one together."""
    steps: dict[str, list[str]] = {}
    for step in _defined(summary):
        asked = step.get("environment")
        if isinstance(asked, dict) and (given := {name: value for name, value in asked.items() if value}):
            steps.setdefault(json.dumps(given, default=str, ensure_ascii=False), []).append(str(step["id"]))
    rows = [(_names(of), name, value) for text, of in steps.items() for name, value in json.loads(text).items()]
    return bounded("As the steps ask for it", ("steps", "what", "value"), rows)


def _defined(summary: RunSummary) -> list[dict[str, Any]]:
    pipeline = summary.facts.get("pipeline", {})
    found: list[dict[str, Any]] = pipeline.get("steps", []) if isinstance(pipeline.get("steps", []), list) else []
    return found


def _command(step: Mapping[str, Any]) -> str:
    """Return a step's script and arguments, with the names of what is put in when it runs."""
    words = [str(step.get("script") or "")]
    arguments = step.get("arguments")
    for argument in arguments if isinstance(arguments, list) else []:
        pieces = argument if isinstance(argument, list) else [["text", argument]]
        words.append("".join(map(_piece, pieces)))
    return " ".join(filter(None, words))


def _piece(piece: Any) -> str:
    if not isinstance(piece, list) or len(piece) != 2:
        return str(piece)
    return str(piece[1]) if piece[0] == "text" else f"{{{piece[0]}:{piece[1]}}}"


# Logs of failures -----------------------------------------------------------------------------------------------------


def failed_logs(run: RunFolder, steps: Iterable[StepSummary], redact: Callable[[str], str]) -> Iterator[Log]:
    """Yield the end of the log of each step that failed, of the first of them if there are many."""
    failed = [step for step in steps if step.happened == "failed" and step.step_run_id]
    for step in failed[:_MOST_LOGS]:
        try:
            with open_file(step.folder(run), "logs/70_driver_log.txt") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _LOG_BYTES))
                end = stream.read(_LOG_BYTES)
        except OSError:
            continue
        lines = redact(end.decode(errors="replace")).splitlines()
        if size > len(end):
            lines = lines[1:] or lines  # the first is half a line
        shown = "\n".join(line[:LONGEST_TEXT] for line in lines[-_LOG_LINES:])
        if shown.strip():
            yield Log(step.id, shown, size > len(end) or len(lines) > _LOG_LINES)
