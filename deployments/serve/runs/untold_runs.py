"""Runs that Prefect's server missed something of, since it was silent or away: it is told what their folders say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server.connection import named_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.errors import ServerException
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.artifacts import publish_artifacts
from stepwell.flows.runs.flow_run import run_tags
from stepwell.flows.runs.states import ENDS
from stepwell.flows.runs.summary import FINAL, RunSummary, summarize
from stepwell.flows.task_runs.events import ROUTE, TASK_KEY, Entered, state_event, waits_for

_SECONDS_TO_TELL_ITSELF = 60.0
"""How long the process of a run that ended well may still be sending what Prefect has to know."""

_TYPES = {"Finished": StateType.COMPLETED, "Failed": StateType.FAILED, "Canceled": StateType.CANCELLED}
_ENDED_AS = {
    "done": ("COMPLETED", "Completed"),
    "reused": ("COMPLETED", "Cached"),
    "failed": ("FAILED", "Failed"),
    "cancelled": ("CANCELLED", "Cancelled"),
    **dict.fromkeys(("starting", "running", "retrying"), ("CRASHED", "Crashed")),
}
_PAGE = 200


class UntoldRuns:
    """Tells Prefect's server the truth about the runs of this home that are noted as untold."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log

    def tell(self) -> None:
        """Tell of the runs whose own processes had the time to do it."""
        self.tell_now(_SECONDS_TO_TELL_ITSELF)

    def tell_now(self, patience: float = 0.0) -> int:
        """Tell of all runs that have ended, and return of how many the server had missed something.

        The first error is raised after all had their turn.

        `patience`: for how many seconds runs whose processes did not give the server up are left to them.
        """
        told, server = 0, named_server()
        errors: list[Exception] = []
        for run, place in untold.untold():
            waits = run.status().get("server") != "lost" and _age(run) < patience
            if place == server and not waits and not run.is_alive():
                try:
                    told += self._tell(run)
                except ServerException:
                    raise
                except Exception as error:  # noqa: BLE001  (the others have their turn)
                    errors.append(error)
        told += self._end_unanswered(server)
        if errors:
            raise errors[0]
        return told

    def _end_unanswered(self, server: str) -> int:
        """End the runs that a silent server registered after whoever asked for them had given up."""
        tokens = set(untold.unanswered(server))
        if not tokens:
            return 0
        with client() as api:
            pending = {"state": {"type": {"any_": [StateType.PENDING.value]}}}
            body = {"flow_runs": pending, "sort": "EXPECTED_START_TIME_DESC", "limit": _PAGE}
            found = api.request("POST", "/flow_runs/filter", json=body).json()
            never = [one for one in found if (one.get("state") or {}).get("message") in tokens]
            for one in never:
                words = "It never began: Prefect's server did not answer when it was asked for"
                api.set_flow_run_state(UUID(one["id"]), State(type=StateType.CANCELLED, message=words), force=True)
                self._log(f"run {one['name']} ({one['id'][:8]}) never began: Prefect's server is told")
        untold.forget_unanswered(server)
        return len(never)

    def _tell(self, run: RunFolder) -> bool:
        summary, own_words = summarize(run), str(run.status().get("status", ""))
        with client() as api:
            try:
                flow_run = api.read_flow_run(UUID(run.run_id))
            except ObjectNotFound:
                self._log(f"run {run.run_id[:8]} is unknown to Prefect's server")
                untold.forget(run.run_id)
                return False
            crashed = own_words not in FINAL
            if summary.status not in FINAL or (crashed and flow_run.deployment_id is not None):
                return False  # it goes on, or the reconciler of published pipelines decides
            missed = [_describe(api, flow_run, summary), _tell_steps(api, flow_run, run)]
        missed.append(_tell_artifacts(flow_run, run))
        missed.append(_tell_end(flow_run, summary, crashed=crashed))
        run_labels.forget_secrets(flow_run)
        untold.forget(run.run_id)
        if any(missed):
            run.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "server": "told"})
            self._log(f"run {summary.facts.get('name', run.run_id[:8])} ({run.run_id[:8]}): Prefect's server is told")
        return any(missed)


def _describe(api: SyncPrefectClient, flow_run: FlowRun, summary: RunSummary) -> bool:
    """Tell name, tags and labels of the run, and return whether anything was missing."""
    facts = summary.facts
    properties = {name: str(text) for name, text in facts.get("properties", {}).items() if text}
    wanted = run_tags(str(facts["experiment"]), properties) if "experiment" in facts else []
    name, tags = str(facts.get("name", flow_run.name)), sorted({*flow_run.tags, *wanted})
    missed = False
    if name != flow_run.name or set(tags) != set(flow_run.tags):
        api.update_flow_run(flow_run.id, name=name, tags=tags)
        missed = True
    if not properties.items() <= flow_run.labels.items():
        api.update_flow_run_labels(flow_run.id, properties)  # type: ignore[arg-type]
        missed = True
    return missed


