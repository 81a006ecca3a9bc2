"""A line for each run of a list. Those of runs that have ended are kept, since a run of a thousand steps takes long to read.

A kept line is believed for as long as the files that it was made of are the same; the file with the lines can be lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from stepwell.blocks.store.run_folder import HEARD, RunFolder
from stepwell.blocks.store.runs.words import FOLDER as SAID
from stepwell.blocks.system.files import write_atomically
from stepwell.flows.runs.summary import FINAL, GONE, RunSummary
from stepwell.model.regular_files import read_bytes

_FILE, _FORMAT, _MOST = "runs.lines", 1, 2000
_MADE_OF = ("run.json", "journal.jsonl", "alive.lock", HEARD, SAID)


class RunLine(NamedTuple):
    """What a list tells of a run."""

    run_id: str
    label: str
    at: str
    """When it began, or was made."""

    experiment: str
    status: str
    headline: str
    machine: str
    workspace: str

    @classmethod
    def of(cls, summary: RunSummary) -> Self:
        """Return the line of a run."""
        return cls(
            summary.run_id,
            summary.label,
            (summary.started or _created(summary))[:19].replace("T", " "),
            str(summary.facts.get("experiment", "")),
            summary.status,
            summary.headline,
            summary.machine,
            str(summary.facts.get("workspace", "")),
        )


class KeptLines:
    """The lines of runs that have ended, kept in a folder. Call `save` at the end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known = _read(self._path)
        self._is_new = False

    def line(self, run: RunFolder, summarize: Callable[[RunFolder], RunSummary | None]) -> RunLine | None:
        """Return the line of a run, which is summarized if its line is not kept; None if it can't be."""
        key, state = str(run.path), _state(run)
        kept = self._known.get(key)
        if kept is not None and kept[0] == state and _is_line(kept[1]):
            return RunLine(*kept[1])
        summary = summarize(run)
        if summary is None:
            return None
        line = RunLine.of(summary)
        if summary.status in FINAL and summary.problem != GONE:
            self._known.pop(key, None)
            self._known[key] = [state, list(line)]
            self._is_new = True
        return line

    def save(self) -> None:
        """Keep the lines, those that were made last if there are too many."""
        if not self._is_new:
            return
        rows = dict([*self._known.items()][-_MOST:])
        with suppress(OSError):  # a full disk lists no fewer runs
            write_atomically(self._path, json.dumps({"format": _FORMAT, "lines": rows}).encode())


def _state(run: RunFolder) -> list[list[int]]:
    """Return what tells whether the files are the same that a line was made of."""
    found = []
    for name in _MADE_OF:
        try:
            status = os.stat(f"{run.path}/{name}")
        except OSError:
            found.append([0, 0, 0])
        else:
            found.append([status.st_ino, status.st_mtime_ns, status.st_size])
    return found


def _read(path: Path) -> dict[str, list[Any]]:
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_bytes(path))
        if isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("lines"), dict):
            return {key: row for key, row in found["lines"].items() if isinstance(row, list) and len(row) == 2}
    return {}


def _is_line(row: Any) -> bool:
    return isinstance(row, list) and len(row) == len(RunLine._fields) and all(isinstance(text, str) for text in row)


def _created(summary: RunSummary) -> str:
    created = summary.facts.get("created")
    return datetime.fromtimestamp(created, UTC).isoformat() if created else ""
