"""What people say of a run, wherever it is or was at work: noted here, and told to the other machines."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import words
from stepwell.blocks.store.runs.shared_words import SharedWords
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import DatastoreException

_PAUSE_SECONDS, _MOST_HEARD = 5.0, 1000
_HEARD: dict[Path, float] = {}


def say(workspace: BaseWorkspace, run: RunFolder, said: Mapping[words.Subject, str | words.Gone | None]) -> None:
    """Say it of the run: all of it at once, in place of what was said before; warn if only this machine will know it."""
    shared = workspace.shared_runs
    words.say(run, said, time.time if shared is None else lambda: _now(shared.words))
    kept_here = ""
    if shared is None:
        kept_here = "it shares no datastore with that machine" if run.heard() else ""
    elif shared.read_only:
        kept_here = "it shares nothing, as STEPWELL_SHARED says"
    else:
        shared.words.note_untold(run.run_id)
        if run.heard() or not run.is_alive():  # a run at work here tells it itself
            kept_here = _told(shared.words, run)
    if kept_here:
        warnings.warn(f"What is said of {run.label} is seen on this machine alone: {kept_here}", stacklevel=4)


def hear(workspace: BaseWorkspace, run_id: str = "") -> None:
    """Bring what was said on other machines of the run, or of all that are known here; raise DatastoreException if that can't be."""
    shared = workspace.shared_runs
    if shared is not None:
        shared.words.bring(run_id)
        _HEARD[workspace.run_place.run_folder(run_id or ".")] = time.monotonic()


def hear_now(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Bring what was said of the run on other machines, unless there are none, or this process has looked a few seconds ago."""
    shared = workspace.shared_runs
    if shared is None or not (run.heard() or shared.words.are_others()):
        return
    looked = max(_HEARD.get(path, float("-inf")) for path in (run.path, run.path.parent))
    if time.monotonic() - looked >= _PAUSE_SECONDS:
        if len(_HEARD) > _MOST_HEARD:
            _HEARD.clear()
        hear(workspace, run.run_id)


def _now(shared: SharedWords) -> float:
    with suppress(DatastoreException):
        return shared.now()
    return time.time()


def _told(shared: SharedWords, run: RunFolder) -> str:
    try:
        return shared.tell(run)
    except DatastoreException as error:
        return f"{error.facts.get('reason') or error.title}. It is told once the datastore answers"
