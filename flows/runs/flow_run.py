"""A pipeline inside a Prefect flow run: check it, freeze its sources, run its steps, publish what came of it."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from stepwell.blocks.compute.base import Compute
from stepwell.blocks.server.connection import named_server, wait_until_available
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.made_up_names import is_generated
from stepwell.blocks.server.patience import SECONDS_WITHOUT_ANSWER, give_up, when_sent, when_untold
from stepwell.blocks.source.provenance import git_provenance
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import RunFolder, run_label
from stepwell.blocks.store.runs.telling import telling
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.living import machine
from stepwell.blocks.system.locks import shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.workspace_store import place_tags
from stepwell.errors import ActivityFailedException, DatastoreException, StepwellError, UserErrorException
from stepwell.flows.engine.environment_checks import check_environment, check_known, differing_line
from stepwell.flows.engine.materialization import check_destinations, finish_sharing
from stepwell.flows.engine.observed_reads import undeclared_line
from stepwell.flows.engine.results.outcome import Outcome
from stepwell.flows.engine.reuse import plan
from stepwell.flows.engine.run_context import Listener, RunContext
from stepwell.flows.engine.scheduler import Engine
from stepwell.flows.keys.secret_values import redacted
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.flows.runs.artifacts import publish_artifacts
from stepwell.flows.runs.cancel import watch_for_cancel
from stepwell.model.definitions import ParameterDefinition, PipelineDefinition
from stepwell.model.records import StepResult

CIRCLE = "The steps wait for one another in a circle"


@dataclass(frozen=True)
class RunOptions:
    """How to run: force every step, go on past failures, read every byte, what is known of the run, who listens to it.

    `wants_results`: the flow returns the results of its steps, in which Prefect looks for states. `known` is what `run.json` would hold, above all frozen `snapshots`.
    """

    regenerate: bool = False
    continue_on_failure: bool = False
    verify: bool = False
    wants_results: bool = True
    known: Mapping[str, Any] = field(default_factory=dict, compare=False)
    listeners: tuple[Listener, ...] = field(default=(), compare=False)


def run_pipeline(
    pipeline: PipelineDefinition, workspace: BaseWorkspace, values: Mapping[str, Value], options: RunOptions
) -> dict[str, StepResult]:
    """Run the pipeline in the current flow run, and return the result of each step by its id.

    A failed step raises ActivityFailedException; a cancelled run raises RunCancelled.
    """
    run_id = str(_flow_run().id)
    _go_on_with(workspace, run_id)
    known = {**options.known, **RunContext(workspace, run_id).run.facts()}
    context = RunContext(
        workspace,
        run_id,
        snapshots=known.get("snapshots", {}),
        regenerate=options.regenerate,
        verify=options.verify,
        listeners=options.listeners,
    )
    with (
        _without_old_garbage(),
        told_in_words("The run can't be recorded", context.run.path),
        context.run.alive(),
        telling(context.run, workspace.shared_runs),
        closing(context),
    ):
        if options.known:
            context.run.describe(known)
        _let_it_end_untold(context, heard=bool(options.listeners))
        outcome = _run(context, pipeline, values, options, known)
    if outcome.cancelled:
        raise RunCancelled
    if not outcome.ok:
        failed = next(iter(outcome.failures.values()), "A step was cancelled")
        raise ActivityFailedException(
            f"The pipeline failed: {len(outcome.failures)} of {len(pipeline.steps)} steps failed, "
            f"{len(outcome.skipped)} did not run",
            {"first failure": failed},
            f"Look at `stepwell show {context.run.reference}`; what succeeded will be reused.",
        )
    return outcome.results if options.wants_results else {}


_left_frozen = Event()


def leave_frozen() -> None:
    """Have runs leave the garbage collector as it is: whoever calls this has what is imported frozen, for good."""
    _left_frozen.set()


@contextmanager
def _without_old_garbage() -> Iterator[None]:
    """Look for garbage only in what is made while the block runs: to go through all that is imported takes a tenth of a second."""
    # Whoever froze something may want it to last; to count what is frozen takes time, too.
    if _left_frozen.is_set() or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _go_on_with(workspace: BaseWorkspace, run_id: str) -> None:
    """Make what another machine has told of the run, before it died, the beginning of what is told here."""
    run = RunFolder(workspace.store.run_folder(run_id))
    if workspace.shared_runs is not None and _flow_run().run_count > 1:
        with suppress(DatastoreException):  # what was done is reused all the same
            workspace.shared_runs.bring(run_id)
    run.take_over()


class RunCancelled(Exception):
    """The run was cancelled: by Ctrl-C, a signal, `cancel()`, or in Prefect's UI."""


def _run(
    context: RunContext,
    pipeline: PipelineDefinition,
    values: Mapping[str, Value],
    options: RunOptions,
    known: Mapping[str, Any],
) -> Outcome:
    context.emit({"status": "Running"})
    outcome, status = Outcome(), "Failed"
    engine: Engine | None = None
    try:
        preflight(context, pipeline, values)
        check_ready(context, pipeline, values)
        describe(context, pipeline, values, known)
        with watch_for_cancel(context):
            engine = Engine(context, pipeline, values, continue_on_failure=options.continue_on_failure)
            outcome = engine.run()
        status = "Canceled" if outcome.cancelled else "Finished" if outcome.ok else "Failed"
    except StepwellError as error:
        context.emit({"problem": error.message})
        raise
    except Exception as error:
        context.emit({"problem": f"Stepwell could not run the pipeline: {type(error).__name__}: {error}"})
        raise
    finally:
        steps = context.run.steps()
        for line in filter(None, (differing_line(context.run, steps), undeclared_line(context.run, steps))):
            context.warn(line)
        finish_sharing(context)
        context.emit({"status": status})
        if wait_until_available(SECONDS_WITHOUT_ANSWER):
            with suppress(Exception):  # pictures of a run must not decide its fate
                publish_artifacts(context.run, engine.tell_of_artifact if engine else None)
        else:
            give_up(str(_flow_context().client.api_url))
        if engine is not None:
            engine.tell_rest()
    return outcome


