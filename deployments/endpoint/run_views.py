"""Runs of published pipelines as the endpoint shows them: status, steps, metrics, outputs; and how to cancel one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.retry import with_retries
from stepwell.blocks.workspace.publications import PublishedPipelineBlock
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.access.registry import SECONDS_WITHOUT_SERVER, Registry
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.cancel import ask_to_cancel
from stepwell.flows.runs.elsewhere.finding import renew
from stepwell.flows.runs.names import usual_experiment
from stepwell.flows.runs.states import status_of
from stepwell.flows.runs.summary import FINAL
from stepwell.model.redaction import here, redacted
from stepwell.script.metrics import finite


@dataclass(frozen=True)
class KnownRun:
    """A run of a published pipeline: in Prefect, and in its workspace, whose folder may be on another machine."""

    published: PublishedPipelineBlock
    flow_run: FlowRun
    run: PipelineRun

    @property
    def status(self) -> str:
        """`NotStarted`, `Running`, `Finished`, `Failed` or `Canceled`."""
        return status_of(self.run.folder, self.flow_run.state)


def find_run(run_id: str, registry: Registry) -> KnownRun:
    """Return the run; raise HttpError with status 404 if it is none of a published pipeline."""
    try:
        flow_run_id = UUID(run_id)
    except ValueError:
        raise _unknown() from None
    if str(flow_run_id) != run_id.lower():  # Python also reads braces, prefixes and the digits of every script
        raise _unknown()
    try:
        flow_run = with_retries(lambda: _read(flow_run_id), SECONDS_WITHOUT_SERVER)
    except ObjectNotFound:
        raise _unknown() from None
    deployment = str(flow_run.deployment_id)
    published = next((block for block in registry.published if block.deployment_id == deployment), None)
    if published is None:
        raise _unknown()
    facts = run_labels.facts(flow_run)
    named = facts.get("experiment") or flow_run.parameters.get("experiment_name") or usual_experiment(published.name)
    experiment = Experiment(registry.workspace(published.workspace), str(named))
    run = PipelineRun(experiment, str(flow_run.id))
    renew(run.workspace, run.folder)
    return KnownRun(published, flow_run, run)


def _read(flow_run_id: UUID) -> FlowRun:
    with client() as api:
        return api.read_flow_run(flow_run_id)


def _unknown() -> HttpError:
    return HttpError(404, "NotFound", "There is no such run of a published pipeline", "Check the id.")


def run_response(known: KnownRun, address: str, page: str) -> dict[str, Any]:
    """Return all that is known of the run now; `address` is the endpoint's, `page` the run's in Prefect's UI."""
    summary = known.run.summary()
    steps = list(known.run.get_steps())[::-1]
    started, state = summary.started or None, known.flow_run.state
    ended = known.status in FINAL
    reason = (summary.problem or (state and state.message)) if ended and known.status != "Finished" else None
    return {
        "id": known.run.id,
        "name": known.run.name if known.run.name != known.run.id else known.flow_run.name,
        "status": known.status,
        "pipeline": {
            "id": known.published.published_id,
            "name": known.published.name,
            "version": known.published.version,
        },
        "experiment": known.run.experiment_name,
        "tags": {**redacted(run_labels.facts(known.flow_run).get("tags", {}), here().redact), **known.run.tags},
        "parameters": summary.facts.get("parameters") or _shown(known),
        "started": started,
        "ended": (summary.ended or _ended(known)) if ended else None,
        "headline": summary.headline if steps else None,
        "problem": reason,
        "warnings": [*summary.warnings, *_out_of_reach(known)],
        "machine": summary.machine or None,
        "steps": [_step(step, known, address) for step in steps]
        or [{"name": n, "status": "waiting"} for n in known.published.steps],
        "metrics": finite(known.run.get_metrics()),
        "page": page,
    }


def _out_of_reach(known: KnownRun) -> list[str]:
    workspace = known.run.workspace
    return (
        [] if workspace.is_here else [f"Why steps ran, and what they wrote, is known at {workspace.store_place} only"]
    )


def _shown(known: KnownRun) -> dict[str, Any]:
    names = {str(plain["name"]) for plain in known.published.parameters}
    return {name: value for name, value in known.flow_run.parameters.items() if name in names}


def _ended(known: KnownRun) -> str | None:
    return known.flow_run.end_time.isoformat(timespec="milliseconds") if known.flow_run.end_time else None


def _step(step: StepRun, known: KnownRun, address: str) -> dict[str, Any]:
    summary = step._summary  # noqa: SLF001
    return {
        "name": step.name,
        "status": summary.happened,
        "why": list(step.why),
        "seconds": summary.seconds,
        "saved": summary.saved,
        "error": summary.error or None,
        "metrics": finite(step.get_metrics()),
        "outputs": [
            {
                "name": name,
                "datastore": data.datastore_name,
                "path": data.path_on_datastore,
                "size": data.artifact.size,
                "url": output_url(address, known.run.id, step.name, name),
            }
            for name, data in (step.get_outputs() if known.run.workspace.is_here else {}).items()
        ],
    }


def output_url(address: str, run_id: str, step: str, output: str) -> str:
    """Return the address where an output can be downloaded."""
    return f"{address}/runs/{run_id}/outputs?{urlencode({'step': step, 'output': output}, quote_via=quote)}"


def cancel_run(known: KnownRun) -> None:
    """Cancel a run that waits, ask one at work to end, and leave one that has ended as it is."""
    state = known.flow_run.state
    if known.status in FINAL or state is None:
        return
    if state.type in (StateType.RUNNING, StateType.CANCELLING) and known.run.folder.is_alive():
        ask_to_cancel(known.run.folder)
    waits = state.type in (StateType.SCHEDULED, StateType.PENDING, StateType.PAUSED)
    if waits or known.run.folder.heard() or not known.run.folder.is_alive():
        wanted = State(type=StateType.CANCELLED if waits else StateType.CANCELLING, message="Cancelled by a caller")
        with_retries(lambda: _set(known.flow_run.id, wanted, force=waits), SECONDS_WITHOUT_SERVER)
    if waits:
        run_labels.forget_secrets(known.flow_run)


def _set(flow_run_id: UUID, state: State, *, force: bool) -> None:
    with client() as api:
        api.set_flow_run_state(flow_run_id, state, force=force)
