"""How a run is registered and started: in this process, or in one of its own that outlives this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.states import Failed, Pending

from stepwell.blocks.datasets.inputs import keep_secret_addresses
from stepwell.blocks.server import patience
from stepwell.blocks.server.connection import client_settings, ensure_server, named_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import Event, RunFolder, run_label
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import shared
from stepwell.blocks.workspace.workspace_store import place_tags
from stepwell.errors import ExperimentExecutionException, ServerException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.secret_values import declared_secrets, redacted, secrets_of
from stepwell.flows.parameters.pipeline_parameter import Value, check
from stepwell.flows.parameters.schema import flow_values
from stepwell.flows.runs.flow_run import RunOptions, preflight, provenance_of, run_tags, shown_values
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.flows.runs.summary import RunSummary, summarize
from stepwell.flows.task_runs.sending import sent_together
from stepwell.model.definitions import DatasetSource, DataSource, PipelineDefinition
from stepwell.model.jsonable import Jsonable
from stepwell.model.records import Artifact, StepCall

_START_SECONDS = 60

_just_registered: dict[str, FlowRun] = {}
"""The last run that was registered here, as Prefect's server returned it: nobody else has begun it."""


def register(
    pipeline: PipelineFlow,
    experiment: str,
    values: Mapping[str, Value],
    tags: Mapping[str, str],
    options: RunOptions,
    *,
    check: bool = False,
) -> RunFolder:
    """Register a new run with Prefect, and return its folder: definition, values, snapshots and commit, all frozen now.

    `check`: what no run could get past is raised, and nothing registered.
    """
    with told_in_words("The run can't be recorded, so it was not started", pipeline.workspace.store.written):
        return _register(pipeline, experiment, values, tags, options, check=check)


class RunToBe(RunContext):
    """The context of a run that is yet to be: it tells nobody anything, and fetches no data from far away."""

    fetches = False

    def emit(self, *events: Event) -> None:
        """Tell nobody: there is no run yet that it could be told of."""

    def with_observed(self, call: StepCall, seen: Iterable[str] = ()) -> StepCall:
        """Return the call as it is: what earlier runs read and asked is looked at when there is something to decide."""
        return call

    def digest_data(self, data: DataSource) -> Artifact:
        """Return the data with their digest, without it if they are far away; raise DatastoreException if there are none."""
        datastore = self.storage(data.datastore)
        if datastore.local_root is not None:
            return super().digest_data(data)
        path = datastore.inside(data.path)
        if not datastore.exists(path):
            raise self.missing(data)
        return Artifact(data.datastore, path, "", 0, kept=False)


def _register(
    pipeline: PipelineFlow,
    experiment: str,
    values: Mapping[str, Value],
    tags: Mapping[str, str],
    options: RunOptions,
    *,
    check: bool,
) -> RunFolder:
    definition = pipeline.definition
    known = options.known
    provenance = dict(known["properties"]) if "properties" in known else provenance_of(definition)
    context = RunToBe(pipeline.workspace, "registration", snapshots=known.get("snapshots"), verify=options.verify)
    context.hide(secrets_of(definition.steps, values), declared_secrets(definition.steps, values))
    redact = context.redactor.redact
    tags = {redact(name): redact(text) for name, text in tags.items()}
    context.take_sources(definition.steps)
    ports = (port.source for step in definition.steps for port in step.inputs)
    keep_secret_addresses(pipeline.workspace, (*ports, *values.values()))
    if check:
        with closing(context):
            preflight(context, definition, values)
    with shared(context.store.lock_file):  # a collector must not see snapshots that no run claims yet
        snapshots = context.snapshots()
        shown = shown_values(definition.parameters, values)
        number = context.store.next_run_number()
        with _noted_if_unanswered() as token, client() as api:
            flow_run = api.create_flow_run(
                pipeline.flow,
                name=run_label(pipeline.name, number),
                parameters=flow_values(definition.parameters, values) | _reserved(options),
                tags=place_tags(
                    [*run_tags(experiment, provenance), *(f"{k}:{v}" if v else k for k, v in tags.items())],
                    pipeline.workspace.name,
                ),
                state=Pending(message=token),
            )
        _just_registered.clear()
        _just_registered[str(flow_run.id)] = flow_run
        policy = flow_run.empirical_policy.model_dump(mode="json")
        patience.note_known(str(flow_run.id), flow_version=flow_run.flow_version, empirical_policy=policy)
        run = RunFolder(pipeline.workspace.store.run_folder(str(flow_run.id)))
        with given_up(flow_run.id):
            run.describe(
                {
                    **known,
                    "id": run.run_id,
                    "number": number,
                    "created": time.time(),
                    "name": flow_run.name,
                    "workspace": pipeline.workspace.name,
                    "experiment": experiment,
                    "tags": dict(tags),
                    "pipeline": redacted(definition.to_json(), context.redactor),
                    "parameters": shown,
                    "snapshots": snapshots,
                    "properties": provenance,
                    "regenerate": options.regenerate,
                    "continue_on_failure": options.continue_on_failure,
                    "verify": options.verify,
                }
            )
    return run


