"""Runs whose machine died: their heads in the shared store are silent, and one of the other machines ends them or starts them again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType

from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import DEAD_SECONDS, RunFolder
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.blocks.store.runs.telling import tell_now
from stepwell.blocks.system.living import machine
from stepwell.blocks.workspace.workspace_store import WORKSPACE_TAG, machine_in
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns, worker_of
from stepwell.errors import DatastoreException, WorkspaceException
from stepwell.flows.public.workspace import Workspace

_LOOK_SECONDS = 5.0
_PAGE = 200
_STATES = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class LostRuns:
    """Finds the runs of dead machines, and settles those that no other machine has claimed.

    A run is one if nothing was heard of it for two minutes, by the clock of the datastore, and Prefect hears nothing of its worker.
    """

    def __init__(self, orphaned: OrphanedRuns) -> None:
        self._orphaned = orphaned
        self._looked = float("-inf")
        self._silent: dict[str, bool] = {}

    def settle(self) -> None:
        """Settle the runs of dead machines; between two looks pass some seconds."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._silent.clear()
        errors: list[Exception] = []
        for flow_run, workspace in _elsewhere():
            try:
                self._settle(flow_run, workspace)
            except (DatastoreException, WorkspaceException) as error:
                errors.append(error)
        self._looked = time.monotonic()
        if errors:
            raise errors[0]

    def _settle(self, flow_run: FlowRun, workspace: Workspace) -> None:
        shared = workspace.shared_runs
        assert flow_run.state is not None
        if shared is None or not self._is_away(flow_run):
            return
        run = RunFolder(workspace.store.run_folder(str(flow_run.id)))
        if flow_run.state.type == StateType.PENDING:
            age = time.time() - flow_run.state.timestamp.timestamp()
            if age > DEAD_SECONDS and shared.claim(run.run_id, f"pending-{flow_run.state.id}"):
                self._orphaned.settle(flow_run, None, _words(flow_run))
            return
        if not shared.bring(run.run_id) or run.is_alive() or run.silent_seconds() < DEAD_SECONDS:
            return
        if shared.claim(run.run_id, str(len(run.journal()))) and _goes_on(flow_run):
            words = _words(flow_run)
            run.take_over()
            self._orphaned.settle(flow_run, run, words)
            _tell(run, shared)

    def _is_away(self, flow_run: FlowRun) -> bool:
        """Return whether Prefect hears nothing of the worker that has taken the run; also if none has."""
        worker, pool = worker_of(flow_run), flow_run.work_pool_name
        if not worker or not pool:
            return True
        if worker not in self._silent:
            with client() as api:
                found = api.request("POST", f"/work_pools/{pool}/workers/filter", json={"limit": _PAGE}).json()  # type: ignore[arg-type]
            self._silent |= {str(one["name"]): one.get("status") != "ONLINE" for one in found}
        return self._silent.setdefault(worker, True)


def _tell(run: RunFolder, shared: SharedRuns) -> None:
    with suppress(DatastoreException):  # Prefect knows it, and the next look tells the rest
        tell_now(run, shared)


def _words(flow_run: FlowRun) -> str:
    return f"Its machine {machine_in(flow_run.tags) or 'is not known, and'} was not heard of for two minutes"


def _goes_on(flow_run: FlowRun) -> bool:
    """Return whether Prefect still believes in the state of the run: another machine may have settled it before."""
    with client() as api:
        state = api.read_flow_run(UUID(str(flow_run.id))).state
    return state is not None and flow_run.state is not None and state.id == flow_run.state.id


def _elsewhere() -> Iterator[tuple[FlowRun, Workspace]]:
    """Yield each run that Prefect believes to be at work on another machine, with its workspace, if this home has that."""
    known = {name: one for name, one in Workspace.list().items() if _is_shared(one)}
    found: list[FlowRun] = []
    states = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_STATES))))
    if known:
        with client() as api:
            while True:
                page = api.read_flow_runs(flow_run_filter=states, limit=_PAGE, offset=len(found))
                found += page
                if len(page) < _PAGE:
                    break
    for flow_run in found:
        tagged = (known.get(tag.removeprefix(WORKSPACE_TAG)) for tag in flow_run.tags if tag.startswith(WORKSPACE_TAG))
        workspace = next((one for one in tagged if one is not None), None)
        begun = flow_run.state is not None and flow_run.state.type != StateType.PENDING
        ours = machine_in(flow_run.tags) in ("", machine()["name"]) if begun else not worker_of(flow_run)
        if workspace is not None and flow_run.state is not None and not ours:
            yield flow_run, workspace


def _is_shared(workspace: Workspace) -> bool:
    with suppress(DatastoreException, WorkspaceException):
        return workspace.shared_runs is not None and not workspace.shared_runs.read_only
    return False
