"""Steps in flows of a user's own: they run as tasks there, in the workspace that the first rule that fits names."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from prefect import Flow, Task
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture

from stepwell.blocks.server.connection import ensure_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.made_up_names import is_generated
from stepwell.blocks.store.run_folder import RunFolder, run_label
from stepwell.blocks.store.runs.telling import Teller
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.living import machine
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.entered import entered_workspace
from stepwell.blocks.workspace.references import DataReference
from stepwell.blocks.workspace.results import results_block
from stepwell.blocks.workspace.workspace_store import place_tags
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.engine.environment_checks import differing_line
from stepwell.flows.engine.materialization import finish_sharing
from stepwell.flows.engine.observed_reads import undeclared_line
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.engine.tasks import CacheLookup, make_task
from stepwell.flows.parameters.pipeline_parameter import assign
from stepwell.model.definitions import StepDefinition, UnboundInput
from stepwell.model.records import Artifact, StepResult

StepFuture = PrefectFuture[StepResult]


def run_step(
    definition: StepDefinition,
    named: NamedWorkspaces,
    bindings: Mapping[str, Any],
    wait_for: tuple[Any, ...] = (),
    *,
    return_state: bool = False,
) -> Any:
    """Run the step as a task of the calling flow and return what it wrote, or the state that it ended in."""
    found: Any = _task_of(definition, named, bindings)(
        bindings=dict(bindings), wait_for=wait_for or None, return_state=return_state
    )
    return found.result() if not return_state and isinstance(found, State) and found.is_completed() else found


def submit_step(
    definition: StepDefinition, named: NamedWorkspaces, bindings: Mapping[str, Any], wait_for: tuple[Any, ...]
) -> StepFuture:
    """Submit the step to the calling flow's task runner and return a future of what it writes."""
    return _task_of(definition, named, bindings).submit(bindings=dict(bindings), wait_for=wait_for or None)


def _task_of(definition: StepDefinition, named: NamedWorkspaces, bindings: Mapping[str, Any]) -> Task[..., StepResult]:
    wanted = {p.name for p in definition.parameters} | set(inputs_of(definition))
    unknown = sorted(set(bindings) - wanted)
    missing = sorted(set(inputs_of(definition)) - set(bindings))
    if unknown or missing:
        raise UserErrorException(
            f"The step {definition.name!r} has no parameter or input {unknown[0]!r}"
            if unknown
            else f"The step {definition.name!r} needs its input {missing[0]!r}",
            {"parameters and inputs": ", ".join(sorted(wanted)) or "none"},
            "Pass each by its name.",
        )
    workspace = _workspace_of(definition.name, named, bindings)
    _follow_flow(workspace)
    preparation = StepPreparation(definition, workspace.name)
    return make_task(definition, preparation, workspace.store.locks, results_block(ensure_server()))


class NamedWorkspaces(NamedTuple):
    """The workspaces that a step names: with `workspace=`, and by the datastores of its inputs and outputs."""

    argument: BaseWorkspace | None
    data: BaseWorkspace | None


_OF_RUNS: dict[str, BaseWorkspace] = {}
"""The workspace of each flow run of this process that had a step, the newest last."""
_MOST_RUNS = 100


def _workspace_of(step: str, named: NamedWorkspaces, bindings: Mapping[str, Any]) -> BaseWorkspace:
    """Return where the step runs: `with ws:`, `workspace=`, its data, the run's steps before it, `config.json`, in this order."""
    flow = FlowRunContext.get()
    run_id = str(flow.flow_run.id) if flow is not None and flow.flow_run is not None else ""
    entered = entered_workspace()
    assert entered is None or isinstance(entered, BaseWorkspace)
    given = next((place for place in map(_place_of, bindings.values()) if place), "")
    before = _OF_RUNS.get(run_id)
    if given and (before is None or before.name != given):
        before = BaseWorkspace.get(given)
    chosen = entered or named.argument or named.data or before or _configured_workspace(step)
    for place in (named.data.name if named.data else "", *map(_place_of, bindings.values())):
        if place not in ("", chosen.name):
            raise UserErrorException(
                f"The step {step!r} would run in workspace {chosen.name!r}, but its data are in {place!r}",
                hint="Run all steps that share data `with ws:` of one workspace.",
            )
    if run_id:
        _OF_RUNS[run_id] = chosen
        while len(_OF_RUNS) > _MOST_RUNS:
            _OF_RUNS.pop(next(iter(_OF_RUNS)))
    return chosen


def _place_of(value: Any) -> str:
    """Return the name of the workspace that a binding belongs to, '' if it is not known (yet)."""
    if isinstance(value, (Artifact, StepResult)):
        return value.workspace
    owner = getattr(value.datastore, "workspace", None) if isinstance(value, DataReference) else None
    return owner.name if isinstance(owner, BaseWorkspace) else ""