@contextmanager
def _noted_if_unanswered() -> Iterator[str]:
    """Provide a token by which a run is found again that a silent server registers once it goes on."""
    token = uuid4().hex
    try:
        yield token
    except ServerException:
        untold.note_unanswered(token, named_server())
        raise


@contextmanager
def given_up(flow_run_id: UUID) -> Iterator[None]:
    """Tell Prefect, if the block fails, that the run will never begin."""
    try:
        yield
    except OSError as error:
        with suppress(Exception), client() as api:
            api.set_flow_run_state(flow_run_id, Failed(message=f"The run can't be recorded: {error}"), force=True)
        raise


def _reserved(options: RunOptions) -> dict[str, bool]:
    return {"regenerate_outputs": options.regenerate, "continue_on_step_failure": options.continue_on_failure}


def execute(pipeline: PipelineFlow, run: RunFolder, values: Mapping[str, Value], options: RunOptions) -> RunSummary:
    """Run a registered run here and now, and return what became of it."""
    with _failed_if_it_never_began(run), client_settings(), sent_together():
        flow_run = _just_registered.pop(run.run_id, None)
        if flow_run is None:
            with client() as api:
                flow_run = api.read_flow_run(UUID(run.run_id))
        parameters = flow_values(pipeline.definition.parameters, values, secrets=True)
        run_flow(
            pipeline.flow_with(replace(options, wants_results=False)),
            flow_run=flow_run,
            parameters={**parameters, **_reserved(options)},
            return_type="state",
        )
    return summarize(run)


@contextmanager
def _failed_if_it_never_began(run: RunFolder) -> Iterator[None]:
    """Record a run as failed that Prefect's server did not let begin."""
    try:
        yield
    except ServerException as error:
        if not run.status():
            untold.note(run, named_server())
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            run.append({"at": at, "status": "Failed", "problem": error.message})
        raise


def server_was_lost(run: RunFolder) -> bool:
    """Return whether Prefect's server had gone away, and stayed away, when the run ended."""
    return run.status().get("server") == "lost"


def leave(run: RunFolder, code: int) -> NoReturn:
    """End this process; without Prefect's shutdown, which takes minutes, if its server is gone."""
    if server_was_lost(run):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def detach(pipeline: PipelineFlow, run: RunFolder, values: Mapping[str, Value]) -> None:
    """Start a process of its own for the registered run, and wait until it is at work."""
    log = run.path / "process.log"
    ensure_server()
    with told_in_words("The run can't be recorded, so it was not started", log), open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stepwell.flows.runs.detached", str(run.path)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home(),
            env={**os.environ, "STEPWELL_HOME": str(home())},
        )
    assert process.stdin is not None
    packed = {name: _packed(value) for name, value in values.items()}
    with process.stdin:  # through a pipe, since some of it may be secret
        process.stdin.write(json.dumps({"pipeline": pipeline.definition.to_json(), "values": packed}).encode())
    deadline = time.monotonic() + _START_SECONDS
    while not run.journal() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if not run.journal():
        raise ExperimentExecutionException(
            "The run's process ended before it began",
            {"run": run.run_id, "last lines": "\n".join(log.read_text(errors="replace").splitlines()[-8:])},
            f"Read {log}.",
        )


def _packed(value: Value) -> Any:
    return value.to_json() if isinstance(value, (DataSource, DatasetSource)) else value


def unpacked(definition: PipelineDefinition, packed: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values that came through the pipe."""
    known = {parameter.name: parameter for parameter in definition.parameters}
    kinds: dict[str, type[Jsonable]] = {"data": DataSource, "dataset": DatasetSource}
    plain = {
        name: kinds[known[name].type].from_json(value) if isinstance(value, dict) else value
        for name, value in packed.items()
    }
    return {name: check(known[name], value) for name, value in plain.items()}
