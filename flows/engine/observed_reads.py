"""Reads that a step does not declare: a warning or an error now, and part of the fingerprint from then on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.write_back import may_be_written
from stepwell.errors import StepFailedException, printable
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.environment_rows import foreign_companions, imported_name, packages_behind
from stepwell.flows.step_requests.looks import remembered, with_looks
from stepwell.model.fingerprint import ABSENT, PROBED, Fingerprint, Row
from stepwell.model.nofollow import read_file
from stepwell.model.records import StepCall

_CLOCK_TICK_NS = 20_000_000
_MOST_NAMED, _MOST_LISTED = 5, 500


class Note(NamedTuple):
    """A noted read: of a file, of a folder's names (its path ends in `/`), or of whether something is there (`/.`).

    `missing`: it was not there. `made`: it was none, but what the step itself wrote, or the folder that it made.
    `silent`: nobody is to be warned, since it may have been of what the step wrote.
    """

    path: str
    missing: bool = False
    made: bool = False
    silent: bool = False


def read_notes(notes: Path, *, inside_only: bool = False) -> Iterator[Note]:
    """Yield what the launcher noted, whatever else stands in its file; `inside_only`: of reads inside the snapshot."""
    with suppress(OSError):
        for line in read_file(notes.parents[1], f"{notes.parent.name}/{notes.name}").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                note = json.loads(line)
                if inside_only and os.path.isabs(note["path"]):
                    continue
                yield Note(str(note["path"]), *(bool(note.get(mark, False)) for mark in ("missing", "made", "silent")))


def read_imported(notes: Path) -> set[str]:
    """Return the names of installed modules that Pythons of the step noted, whatever else stands in their file."""
    with suppress(OSError):
        text = read_file(notes.parents[1], f"{notes.parent.name}/{notes.name}").decode("utf-8", "replace")
        return {line for line in text.splitlines() if line.isidentifier()}
    return set()


def account_for_imports(context: RunContext, call: StepCall, modules: Iterable[str]) -> StepCall:
    """Return the call, its fingerprint extended by packages that it imported though no row covers them.

    They are remembered, so that from now on their versions count for steps with this code.
    """
    packages, modules = context.packages_for(call.definition), set(modules)
    for name in sorted(foreign_companions(call, modules, packages)):
        context.warn(
            f"Step {call.definition.name!r} has a package {name!r} of its own installed, which it imported in place of Stepwell's: "
            "what it logged there is not kept"
        )
    found = packages_behind(call, modules, packages)
    new = sorted(map(imported_name, found))
    if not new:
        return call
    context.store.observe(call.fingerprint, new)
    return context.with_observed(call, new)


def account_for_looks(context: RunContext, call: StepCall, looks: Mapping[str, str]) -> StepCall:
    """Return the call, its fingerprint with what the script asked the host of its run, by the names of rows.

    The looks are remembered, so that from now on their answers count for steps with this code.
    """
    if not looks:
        return call
    context.store.observe(call.fingerprint, map(remembered, looks))
    return with_looks(call, looks)


def account_for_reads(context: RunContext, call: StepCall, notes: Iterable[Note], began: int) -> StepCall:
    """Return the call, its fingerprint extended by what the script read undeclared; `began`: when, in nanoseconds.

    For a strict step such a read raises StepFailedException. A file that changed meanwhile gets a row that no later run
    can have, so that the result is never used again.
    """
    notes, source = tuple(notes), context.source(call.definition.source_directory)
    whole = any(row.kind == "source directory" for row in call.fingerprint.rows)
    known = {
        path: note
        for path, note in _reads(notes).items()
        if source.counts(path)
        and path not in call.declared
        and not (whole and not os.path.isabs(path))
        and not context.own_places.hold(path.removesuffix(PROBED))
    }
    undeclared = sorted(known)
    seen = [path for path in undeclared if not known[path].silent and not path.endswith(("/", PROBED))]
    if seen:
        _tell(context, call, seen)
    if undeclared:
        context.store.observe(call.fingerprint, undeclared)
    after = context.with_observed(call, undeclared)
    made = {note.path for note in notes if note.made}
    missing = {path: _is_made(path, made) for path, note in known.items() if note.missing and os.path.isabs(path)}
    return _with_changed_files(call, after, began, missing)


def account_for_trials(context: RunContext, call: StepCall, seen: Iterable[str], began: int) -> StepCall:
    """Return the call, its fingerprint extended by what its trials read and asked undeclared: theirs is its own result."""
    names = sorted(seen)
    if not names:
        return call
    context.store.observe(call.fingerprint, names)
    return _with_changed_files(call, context.with_observed(call, names), began, {})


def _reads(notes: Iterable[Note]) -> dict[str, Note]:
    """Return the first note of each path but of what the step had made by then."""
    made: set[str] = set()
    known: dict[str, Note] = {}
    for note in notes:
        if note.made:
            made.add(note.path)
        elif not (made and _is_made(note.path, made)):
            earlier = known.setdefault(note.path, note)
            if earlier.silent:
                known[note.path] = note
    return known


def _is_made(path: str, made: set[str]) -> bool:
    place = path.removesuffix(PROBED).rstrip("/")
    while place and place != os.path.dirname(place):
        if place in made:
            return True
        place = os.path.dirname(place)
    return False


def _tell(context: RunContext, call: StepCall, paths: list[str]) -> None:
    name = call.definition.id
    if call.definition.strict:
        hint = "Add the files to `hash_paths` or pass them as inputs."
        raise StepFailedException(
            f"The strict step {name!r} read what it does not declare", {"files": _listed(paths, len(paths))}, hint
        )
    context.emit({"step": name, "undeclared": paths[:_MOST_LISTED], "undeclared_count": len(paths)})


def _listed(paths: list[str], count: int) -> str:
    shown = ", ".join(map(printable, paths[:_MOST_NAMED]))
    return shown + (f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else "")


def undeclared_line(run: RunFolder, states: Mapping[str, Event] | None = None) -> str:
    """Return the one line that warns of what the steps of a run read undeclared, '' if they read nothing."""
    found = {
        step: (list(map(str, state["undeclared"])), int(state.get("undeclared_count", len(state["undeclared"]))))
        for step, state in (states or run.steps()).items()
        if state.get("undeclared")
    }
    if not found:
        return ""
    count, look = sum(number for _, number in found.values()), f"`stepwell show {run.reference}` lists them"
    if len(found) == 1:
        ((step, (paths, _)),) = found.items()
        files = f"{count} file{'s' if count > 1 else ''}"
        return f"Step {step!r} read {files} that it does not declare: {_listed(paths, count)}" + (
            f"; {look}" if count > _MOST_NAMED else ""
        )
    each = [f"{printable(name)} {number}" for name, (_, number) in found.items()]
    shown = ", ".join(each[:_MOST_NAMED]) + (f" and {len(each) - _MOST_NAMED} more steps" if each[_MOST_NAMED:] else "")
    return f"{len(found)} steps read {count} files that they do not declare ({shown}); {look}"


def _with_changed_files(before: StepCall, after: StepCall, began: int, missing: Mapping[str, bool]) -> StepCall:
    """Return the call with a unique row for each file that changed since the decision on the step.

    `missing`: what was not there when the script looked, and whether the step made it then.
    """
    decided = {row.name: row.value for row in before.fingerprint.rows if row.kind == "read"}
    decided |= dict.fromkeys(missing, ABSENT)

    def kept(row: Row) -> Row:
        if row.kind != "read" or not _changed(row, decided.get(row.name), began):
            return row
        return row._replace(value=ABSENT if missing.get(row.name) else f"changed while the step ran ({began})")

    rows = tuple(map(kept, after.fingerprint.rows))
    return after if rows == after.fingerprint.rows else _with_rows(after, rows)


def _with_rows(call: StepCall, rows: tuple[Row, ...]) -> StepCall:
    return replace(call, fingerprint=Fingerprint(rows))


def _changed(row: Row, decided: str | None, began: int) -> bool:
    """Return whether a file changed since then, or may have: one outside the snapshot that no one had looked at before."""
    if decided is not None and decided != row.value:
        return True
    if not os.path.isabs(row.name) or (decided is not None and row.name.endswith("/")) or row.name.endswith(PROBED):
        return False
    with suppress(OSError):
        status = os.stat(row.name)
        touched = max(status.st_mtime_ns, status.st_ctime_ns) >= began - _CLOCK_TICK_NS
        return touched or (decided is None and may_be_written(row.name))  # through a map, and its times don't tell
    return False
