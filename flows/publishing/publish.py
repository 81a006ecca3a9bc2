"""How a pipeline is published: its source, steps and parameters are frozen, and a Prefect deployment runs them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from stepwell.blocks.datasets.inputs import keep_secret_addresses
from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import POOL, ensure_pool, job_variables
from stepwell.blocks.store.claims import claim, disclaim
from stepwell.blocks.store.retention import PUBLISHED
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.locks import shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import (
    FrozenPipelineBlock,
    PipelineEndpointBlock,
    PublishedPipelineBlock,
    check_name,
)
from stepwell.errors import UserErrorException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline
from stepwell.flows.publishing.lock import publications_locked
from stepwell.flows.runs.flow_run import provenance_of, refuse_circle
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.model.definitions import ParameterDefinition, PipelineDefinition

TAG, WORKSPACE_TAG = "stepwell-published", "workspace:"
_HIDDEN = "***"
_KIND = "published pipeline"
_DISABLED = "(this pipeline is disabled)"


def publish_pipeline(
    pipeline: PipelineFlow,
    name: str = "",
    description: str | None = None,
    version: str | None = None,
    *,
    continue_on_failure: bool = False,
    work_pool: str = POOL,
    lenient: bool | None = None,
) -> PublishedPipelineBlock:
    """Publish the pipeline as it is on disk now; if that fails, leave nothing behind. `lenient`: None is as its rules say."""
    with frozen(pipeline) as snapshots:
        return publish_frozen(
            pipeline.workspace,
            _renamed(pipeline.definition, name, description),
            snapshots,
            provenance_of(pipeline.definition),
            PublishOptions(version, continue_on_failure, work_pool, lenient),
        )


@contextmanager
def frozen(pipeline: PipelineFlow) -> Iterator[dict[str, str]]:
    """Provide the snapshots of the pipeline as it is on disk now, which no collector removes while the block runs."""
    refuse_circle(pipeline.definition)
    context = RunContext(pipeline.workspace, "publication")
    for step in pipeline.definition.steps:
        context.compute(step.compute_target)
    context.take_sources(pipeline.definition.steps)
    with shared(context.store.lock_file):  # a collector must not see snapshots that nothing claims yet
        yield context.snapshots()


def publish_run(
    run: RunFolder,
    workspace: BaseWorkspace,
    name: str = "",
    description: str | None = None,
    version: str | None = None,
    *,
    continue_on_failure: bool | None = None,
) -> PublishedPipelineBlock:
    """Publish what the run ran; raise UserErrorException if that is not known."""
    facts = run_facts(run)
    definition = _renamed(PipelineDefinition.from_json(facts["pipeline"]), name, description)
    snapshots = dict(facts.get("snapshots", {}))
    with shared(workspace.store.lock_file):
        _refuse_lost_snapshots(run, workspace, snapshots)
        go_on = bool(facts.get("continue_on_failure")) if continue_on_failure is None else continue_on_failure
        options = PublishOptions(version, go_on, POOL)
        block = publish_frozen(workspace, definition, snapshots, dict(facts.get("properties", {})), options)
    with suppress(OSError):
        (run.path / PUBLISHED).touch()  # so that the run is kept
    return block


def run_facts(run: RunFolder) -> dict[str, Any]:
    """Return what is known of a run of a pipeline; raise UserErrorException if that is not enough to run it again."""
    facts = run.facts()
    if not facts.get("pipeline", {}).get("steps"):
        raise UserErrorException(
            "The run is not one of a pipeline, so it can't be published",
            {"run": run.run_id},
            "Publish the run of a Pipeline.",
        )
    if _HIDDEN in json.dumps(facts["pipeline"]):
        raise UserErrorException(
            "The run's pipeline holds secrets, which its record doesn't show, so it can't be published from there",
            {"run": run.run_id},
            "Publish the pipeline itself with `pipeline.publish(...)`.",
        )
    return facts


def open_deployment(published: PublishedPipelineBlock, pipeline: FrozenPipeline) -> None:
    """Make Prefect accept runs of the deployment, with what its pipeline's schema allows."""
    schema = pipeline.schema(pipeline.workspace.datastores)
    _change(published, {"paused": False, "parameter_openapi_schema": schema})


