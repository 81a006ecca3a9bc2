"""The runs that a command line looks for by what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import RunEntry
from stepwell.deployments.lookup.workspaces import of_each
from stepwell.errors import printable
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.runs.comparing.run_filter import RunFilter
from stepwell.flows.runs.elsewhere.finding import bring_steps, known_runs
from stepwell.flows.runs.names import short_ids
from stepwell.flows.runs.summary import RunSummary, summarize


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
    limit = most if wanted.is_open else None
    known = of_each(workspaces, lambda one: [(one, run) for run in known_runs(one, limit)])
    ids = short_ids(run.run_id for _, run in known)
    listed = [pair for pair in known if (trials or not pair[1].is_trial) and wanted.may_pass(pair[1])]
    listed.sort(key=lambda pair: pair[1].created, reverse=True)
    found: list[RunSummary] = []
    for summary in _summaries(listed[:most] if wanted.is_open else listed, steps=metrics or bool(wanted.conditions)):
        if len(found) >= most:
            break
        if wanted.passes(summary):
            found.append(summary)
    return PassingRuns(found, ids)


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
