"""Orphaned runs of published pipelines, whose process is gone unknown to Prefect: started again, or ended truthfully.

Whether a run lives is told by the lock of its folder and by the process that its worker started, if that is of this machine:
a process's number proves nothing elsewhere, nor does a lock on a file system that takes none along. What can't be seen from
here is left alone.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Scheduled

from stepwell.blocks.processes.table import namespace, read
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import POOL
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.home import home, signing_key
from stepwell.blocks.system.living import machine
from stepwell.errors import DatastoreException, ServerException, WorkspaceException
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.publishing.publish import TAG, WORKSPACE_TAG
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.summary import FINAL
from stepwell.model.digests import digest

MOST_RESTARTS = 2
_PAGE = 200
_SECONDS_DEAD, _SECONDS_WITHOUT_PROCESS = 5.0, 60.0
_STATES = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_ENDS = {"Finished": StateType.COMPLETED, "Failed": StateType.FAILED, "Canceled": StateType.CANCELLED}
_DEAD = "The run's process is gone"
_STOPPED = "Its worker was stopped; the run goes on when one is started again"


def worker_name() -> str:
    """Return the name of this home's worker on this machine, in this PID namespace, where its numbers mean something."""
    return f"{_home_name()}@{socket.gethostname()}+{_space()}.{machine()['kernel'][:8]}"


def _space() -> str:
    return re.sub(r"\D", "", namespace())


def _home_name() -> str:
    """Return what names this home and no other, though several machines of one name have one at the same path."""
    return f"stepwell-{digest('home', [str(home()), signing_key()])[:6]}"


def _earlier_home_name() -> str:
    return f"stepwell-{digest('home', str(home()))[:6]}"