def close_deployment(published: PublishedPipelineBlock, pipeline: FrozenPipeline) -> None:
    """Make Prefect itself refuse every run of the deployment, and start none by schedule."""
    schema = pipeline.schema(pipeline.workspace.datastores)
    # Prefect has no other way to refuse a call: one more value is asked for, and no schema allows it.
    _change(published, {"paused": True, "parameter_openapi_schema": {**schema, "required": [_DISABLED]}})


def _change(published: PublishedPipelineBlock, changes: Mapping[str, Any]) -> None:
    with client() as api, suppress(ObjectNotFound):
        api.request("PATCH", f"/deployments/{published.deployment_id}", json=dict(changes))  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------------------


class PublishOptions(NamedTuple):
    """What is chosen beside the pipeline."""

    version: str | None
    continue_on_failure: bool
    work_pool: str = POOL
    lenient: bool | None = None


def publish_frozen(
    workspace: BaseWorkspace,
    definition: PipelineDefinition,
    snapshots: Mapping[str, str],
    properties: Mapping[str, str],
    options: PublishOptions,
) -> PublishedPipelineBlock:
    """Publish a definition whose snapshots the store has; if that fails, leave nothing behind."""
    published_id = str(uuid4())
    ports = (port.source for step in definition.steps for port in step.inputs)
    keep_secret_addresses(workspace, (*ports, *(parameter.default for parameter in definition.parameters)))
    frozen = FrozenPipelineBlock(
        published_id=published_id,
        workspace=workspace.name,
        definition=SecretStr(json.dumps(definition.to_json())),
        snapshots=dict(snapshots),
        properties=dict(properties),
    )
    with publications_locked(workspace), ExitStack() as undo:
        version = _version(workspace, definition.name, options.version)
        if options.version is None:
            undo.callback(
                _quietly, lambda: documents.give_version_back(workspace.name, _KIND, definition.name, version)
            )
        block = PublishedPipelineBlock(
            published_id=published_id,
            workspace=workspace.name,
            name=definition.name,
            version=version,
            description=definition.description,
            created=time.time(),
            steps=[step.name for step in definition.steps],
            parameters=[shown_parameter(parameter).to_json() for parameter in definition.parameters],
            continue_on_failure=options.continue_on_failure,
            commit=properties.get("azureml.git.commit", ""),
            rules=definition.rules,
            lenient=definition.switches.unknown_parameters_are_passed_over
            if options.lenient is None
            else options.lenient,
        )
        pool = _pool(options.work_pool)
        claim(workspace.store, published_id, {"name": block.name, "snapshots": dict(snapshots)})
        undo.callback(disclaim, workspace.store, published_id)
        share_snapshots(workspace, snapshots.values())
        documents.save(frozen, block.document)
        undo.callback(_quietly, lambda: documents.delete(FrozenPipelineBlock, block.document))
        block = _deploy(FrozenPipeline.from_blocks(block, frozen, workspace), pool)
        undo.callback(_quietly, lambda: _remove_deployment(block.deployment_id))
        documents.save(block, block.document)  # from here on it is published
        undo.pop_all()
    return block


