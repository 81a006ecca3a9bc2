"""What people say of a run, and add to it, wherever it is or was at work: noted here, and told to the other machines."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.runs import additions, words
from stepwell.blocks.store.runs.shared_words import SharedWords
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import DatastoreException

_PAUSE_SECONDS, _MOST_HEARD = 5.0, 1000
_GATHERED_SECONDS = 2.0
_HEARD: dict[Path, float] = {}
_GATHERED: dict[Path, tuple[SharedWords, RunFolder]] = {}
_GATHERING = threading.Lock()


def say(workspace: BaseWorkspace, run: RunFolder, said: Mapping[words.Subject, str | words.Gone | None]) -> None:
    """Say it of the run: all of it at once, in place of what was said before; warn if only this machine will know it."""
    shared = workspace.shared_runs
    words.say(run, said, time.time if shared is None else lambda: _now(shared.words))
    telling = _telling(workspace, run)
    if isinstance(telling, SharedWords):
        telling = _told(telling, run)
    _warn(run, telling)


def add(workspace: BaseWorkspace, run: RunFolder, folder: Path, event: Event) -> None:
    """Let other machines have an event that was added to a folder of the run, in the background; warn if they won't."""
    telling = _telling(workspace, run, lambda: additions.note(run, folder.relative_to(run.path).as_posix(), event))
    if isinstance(telling, SharedWords):
        _tell_gathered(telling, run)
    else:
        _warn(run, telling)


def _telling(workspace: BaseWorkspace, run: RunFolder, note: Callable[[], object] = lambda: None) -> SharedWords | str:
    """Note that something is to be told of the run; return who tells it now, or why nobody hears it, '' if the run itself tells it."""
    shared = workspace.shared_runs
    if shared is None:
        return "it shares no datastore with that machine" if run.heard() else ""
    if shared.read_only:
        return "it shares nothing, as STEPWELL_SHARED says"
    note()
    shared.words.untold.note(run.run_id)
    return shared.words if run.heard() or not run.is_alive() else ""


def _warn(run: RunFolder, kept_here: str) -> None:
    if kept_here:
        warnings.warn(f"What is said of {run.label} is seen on this machine alone: {kept_here}", stacklevel=1)


def _tell_gathered(shared: SharedWords, run: RunFolder) -> None:
    with _GATHERING:
        is_first = not _GATHERED
        _GATHERED[run.path] = shared, run
    if is_first:  # not a daemon: the process ends when all is told, or can't be
        threading.Thread(target=_tell_all, name="stepwell-adding").start()


def _tell_all() -> None:
    threading.main_thread().join(_GATHERED_SECONDS)  # what is added one by one is told together
    with _GATHERING:
        gathered = list(_GATHERED.values())
        _GATHERED.clear()
    for shared, run in gathered:
        _warn(run, _told(shared, run))


def hear(workspace: BaseWorkspace, run_id: str = "", *, files: bool = False) -> None:
    """Bring what was said on other machines of the run, or of all that are known here; raise DatastoreException if that can't be.

    `files`: also those that were added to it, however large.
    """
    if workspace.shared_runs is not None:
        workspace.shared_runs.words.bring(run_id, files=files)
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