class OrphanedRuns:
    """Finds and settles orphaned runs. A run counts as one only once it was found so for some seconds."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._found: dict[UUID, float] = {}
        self._workspaces: dict[UUID, str] = {}

    def reconcile(self) -> None:
        """Restart or end the runs that have been orphaned for long enough; raise the first error after all had their turn."""
        self._reconcile(_SECONDS_DEAD, stopping=False)

    def reschedule(self) -> None:
        """Schedule the runs of this machine's worker, just killed, again, which counts as no restart."""
        self._reconcile(0.0, stopping=True)

    def _reconcile(self, grace_seconds: float, *, stopping: bool) -> None:
        orphaned: set[UUID] = set()
        errors: list[Exception] = []
        for flow_run in _unfinished():
            try:
                action = self._action_for(flow_run, stopping=stopping)
                if action is None:
                    continue
                orphaned.add(flow_run.id)
                now = time.monotonic()
                if now - self._found.setdefault(flow_run.id, now) >= grace_seconds:
                    action()
                    self._found.pop(flow_run.id, None)
            except ServerException:
                raise
            except Exception as error:  # noqa: BLE001  (the others have their turn)
                errors.append(error)
        self._found = {known: since for known, since in self._found.items() if known in orphaned}
        if errors:
            raise errors[0]

    # Detection ------------------------------------------------------------------------------------------------------

    def _action_for(self, flow_run: FlowRun, *, stopping: bool) -> Callable[[], None] | None:
        """Return what settles the run; None if nothing is wrong, or nobody here can tell."""
        assert flow_run.state is not None
        worker, process = worker_of(flow_run), _process_of(flow_run)
        if worker.startswith("stepwell-") and not _is_here(worker):
            return None
        folder = self._folder(flow_run)
        if folder is not None and folder.heard():
            return None  # the datastore tells of it
        if process == "lives" or (folder is not None and folder.is_alive()):
            return None
        begun = folder is not None and bool(folder.journal())
        ours = _is_here(worker) and process == "dead"
        taken_elsewhere = worker and not _is_here(worker)
        nowhere = process == "none" and flow_run.work_pool_name == POOL and _age(flow_run) > _SECONDS_WITHOUT_PROCESS
        if process == "foreign" or not (
            ours or (nowhere and not taken_elsewhere) or (begun and flow_run.state.type != StateType.PENDING)
        ):
            return None
        if flow_run.state.type == StateType.CANCELLING:
            return lambda: self._cancel(flow_run, folder if begun else None)
        if flow_run.state.type == StateType.PENDING:
            return lambda: self._schedule(flow_run, _STOPPED if stopping else f"{_DEAD}; it had not begun")
        if folder is not None and begun:
            return lambda: self._settle(flow_run, folder, stopping=stopping)
        return lambda: self._restart(flow_run, stopping=stopping)

    def _folder(self, flow_run: FlowRun) -> RunFolder | None:
        """Return the run's folder in its workspace's store, if that is on this machine."""
        if flow_run.deployment_id is None:
            return None
        if flow_run.deployment_id not in self._workspaces:
            with client() as api:
                tags = api.read_deployment(flow_run.deployment_id).tags
            found = (tag.removeprefix(WORKSPACE_TAG) for tag in tags if tag.startswith(WORKSPACE_TAG))
            self._workspaces[flow_run.deployment_id] = next(found, "")
        name = self._workspaces[flow_run.deployment_id]
        with suppress(WorkspaceException, DatastoreException):
            folder = RunFolder(Workspace.get(name).store.run_folder(str(flow_run.id))) if name else None
            return folder if folder is not None and folder.path.exists() else None
        return None

    # Actions ---------------------------------------------------------------------------------------------------------

    def settle(self, flow_run: FlowRun, folder: RunFolder | None, words: str) -> None:
        """End or restart the run of a machine that died, in the words of who found it so."""
        assert flow_run.state is not None
        if flow_run.state.type == StateType.CANCELLING:
            self._cancel(flow_run, folder)
        elif flow_run.deployment_id is None:
            if folder is not None and folder.status().get("status") not in FINAL:
                _close_steps(folder, "failed", words)
                _append(folder, {"status": "Failed", "problem": words})
            self._end(flow_run, _ENDS.get(_told_end(folder), StateType.CRASHED), words)
        elif folder is None:
            self._schedule(flow_run, words)
        else:
            self._settle(flow_run, folder, stopping=False)

    def _settle(self, flow_run: FlowRun, folder: RunFolder, *, stopping: bool) -> None:
        """End a run that had begun as its journal says, restart it from its kept results on, or give it up."""
        status = str(folder.status().get("status", ""))
        if status in FINAL:
            self._end(flow_run, _ENDS[status], "Prefect's server was away when the run ended")
            return
        restarts = int(folder.facts().get("restarts", 0))
        if stopping:
            _append(folder, {"status": "NotStarted"})
            self._schedule(flow_run, _STOPPED)
        elif status == "NotStarted":  # counted before, but Prefect could not be told
            self._schedule(flow_run, _DEAD)
        elif restarts < MOST_RESTARTS:
            words = f"{_DEAD}; it starts again, {restarts + 1} of {MOST_RESTARTS} times, and reuses what was done"
            folder.describe({"restarts": restarts + 1})
            _append(folder, {"status": "NotStarted", "warning": words})
            self._schedule(flow_run, words)
        else:
            words = f"{_DEAD}, after {MOST_RESTARTS} restarts"
            _close_steps(folder, "failed", words)
            _append(folder, {"status": "Failed", "problem": words})
            self._end(flow_run, StateType.CRASHED, words)

    def _restart(self, flow_run: FlowRun, *, stopping: bool) -> None:
        if stopping or flow_run.run_count <= MOST_RESTARTS:
            self._schedule(flow_run, _STOPPED if stopping else f"{_DEAD}; no step had begun")
        else:
            self._end(flow_run, StateType.CRASHED, f"{_DEAD}, {flow_run.run_count} times, before any step began")

    def _cancel(self, flow_run: FlowRun, folder: RunFolder | None) -> None:
        if folder is not None and folder.status().get("status") not in FINAL:
            _close_steps(folder, "cancelled", _DEAD)
            _append(folder, {"status": "Canceled"})
        self._end(flow_run, StateType.CANCELLED, "The run was cancelled")

    def _schedule(self, flow_run: FlowRun, words: str) -> None:
        with client() as api:
            # The number of a dead process would look like the next one's.
            api.request("PATCH", f"/flow_runs/{flow_run.id}", json={"infrastructure_pid": None})  # type: ignore[arg-type]
            api.set_flow_run_state(flow_run.id, Scheduled(scheduled_time=datetime.now(UTC), message=words), force=True)
        self._log(f"run {flow_run.name} ({flow_run.id}) is scheduled again: {words}")

    def _end(self, flow_run: FlowRun, kind: StateType, words: str) -> None:
        with client() as api:
            api.set_flow_run_state(flow_run.id, State(type=kind, message=words), force=True)
        run_labels.forget_secrets(flow_run)
        self._log(f"run {flow_run.name} ({flow_run.id}) is {kind.value.lower()}: {words}")


