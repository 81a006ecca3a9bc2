"""Every run of a workspace, wherever it is or was at work: from its folder here, the shared store, or Prefect's server."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from stepwell.blocks.store.run_folder import ENDED, RunFolder
from stepwell.blocks.store.runs.additions import taken
from stepwell.blocks.store.runs.run_index import RunEntry, runs_of
from stepwell.blocks.store.runs.telling import tell_missed
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import DatastoreException
from stepwell.flows.runs.elsewhere.from_server import bring_from_server, bring_listed
from stepwell.flows.runs.elsewhere.saying import hear, hear_now
from stepwell.flows.runs.names import matching_entries
from stepwell.flows.runs.summary import RunSummary, summarize

_PAUSE_SECONDS = 1.0
_LOOKED: dict[Path, float] = {}
_MOST_LOOKED = 1000
_BATCH = 64


def known_runs(workspace: BaseWorkspace, most: int | None = None) -> list[RunEntry]:
    """Return the workspace's runs of all machines, the newest first; `most`: no more are looked for elsewhere."""
    with _left_out(workspace):
        shared = workspace.shared_runs
        if shared is not None:
            shared.bring_all(shared.newest(most))
            if not shared.read_only:
                tell_missed(shared)
            hear(workspace)
        elif not workspace.is_here:
            bring_listed(workspace, most)
    found = runs_of(workspace.run_place)
    if any(RunFolder(run.path).heard() for run in islice(found, 1)) or not workspace.is_here or workspace.shared_runs:
        found.sort(key=lambda run: run.created, reverse=True)  # each machine counts by itself
    return found


def find_runs(workspace: BaseWorkspace, word: str) -> list[RunFolder]:
    """Return the runs that the word names: those that are known here, else those of other machines."""
    found = matching_entries(runs_of(workspace.run_place), word)
    if not found and word:
        with _left_out(workspace):
            _look_for(workspace, word)
        found = matching_entries(runs_of(workspace.run_place), word)
    for run in found:
        renew(workspace, run.folder)
        with _left_out(workspace):
            hear_now(workspace, run.folder)
    return [run.folder for run in found]


def renew(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Bring what other machines tell of a run that has not ended here, a second after the last look at the earliest."""
    heard = run.heard()
    if (heard["state"] if heard else run.status().get("status")) in ENDED or (not heard and run.is_alive()):
        return
    now = time.monotonic()
    if now - _LOOKED.get(run.path, float("-inf")) < _PAUSE_SECONDS:
        return
    with _left_out(workspace):
        shared = workspace.shared_runs
        if shared is None or not shared.bring(run.run_id):
            bring_from_server(workspace, run)
    if len(_LOOKED) > _MOST_LOOKED:
        _LOOKED.clear()
    _LOOKED[run.path] = time.monotonic()


def look_at(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Bring what other machines tell of the run: how it stands, what is said of it, and what is shown of its steps."""
    renew(workspace, run)
    with _left_out(workspace):
        hear_now(workspace, run)
    bring_steps(workspace, run)


def summary_now(workspace: BaseWorkspace, run: RunFolder) -> RunSummary:
    """Return what is known of the run now; of another machine's, as it tells."""
    renew(workspace, run)
    if run.heard():
        bring_steps(workspace, run)
    return summarize(run)


def bring_added(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Bring all files that were added to the run on other machines."""
    if run.heard() or taken(run):
        with _left_out(workspace):
            hear(workspace, run.run_id, files=True)


def bring_steps(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Bring what is shown of the run's steps, and of those whose results it used."""
    if workspace.shared_runs is not None:
        with _left_out(workspace):
            shared = workspace.shared_runs
            shared.bring_steps(run)
            trials = sorted({str(event["trial"]) for event in run.journal() if "trial" in event})
            shared.bring_all(trials)
            for trial in (RunFolder(run.path.parent / name) for name in trials):
                if trial.heard():
                    shared.bring_steps(trial)


def bring_step(workspace: BaseWorkspace, run_id: str, step_run_id: str, *, files: bool = False) -> None:
    """Bring what a step left: its logs and metrics, or the `files` that it kept."""
    if workspace.shared_runs is not None and step_run_id:
        with _left_out(workspace):
            workspace.shared_runs.bring_step(run_id, step_run_id, files=files)


def _look_for(workspace: BaseWorkspace, word: str) -> None:
    shared = workspace.shared_runs
    if shared is None:
        if not workspace.is_here:
            bring_listed(workspace, None)
        return
    if shared.bring(word):
        return
    ids = shared.newest()
    beginning = [run_id for run_id in ids if run_id.startswith(word)]
    if beginning:
        shared.bring_all(beginning[:_BATCH])
        return
    for start in range(0, len(ids), _BATCH):  # by a number or a name, the newest first
        shared.bring_all(ids[start : start + _BATCH])
        if matching_entries(runs_of(workspace.run_place), word):
            return


@contextmanager
def _left_out(workspace: BaseWorkspace) -> Iterator[None]:
    """Warn, if the datastore does not answer, that what only it knows is left out; once, whatever is looked at."""
    try:
        yield
    except DatastoreException as error:
        reason = error.facts.get("reason", error.title)
        warnings.warn(f"What other machines tell of runs of {workspace.name!r} is left out: {reason}", stacklevel=1)
