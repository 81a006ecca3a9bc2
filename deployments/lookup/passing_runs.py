"""The runs that a command line looks for by what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from itertools import islice
from pathlib import Path

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import RunEntry
from stepwell.deployments.lookup.workspaces import of_each
from stepwell.errors import printable
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.runs.comparing.run_facts import all_metrics
from stepwell.flows.runs.comparing.run_filter import RunFilter
from stepwell.flows.runs.comparing.run_lines import KeptLines, RunLine
from stepwell.flows.runs.elsewhere.finding import bring_steps, known_runs
from stepwell.flows.runs.names import short_ids
from stepwell.flows.runs.summary import RunSummary, summarize

_MOST_LOOKED, _MOST_NAMED = 20, 10


@dataclass(frozen=True)
class PassingRuns:
    """The summaries of runs, the newest first, and the ids as far as no other run's begins so."""

    runs: list[RunSummary]
    short_ids: dict[str, str] = field(repr=False)


def passing_runs(
    workspaces: Iterable[Workspace], wanted: RunFilter, *, most: int, trials: bool = False, metrics: bool = False
) -> PassingRuns:
    """Return the newest runs that pass the filter, `most` at the most; `metrics`: with those of other machines' runs.

    Without a filter no more than as many are looked for elsewhere.
    """
    listed, ids = _listed(workspaces, wanted, most, trials=trials)
    summaries = _summaries(listed, steps=metrics or bool(wanted.conditions))
    return PassingRuns([*islice(filter(wanted.passes, summaries), most)], ids)


def passing_lines(
    workspaces: Iterable[Workspace], wanted: RunFilter, *, most: int, trials: bool = False
) -> tuple[list[RunLine], dict[str, str]]:
    """Return a line for each of the newest runs that pass the filter, and the ids as far as no other run's begins so."""
    if not wanted.needs_only_status:
        found = passing_runs(workspaces, wanted, most=most, trials=trials)
        return [*map(RunLine.of, found.runs)], found.short_ids
    listed, ids = _listed(workspaces, wanted, most, trials=trials)
    kept: dict[Path, KeptLines] = {}
    lines: list[RunLine] = []
    for workspace, run in listed:
        if len(lines) >= most:
            break
        folder = workspace.store.written
        lines_there = kept[folder] = kept.get(folder) or KeptLines(folder)
        line = lines_there.line(run.folder, partial(summary_or_none, logged=False))
        if line is not None and wanted.status in ("", line.status):
            lines.append(line)
    for one in kept.values():
        one.save()
    return lines, ids


def why_none(workspaces: Iterable[Workspace], wanted: RunFilter) -> str:
    """Say of a filter that no run passes what is wrong with it: a metric that none has logged, as far as that can be told."""
    known: set[str] = set()
    if wanted.conditions:
        beside = passing_runs(workspaces, replace(wanted, conditions=()), most=_MOST_LOOKED, metrics=True).runs
        known = {name for run in beside for metric in all_metrics(run) for name in (metric.name, str(metric))}
    lacking = [one.name for one in wanted.conditions if one.name not in known]
    if not known or not lacking:
        return "No run is so; leave a condition out"
    near = get_close_matches(lacking[0], known, 3) or sorted(known)[:_MOST_NAMED]
    return f"No run is so, and of the last {len(beside)} none has logged {lacking[0]!r}: there is {', '.join(near)}"


def _listed(
    workspaces: Iterable[Workspace], wanted: RunFilter, most: int, *, trials: bool
) -> tuple[list[tuple[Workspace, RunEntry]], dict[str, str]]:
    """Return the runs that may pass, newest first, and the short ids of all."""
    limit = most if wanted.is_open else None
    known = of_each(workspaces, lambda one: [(one, run) for run in known_runs(one, limit)])
    listed = [pair for pair in known if (trials or not pair[1].is_trial) and wanted.may_pass(pair[1])]
    listed.sort(key=lambda pair: pair[1].created, reverse=True)
    return listed[:most] if wanted.is_open else listed, short_ids(run.run_id for _, run in known)


def _summaries(listed: Iterable[tuple[Workspace, RunEntry]], *, steps: bool) -> Iterator[RunSummary]:
    for workspace, run in listed:
        if steps and run.folder.heard():
            bring_steps(workspace, run.folder)
        summary = summary_or_none(run.folder, logged=steps)
        if summary is not None:
            yield summary


def summary_or_none(run: RunFolder, *, logged: bool = True) -> RunSummary | None:
    """Return the run's summary, with what its steps `logged` unless that is not wanted; say on stderr that there is none if what is kept of the run is damaged."""
    try:
        return summarize(run, logged=logged)
    except Exception as error:  # noqa: BLE001  (whatever is in one run's folder, the others are listed)
        print(f"Run {printable(run.run_id)} can't be read: {printable(str(error))}", file=sys.stderr)
        return None
