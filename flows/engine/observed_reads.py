"""Reads that a step does not declare: a warning or an error now, and part of the fingerprint from then on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stepwell.blocks.store.write_back import may_be_written
from stepwell.errors import StepFailedException, printable
from stepwell.flows.engine.run_context import RunContext
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.nofollow import read_file
from stepwell.model.records import StepCall

_CLOCK_TICK_NS = 20_000_000


class Note(NamedTuple):
    """A noted read: of a file, of a folder's names (its path ends in `/`), or of a file that was not there."""

    path: str
    missing: bool = False


def read_notes(notes: Path, *, inside_only: bool = False) -> Iterator[Note]:
    """Yield what the launcher noted, whatever else stands in its file; `inside_only`: of reads inside the snapshot."""
    with suppress(OSError):
        for line in read_file(notes.parents[1], f"{notes.parent.name}/{notes.name}").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                note = json.loads(line)
                if inside_only and os.path.isabs(note["path"]):
                    continue
                yield Note(str(note["path"]), bool(note.get("missing", False)))


def account_for_reads(
    context: RunContext, call: StepCall, notes: Iterable[Note], began: int, on_output: Callable[[str], None]
) -> StepCall:
    """Return the call, its fingerprint extended by what the script read undeclared; `began`: when, in nanoseconds.

    For a strict step such a read raises StepFailedException. A file that changed meanwhile gets a row that no later run
    can have, so that the result is never used again.
    """
    source = context.source(call.definition.source_directory)
    known = {note.path: note for note in notes if note.missing or source.counts(note.path)}
    undeclared = sorted(set(known) - set(call.declared))
    seen = [path for path in undeclared if not known[path].missing and not path.endswith("/")]
    if seen:
        _warn(context, call, seen, on_output)
    if undeclared:
        context.store.observe(call.fingerprint, undeclared)
    after = context.with_observed(call, undeclared)
    return _with_changed_files(call, after, began)


def _warn(context: RunContext, call: StepCall, paths: list[str], on_output: Callable[[str], None]) -> None:
    shown = ", ".join(map(printable, paths[:5])) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    name, hint = call.definition.name, "Add the files to `hash_paths` or pass them as inputs."
    if call.definition.strict:
        raise StepFailedException(f"The strict step {name!r} read what it does not declare", {"files": shown}, hint)
    on_output(f"Warning: step {name!r} read files that it does not declare: {shown}. {hint}")
    context.warn(f"Step {name!r} read files that it does not declare: {shown}")


def _with_changed_files(before: StepCall, after: StepCall, began: int) -> StepCall:
    """Return the call with a unique row for each file that changed since the decision on the step."""
    decided = {row.name: row.value for row in before.fingerprint.rows if row.kind == "read"}
    rows = tuple(
        row._replace(value=f"changed while the step ran ({began})")
        if row.kind == "read" and _changed(row, decided.get(row.name), began)
        else row
        for row in after.fingerprint.rows
    )
    return after if rows == after.fingerprint.rows else _with_rows(after, rows)


def _with_rows(call: StepCall, rows: tuple[Row, ...]) -> StepCall:
    return StepCall(call.definition, call.snapshot, call.inputs, call.parameters, Fingerprint(rows), call.declared)


def _changed(row: Row, decided: str | None, began: int) -> bool:
    """Return whether a file changed since then, or may have: one outside the snapshot that no one had looked at before."""
    if decided is not None and decided != row.value:
        return True
    if not os.path.isabs(row.name):
        return False
    with suppress(OSError):
        status = os.stat(row.name)
        touched = max(status.st_mtime_ns, status.st_ctime_ns) >= began - _CLOCK_TICK_NS
        return touched or (decided is None and may_be_written(row.name))  # through a map, and its times don't tell
    return False
