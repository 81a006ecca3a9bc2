"""Data-triggered schedules: their folders are polled from time to time, and each changed file submits one run."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from typing import Any

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.publications import ScheduleBlock
from stepwell.deployments.schedules.prefect_schedules import run_request_for, target_of
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.publishing.lock import publications_locked
from stepwell.flows.publishing.submission import submit_run
from stepwell.model.definitions import DataSource

_POLL_SECONDS = 5.0
_STATE = ("etag", "ETag", "mtime", "last_modified", "LastModified", "modified", "modify", "updated")

States = dict[str, str]


class DataTriggers:
    """Remembers when it polled last, and what it saw then; all that counts stands in the schedules' documents."""

    def __init__(self) -> None:
        self._polled = 0.0
        self._unsettled: dict[str, States] = {}

    def poll(self) -> None:
        """Poll every schedule that is due; raise the first error after all of them had their turn."""
        if time.monotonic() - self._polled < _POLL_SECONDS:
            return
        self._polled = time.monotonic()
        errors: list[Exception] = []
        for schedule in documents.load_any([ScheduleBlock], status="Active"):
            waits = schedule.schedule_id in self._unsettled  # something was new, and may still grow
            due = schedule.polled + schedule.polling_minutes * 60 <= time.time()
            if schedule.datastore and (due or waits):
                try:
                    self._poll(schedule)
                except Exception as error:  # noqa: BLE001  (the others have their turn)
                    errors.append(error)
        if errors:
            raise errors[0]

    def _poll(self, schedule: ScheduleBlock) -> None:
        workspace = Workspace.get(schedule.workspace)
        now = states(workspace.datastores[schedule.datastore], schedule.path_on_datastore)
        if schedule.seen is None:
            _save(workspace, schedule, now)
            return
        new = {path: state for path, state in now.items() if schedule.seen.get(path) != state}
        before = self._unsettled.pop(schedule.schedule_id, {})
        settled = {path: state for path, state in new.items() if before.get(path) == state}
        if len(settled) < len(new):
            self._unsettled[schedule.schedule_id] = new
        if settled:
            submit_runs(workspace, schedule, settled)
        kept = {path: state for path, state in schedule.seen.items() if path in now}
        _save(workspace, schedule, {**kept, **settled})


def submit_runs(workspace: Workspace, schedule: ScheduleBlock, changed: States) -> None:
    """Submit one run for each changed file, or one for all of them if the schedule hands on no path."""
    published = target_of(schedule)
    if published.status != "Active":
        return
    if not schedule.data_path_parameter:
        key = _key(schedule, json.dumps(changed, sort_keys=True))
        submit_run(published, run_request_for(schedule, published, key), workspace)
        return
    for path, state in sorted(changed.items()):
        value = {schedule.data_path_parameter: DataSource(schedule.datastore, path)}
        key = _key(schedule, f"{path}\n{state}")
        submit_run(published, run_request_for(schedule, published, key, **value), workspace)


def states(datastore: Datastore, folder: str) -> States:
    """Return the files directly in the folder, each with a text that changes with it; none without such a folder."""
    path = datastore.locate(folder)
    filesystem = datastore.filesystem
    filesystem.invalidate_cache()
    if not filesystem.isdir(path):
        return {}
    prefix = datastore.inside(folder)
    found: States = {}
    for facts in filesystem.ls(path, detail=True):
        name = str(facts["name"]).rstrip("/").rpartition("/")[2]
        if facts.get("type") == "file" and not name.startswith("."):
            found["/".join(part for part in (prefix, name) if part)] = _state(facts)
    return found


def _state(facts: dict[str, Any]) -> str:
    return "|".join([str(facts.get("size")), *(str(facts[word]) for word in _STATE if word in facts)])


def _key(schedule: ScheduleBlock, change: str) -> str:
    """Return the idempotency key that makes one change one run, however often it is seen."""
    return "stepwell-trigger-" + hashlib.sha256(f"{schedule.schedule_id}\n{change}".encode()).hexdigest()


def _save(workspace: Workspace, schedule: ScheduleBlock, seen: States) -> None:
    with suppress(documents.DeletedException), publications_locked(workspace):
        what = f"schedule {schedule.name!r}"
        latest = documents.newest(schedule, what)
        if latest.seen == schedule.seen:  # else it was changed meanwhile, and is polled anew
            documents.replace(latest.model_copy(update={"seen": seen, "polled": time.time()}), what)


_TRIGGERS = DataTriggers()


def poll() -> None:
    """Poll the data-triggered schedules that are due."""
    _TRIGGERS.poll()