def _tell_artifacts(flow_run: FlowRun, run: RunFolder) -> bool:
    """Publish what the run leaves in the UI unless something is there, and return whether nothing was."""
    with client() as api:
        body = {"artifacts": {"flow_run_id": {"any_": [str(flow_run.id)]}}, "limit": 1}
        if api.request("POST", "/artifacts/filter", json=body).json():
            return False
    publish_artifacts(run)
    return True


def _tell_end(flow_run: FlowRun, summary: RunSummary, *, crashed: bool) -> bool:
    """Tell how the run ended, and return whether the server believed something else."""
    if flow_run.state is not None and ENDS.get(flow_run.state.type) == summary.status:
        return False
    words = "The run's process is gone" if crashed else f"Ended {summary.ended}, while Prefect's server did not answer"
    kind = StateType.CRASHED if crashed else _TYPES[summary.status]
    with client() as api:
        api.set_flow_run_state(flow_run.id, State(type=kind, message=summary.problem or words), force=True)
    return True


# Steps ------------------------------------------------------------------------------------------------------------------


def _tell_steps(api: SyncPrefectClient, flow_run: FlowRun, run: RunFolder) -> bool:
    """Tell what became of each step, at its own time, and return whether the server believed something else."""
    known = list(_task_runs(api, flow_run))
    by_id, by_name = ({task_run[by]: task_run for task_run in known} for by in ("id", "name"))
    history: dict[str, dict[str, Event]] = {}
    for event in run.journal():
        if "step" in event and "status" in event and "at" in event:
            history.setdefault(event["step"], {})[event["status"]] = event
    steps = run.steps()
    ids = {
        step: str(state.get("task_run_id") or _own_id(run, state) or uuid5(flow_run.id, step))
        for step, state in steps.items()
    }
    events: list[dict[str, Any]] = []
    for step, state in steps.items():
        if state.get("status") not in _ENDED_AS or state["status"] not in history.get(step, {}):
            continue  # skipped: Prefect never had a task run of it
        task_run = by_id.get(ids[step]) or by_name.get(step) or {}
        kind, name = _ENDED_AS[state["status"]]
        if task_run.get("state_type") == kind:
            continue
        ids[step] = str(task_run.get("id", ids[step]))
        end = _later(history[step][state["status"]]["at"]) if kind != "CRASHED" else _now()
        start = next((history[step][word] for word in ("running", "starting") if word in history[step]), {"at": end})
        facts = {
            "name": step,
            "task_key": task_run.get("task_key", TASK_KEY),
            "dynamic_key": task_run.get("dynamic_key", ids[step]),
            "run_count": 1,
            "flow_run_run_count": 1,
            "expected_start_time": start["at"],
            "start_time": start["at"],
            "task_inputs": waits_for([ids[before] for before in state.get("upstream", ()) if before in ids]),
        }
        facts |= {"end_time": end, "total_run_time": _seconds(start["at"], end)}
        words = str(state.get("error", ""))
        events.append(state_event(_related(flow_run), ids[step], facts, Entered(kind, name, end, words)))
    if events:
        api.request("POST", ROUTE, json=events)  # type: ignore[arg-type]
    return bool(events)


def _task_runs(api: SyncPrefectClient, flow_run: FlowRun) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        body = {"task_runs": {"flow_run_id": {"any_": [str(flow_run.id)]}}, "limit": _PAGE, "offset": offset}
        page = api.request("POST", "/task_runs/filter", json=body).json()
        yield from page
        offset += len(page)
        if len(page) < _PAGE:
            return


def _own_id(run: RunFolder, state: Mapping[str, Any]) -> str:
    """Return the id of the step's run if it is one of this run: what is reused names that of another."""
    return "" if state.get("from_run", run.run_id) != run.run_id else str(state.get("step_run_id", ""))


def _related(flow_run: FlowRun) -> list[dict[str, str]]:
    kind, name = f"prefect.flow-run.{flow_run.id}", flow_run.name
    return [{"prefect.resource.id": kind, "prefect.resource.role": "flow-run", "prefect.resource.name": name}]


def _later(at: str) -> str:
    """Return the time a moment later: the journal's are rounded down, and what is not newer counts for nothing."""
    return (datetime.fromisoformat(at) + timedelta(milliseconds=1)).isoformat()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _seconds(start: str, end: str) -> float:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def _age(run: RunFolder) -> float:
    """Return for how many seconds nothing has happened in the run."""
    try:
        return time.time() - (run.path / "journal.jsonl").stat().st_mtime
    except OSError:
        return float("inf")