def _unfinished() -> Iterator[FlowRun]:
    """Return the runs of published pipelines that Prefect believes to be at work, as they were at this moment."""
    found: list[FlowRun] = []
    states = FlowRunFilterStateType(any_=list(_STATES))
    with client() as api:
        while True:
            page = api.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=states)),
                deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
                limit=_PAGE,
                offset=len(found),
            )
            found += page
            if len(page) < _PAGE:
                break
    return iter({flow_run.id: flow_run for flow_run in found if flow_run.state is not None}.values())


def _told_end(folder: RunFolder | None) -> str:
    """Return how the run had ended by itself, '' if it had not."""
    state = folder.status() if folder is not None else {}
    return "" if "problem" in state else str(state.get("status", ""))


def worker_of(flow_run: FlowRun) -> str:
    """Return the name of the worker that has taken the run, '' if none has."""
    return str(flow_run.labels.get("prefect.worker.name", ""))


def _is_here(worker: str) -> bool:
    """Return whether the worker is one whose processes can be seen from here, or could be if they lived."""
    name, _, place = worker.partition("@")
    host, _, space = place.partition("+")
    space, _, kernel = space.partition(".")
    if not name.startswith("stepwell-") or host != socket.gethostname():
        return False
    # Of this home only one process serves at a time, and its workers die with it.
    if name == _home_name() or (not kernel and name == _earlier_home_name()):
        return True
    return (not space or space == _space()) and kernel in ("", machine()["kernel"][:8])


def _process_of(flow_run: FlowRun) -> str:
    """Return `lives` or `dead`, as seen from here, `none` without a process number, `foreign` for other machines."""
    host, _, number = (flow_run.infrastructure_pid or "").rpartition(":")
    if not number:
        return "none"
    if not number.isdecimal() or (host and host != socket.gethostname()):
        return "foreign"
    return "lives" if _runs(int(number), flow_run.id) else "dead"


def _runs(pid: int, run_id: UUID) -> bool:
    if sys.platform == "linux":  # another process may have the number by now
        return f"PREFECT__FLOW_RUN_ID={run_id}".encode() in read(f"/proc/{pid}/environ").split(b"\0")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _age(flow_run: FlowRun) -> float:
    """Return for how many seconds the run has been in its state."""
    assert flow_run.state is not None
    return (datetime.now(UTC) - flow_run.state.timestamp).total_seconds()


def _close_steps(folder: RunFolder, status: str, words: str) -> None:
    """Record the end of steps that seem to run."""
    for step, state in folder.steps().items():
        if state.get("status") in ("starting", "running", "retrying"):
            _append(folder, {"step": step, "status": status, "error": words})


def _append(folder: RunFolder, event: dict[str, str]) -> None:
    folder.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