def _deploy(pipeline: FrozenPipeline, pool: WorkPool) -> PublishedPipelineBlock:
    block = pipeline.published
    with client() as api:
        name = _free_name(api, block)
        deployment_id = api.create_deployment(
            api.create_flow_from_name(block.name),
            name,
            version=block.version,
            description=block.description or f"{block.name}, version {block.version}",
            entrypoint=f"stepwell.flows.published_flows.p_{UUID(block.published_id).hex}",
            work_pool_name=pool.name,
            job_variables=job_variables(pool),
            tags=[TAG, WORKSPACE_TAG + block.workspace],
            parameter_openapi_schema=pipeline.schema(pipeline.workspace.datastores),
            enforce_parameter_schema=True,
        )
    return block.model_copy(update={"deployment_id": str(deployment_id), "deployment": f"{block.name}/{name}"})


def _free_name(api: SyncPrefectClient, block: PublishedPipelineBlock) -> str:
    """Return a name that no deployment of the flow has: creating one under a name that is taken would change that one.

    The flow is shared by all workspaces, which don't wait for one another, so the name has the pipeline's id in it.
    """
    name = f"{block.name}-{block.version}-{block.published_id[:8]}"
    try:
        api.read_deployment_by_name(f"{block.name}/{name}")
    except ObjectNotFound:
        return name
    return f"{block.name}-{block.version}-{block.published_id}"


def _pool(name: str) -> WorkPool:
    if name == POOL:
        return ensure_pool()
    with client() as api:
        try:
            return api.read_work_pool(name)
        except ObjectNotFound:
            pools = ", ".join(pool.name for pool in api.read_work_pools())
            raise UserErrorException(
                f"There is no work pool {name!r}",
                {"work pools": pools},
                f"Make it by starting its worker: `stepwell worker --pool {name}`.",
            ) from None


def _version(workspace: BaseWorkspace, name: str, version: str | None) -> str:
    if version is not None:
        return check_name(str(version), "version")
    return str(documents.take_version(workspace.name, _KIND, name, version_numbers(workspace, name)))


def version_numbers(workspace: BaseWorkspace, name: str) -> list[int]:
    """Return the versions under a name that are numbers: of published pipelines and of a pipeline endpoint, which count together."""
    kinds: list[type[PublishedPipelineBlock | PipelineEndpointBlock]]
    kinds = [PublishedPipelineBlock, PipelineEndpointBlock]
    texts: list[str] = []
    for block in documents.load_any(kinds, workspace=workspace.name, name=name):
        texts += block.versions if isinstance(block, PipelineEndpointBlock) else [block.version]
    return [int(text) for text in texts if text.isascii() and text.isdecimal()]


def share_snapshots(workspace: BaseWorkspace, digests: Iterable[str]) -> None:
    """Copy the snapshots to the default datastore, where other machines find them, unless that is on this one."""
    remote_store = workspace.get_default_datastore().remote_store
    for digest in set(digests) if remote_store else ():
        if remote_store and not remote_store.has(digest):
            snapshot = workspace.store.snapshot(digest)
            if snapshot is not None:
                snapshot.send_to(remote_store)


def _renamed(definition: PipelineDefinition, name: str, description: str | None) -> PipelineDefinition:
    named = check_name(name or definition.name, "published pipeline")
    return replace(definition, name=named, description=definition.description if description is None else description)


def shown_parameter(definition: ParameterDefinition) -> ParameterDefinition:
    """Return the definition as anybody may see it: without the default of a secret."""
    return replace(definition, default=None) if definition.secret else definition


def _refuse_lost_snapshots(run: RunFolder, workspace: BaseWorkspace, snapshots: Mapping[str, str]) -> None:
    lost = [folder for folder, digest in snapshots.items() if workspace.store.snapshot_damage(digest)]
    if lost:
        raise UserErrorException(
            "A snapshot of the run is gone or damaged, so it can't be published",
            {"run": run.run_id, "source directory": lost[0]},
            "Publish the pipeline itself with `pipeline.publish(...)`.",
        )


def _remove_deployment(deployment_id: str) -> None:
    with client() as api:
        api.delete_deployment(UUID(deployment_id))


def _quietly(undo: Callable[[], object]) -> None:
    with suppress(Exception):  # what went wrong first is what the user has to know
        undo()