def _configured_workspace(step: str) -> BaseWorkspace:
    try:
        return BaseWorkspace.from_config()
    except UserErrorException as error:
        raise UserErrorException(
            f"Nothing names the workspace in which the step {step!r} runs",
            {
                "tried": f"`with ws:`, `workspace=`, data, steps before it in the run, {error.facts.get('for', 'config.json')}"
            },
            "Call the flow, or the step in it, inside `with ws:`, or pass `workspace=ws` to the step.",
        ) from None


ON_END: list[Callable[[RunFolder], object]] = []
"""What is done with the run of a user's own flow when that ends: upper rooms put it here."""


_TELLERS: dict[str, Teller] = {}


def _follow_flow(workspace: BaseWorkspace) -> None:
    current = FlowRunContext.get()
    if current is None or current.flow is None or current.flow_run is None:
        return
    if _leave_summary not in current.flow.on_completion_hooks:
        for hooked in (current.flow.on_completion, current.flow.on_failure, current.flow.on_crashed):
            hooked(_leave_summary)
    run_id, shared = str(current.flow_run.id), workspace.shared_runs
    if shared is not None and not shared.read_only and run_id not in _TELLERS:
        _TELLERS[run_id] = Teller(RunFolder(workspace.store.run_folder(run_id)), shared)
        _TELLERS[run_id].start()


def _leave_summary(flow: Flow[Any, Any], flow_run: FlowRun, state: State) -> None:  # noqa: ARG001  (Prefect's own names)
    workspace = _OF_RUNS.pop(str(flow_run.id), None)
    if workspace is None:
        return
    run = RunFolder(workspace.store.run_folder(str(flow_run.id)))
    with suppress(StepwellError):
        finish_sharing(_context_of(workspace.name, str(flow_run.id)))
    for line in filter(None, (differing_line(run), undeclared_line(run))):
        run.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "warning": line})
    for act in ON_END:
        act(run)
    teller = _TELLERS.pop(run.run_id, None)
    if teller is not None:
        teller.stop("Finished" if state.is_completed() else "Failed")


def inputs_of(definition: StepDefinition) -> list[str]:
    """Return the names of the inputs that a call has to fill, in the step's order."""
    return [port.name for port in definition.inputs if isinstance(port.source, UnboundInput)]


@dataclass(frozen=True)
class StepPreparation:
    """Prepares a step of a user's own flow, in whatever process Prefect runs it; only names travel there."""

    definition: StepDefinition
    workspace: str

    def __call__(self, bindings: Mapping[str, Any]) -> CacheLookup:
        """Return the cache lookup of the step's call with these parameters and inputs."""
        context = _context_of(self.workspace, _run_id())
        names = {parameter.name for parameter in self.definition.parameters}
        values = assign(self.definition.parameters, {name: value for name, value in bindings.items() if name in names})
        data = {name: _artifact(context, name, value) for name, value in bindings.items() if name not in names}
        return CacheLookup(context, context.call(self.definition, values, data))


def _artifact(context: RunContext, name: str, value: Any) -> Artifact:
    if isinstance(value, Artifact):
        return value
    if isinstance(value, DataReference):
        artifact = context.artifact(value.source)
        context.check_links(name, value.source, follow=value.follow_links)
        return artifact
    if isinstance(value, StepResult) and len(value) == 1:
        return next(iter(value.values()))
    raise UserErrorException(
        f"The input {name!r} can't be filled with a {type(value).__name__}",
        hint="Pass an output of another step, such as `out['model']`, or a DataReference.",
    )


def _run_id() -> str:
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    if flow is not None and flow.flow_run is not None:
        return str(flow.flow_run.id)
    assert task is not None
    return str(task.task_run.flow_run_id or task.task_run.id)


def _flow_name() -> str:
    flow = FlowRunContext.get()
    return flow.flow.name if flow is not None and flow.flow is not None else "step"


@lru_cache(maxsize=4)
def _context_of(workspace: str, run_id: str) -> RunContext:
    context = RunContext(BaseWorkspace.get(workspace), run_id)
    if not context.run.facts():
        name = _flow_name()
        with told_in_words("The run can't be recorded", context.run.path):
            number = context.store.next_run_number()
            context.run.describe(
                {
                    "id": run_id,
                    "number": number,
                    "created": time.time(),
                    "workspace": workspace,
                    "kind": "flow",
                    "name": name,
                    "machine": dict(machine()),
                }
            )
        _name_in_prefect(run_id, run_label(name, number), workspace)
    return context


def _name_in_prefect(run_id: str, label: str, workspace: str) -> None:
    """Give the flow run its short name, unless somebody chose another one, and the tags of its place."""
    with suppress(Exception), client() as api:  # a step that is called outside any flow has no flow run
        flow_run = api.read_flow_run(UUID(run_id))
        name = label if is_generated(flow_run.name) else flow_run.name
        api.update_flow_run(UUID(run_id), name=name, tags=place_tags(flow_run.tags, workspace))