def _let_it_end_untold(context: RunContext, *, heard: bool) -> None:
    """Let the run end though Prefect's server can't be told so, which is said, and noted for `stepwell server sync`."""
    words = (
        "Prefect's server does not answer and does not know how the run ended; "
        "`stepwell server sync` and `stepwell serve` tell it"
    )

    def tell() -> None:
        context.emit({"warning": words, "server": "lost"})
        if not heard:  # nobody shows what is emitted
            print(f"Warning: {words}", file=sys.stderr)

    untold.note(context.run, named_server())
    when_sent(partial(untold.forget, context.run.run_id))
    when_untold(context.run.run_id, tell)


def preflight(context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value]) -> None:
    """Raise what no run could get past (a missing script, target or input) before anything runs."""
    refuse_circle(pipeline)
    for step in pipeline.steps:
        context.compute(step.compute_target).check(step)
        check_destinations(context, step)
        call = context.call(step, values, {}, early=True)
        check_environment(context, step)
        check_known(context, call)


def refuse_circle(pipeline: PipelineDefinition) -> None:
    """Raise UserErrorException if steps wait for one another: v1's rules let such a pipeline be made, and none run it."""
    if pipeline.circle:
        raise UserErrorException(
            CIRCLE,
            {"steps": ", ".join(pipeline.circle)},
            "Remove one of the inputs or `run_after` calls that close the circle.",
        )


def check_ready(context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value]) -> None:
    """Ask targets that can tell whether they have what they need, if a step is sure to run there."""
    targets = {step.id: context.compute(step.compute_target) for step in pipeline.steps}
    if all(type(target).ready is Compute.ready for target in targets.values()):
        return
    sure = {decision.step for decision in plan(context, pipeline, values) if decision.action == "run"}
    for target in {target.name: target for step, target in targets.items() if step in sure}.values():
        target.ready()


def describe(
    context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value], known: Mapping[str, Any]
) -> None:
    """Record in the run's folder and in Prefect what runs, with which values, snapshots and commit."""
    before = str(context.run.facts().get("machine", {}).get("name", ""))
    provenance = known["properties"] if "properties" in known else provenance_of(pipeline)
    if "number" not in known:
        context.run.describe({"number": context.store.next_run_number(), "created": time.time()})
    name = _name(pipeline, int(context.run.facts()["number"]))
    with shared(context.store.lock_file):  # a collector must not see snapshots that the run does not claim yet
        context.run.describe(
            {
                "id": context.run.run_id,
                "name": name,
                "workspace": context.workspace.name,
                "experiment": known.get("experiment", pipeline.name),
                "pipeline": redacted(pipeline.to_json(), context.redactor),
                "parameters": shown_values(pipeline.parameters, values),
                "snapshots": context.snapshots(),
                "properties": provenance,
                "pid": os.getpid(),
                "machine": dict(machine()),
            }
        )
    labels: dict[str, Any] = {name: text for name, text in provenance.items() if text}
    own = run_tags(str(known.get("experiment", pipeline.name)), provenance)
    tags = place_tags({*_flow_run().tags, *own}, context.workspace.name, before)
    with suppress(Exception), client() as api:
        if labels:
            api.update_flow_run_labels(UUID(context.run.run_id), labels)
        if name != _flow_run().name or set(tags) != set(_flow_run().tags):
            api.update_flow_run(UUID(context.run.run_id), name=name, tags=tags)


def run_tags(experiment: str, provenance: Mapping[str, str]) -> list[str]:
    """Return the tags that find a run in Prefect's UI."""
    commit = provenance.get("azureml.git.commit", "")
    return [f"experiment:{experiment}", *([f"git:{commit[:12]}"] if commit else [])]


def shown_values(parameters: Iterable[ParameterDefinition], values: Mapping[str, Value]) -> dict[str, str]:
    """Return the parameters' values as text, secrets hidden."""
    return {p.name: "***" if p.secret else as_text(values[p.name]) for p in parameters}


def provenance_of(pipeline: PipelineDefinition) -> dict[str, str]:
    """Return the git properties of the first source directory that a step has."""
    folders = dict.fromkeys(step.source_directory for step in pipeline.steps if step.source_directory)
    for folder in folders:
        return git_provenance(Path(folder))
    return {}


def _name(pipeline: PipelineDefinition, number: int) -> str:
    """Return the run's name: the one that somebody chose, or else the pipeline's and the run's number."""
    context, name = FlowRunContext.get(), _flow_run().name
    chosen = context is not None and context.flow is not None and context.flow.flow_run_name is not None
    return name if chosen or not is_generated(name) else run_label(pipeline.name, number)


def _flow_run() -> FlowRun:
    flow_run = _flow_context().flow_run
    assert flow_run is not None
    return flow_run


def _flow_context() -> FlowRunContext:
    context = FlowRunContext.get()
    assert context is not None
    return context
