"""What Prefect's server knows of runs whose folder is on another machine that shares no datastore with this one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
    LogFilter,
    LogFilterTaskRunId,
)
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun
from prefect.client.schemas.sorting import FlowRunSort, LogSort

from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import ENDED, RunFolder
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.living import machine
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.workspace_store import WORKSPACE_TAG, machine_in
from stepwell.flows.runs.states import ENDS
from stepwell.model.redaction import here

_PAGE, _MOST = 200, 1000
_LATE = timedelta(minutes=1)
_STEPS = "stepwell."
"""How the keys of the tasks that are steps begin."""

_STATUS = {
    StateType.COMPLETED: "done",
    StateType.FAILED: "failed",
    StateType.CRASHED: "failed",
    StateType.CANCELLED: "cancelled",
    StateType.CANCELLING: "running",
    StateType.RUNNING: "running",
}


def bring_from_server(workspace: BaseWorkspace, run: RunFolder) -> None:
    """Make, or renew, the copy of a run of another machine; leave one of which nothing is known, or which is this one's."""
    try:
        UUID(run.run_id)
    except ValueError:
        return
    with client() as api:
        found = api.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run.run_id)])))
    _keep(workspace, found)


def bring_listed(workspace: BaseWorkspace, most: int | None) -> None:
    """Bring the newest runs of a workspace whose store is another home's."""
    wanted, found = min(most or _MOST, _MOST), list[FlowRun]()
    with client() as api:
        while len(found) < wanted:
            page = api.read_flow_runs(
                flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"{WORKSPACE_TAG}{workspace.name}"])),
                sort=FlowRunSort.START_TIME_DESC,
                limit=min(_PAGE, wanted - len(found)),
                offset=len(found),
            )
            found += page
            if len(page) < _PAGE:
                break
    _keep(workspace, found)


def server_log(step_run_id: str) -> str:
    """Return what a step wrote up to now, as far as Prefect's server has it."""
    lines: list[str] = []
    with suppress(Exception), client() as api:  # a server that is away knows nothing
        while True:
            page = api.read_logs(
                log_filter=LogFilter(task_run_id=LogFilterTaskRunId(any_=[UUID(step_run_id)])),
                limit=_PAGE,
                offset=len(lines),
                sort=LogSort.TIMESTAMP_ASC,
            )
            lines += [log.message for log in page]
            if len(page) < _PAGE:
                break
    return here().redact("".join(f"{line}\n" for line in lines))


def _keep(workspace: BaseWorkspace, found: Sequence[FlowRun]) -> None:
    runs = {flow_run.id: RunFolder(workspace.run_place.run_folder(str(flow_run.id))) for flow_run in found}
    wanted = [flow_run for flow_run in _foreign(found) if _may_be_kept(runs[flow_run.id])]
    steps: dict[UUID, list[TaskRun]] = {flow_run.id: [] for flow_run in wanted}
    if wanted:
        with client() as api:
            body: dict[str, Any] = {"flow_runs": {"id": {"any_": [str(flow_run.id) for flow_run in wanted]}}}
            offset = 0
            while True:
                more = {"limit": _PAGE, "offset": offset, "sort": "EXPECTED_START_TIME_ASC"}
                page = api.request("POST", "/task_runs/filter", json={**body, **more}).json()
                for task_run in map(TaskRun.model_validate, page):
                    if task_run.flow_run_id in steps and task_run.task_key.startswith(_STEPS):
                        steps[task_run.flow_run_id].append(task_run)
                offset += len(page)
                if len(page) < _PAGE:
                    break
    for flow_run in wanted:
        _write(workspace, runs[flow_run.id], flow_run, steps[flow_run.id])


def _foreign(found: Iterable[FlowRun]) -> list[FlowRun]:
    """Return the runs that have begun on another machine."""
    return [run for run in found if machine_in(run.tags) not in ("", machine()["name"]) and run.state is not None]


def _may_be_kept(run: RunFolder) -> bool:
    """Return whether the folder is a copy of a run that goes on, or one in which nothing has happened."""
    heard = run.heard()
    return heard["state"] not in ENDED if heard else not run.journal()


def _write(workspace: BaseWorkspace, run: RunFolder, flow_run: FlowRun, steps: list[TaskRun]) -> None:
    assert flow_run.state is not None
    make_folder(run.path)
    numbered = re.search("#([0-9]{1,9})$", flow_run.name)
    experiment = next((tag.partition(":")[2] for tag in flow_run.tags if tag.startswith("experiment:")), "flows")
    told = {
        "id": run.run_id,
        "name": flow_run.name,
        "workspace": workspace.name,
        "experiment": experiment,
        "created": (flow_run.created or flow_run.state.timestamp).timestamp(),
        "parameters": {name: str(value) for name, value in flow_run.parameters.items()},
        "machine": {"name": machine_in(flow_run.tags)},
        **({"number": int(numbered[1])} if numbered else {}),
    }
    status = ENDS.get(flow_run.state.type, "Running" if flow_run.start_time else "NotStarted")
    events = [{"at": _time(flow_run.start_time), "status": "Running"}] if flow_run.start_time else []
    events += [_event(step) for step in steps]
    if flow_run.state.type in ENDS:
        problem = {"problem": flow_run.state.message} if status == "Failed" and flow_run.state.message else {}
        events.append({"at": _time(flow_run.end_time or flow_run.state.timestamp), "status": status, **problem})
    run.describe({**told, **run.facts()})
    ended = flow_run.end_time or flow_run.state.timestamp
    is_recent = datetime.now(UTC) - ended < _LATE  # the server may yet learn of steps
    run.note_heard(machine_in(flow_run.tags), "Ending" if is_recent else status, 0.0)
    write_atomically(run.path / "journal.jsonl", b"")
    for event in events:
        run.append(event)


def _event(step: TaskRun) -> dict[str, Any]:
    kind, name = (step.state.type, step.state.name) if step.state else (None, "")
    status = "reused" if name == "Cached" else _STATUS.get(kind, "starting") if kind else "starting"
    event: dict[str, Any] = {
        "at": _time(step.end_time or step.start_time or step.created),
        "step": step.name,
        "status": status,
        "step_run_id": str(step.id),
        "task_run_id": str(step.id),
    }
    if status == "done":
        event["seconds"] = step.total_run_time.total_seconds()
    if status == "failed" and step.state and step.state.message:
        event["error"] = step.state.message
    return event


def _time(at: datetime | None) -> str:
    return at.isoformat(timespec="milliseconds") if at else ""
