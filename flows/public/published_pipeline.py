"""`PublishedPipeline`: a frozen pipeline that anybody may run again with other parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import connection, documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import POOL, worker_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import EndpointAddressBlock, PublishedPipelineBlock, published_document
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline
from stepwell.flows.publishing.publish import close_deployment, open_deployment, publish_pipeline, publish_run
from stepwell.flows.publishing.submission import RunRequest, submit_run
from stepwell.flows.runs.launch import detach
from stepwell.flows.steps.argument_types import Plain

ADDRESS_DOCUMENT = "endpoint-address"
DEFAULT_ADDRESS = "http://127.0.0.1:4280"


@checked
class PublishedPipeline:
    """A published pipeline; several versions may share a name.

    `Pipeline.publish` makes one, `PublishedPipeline.get` finds it.

    Args:
        workspace: The workspace that it was published in.
        block: The document that Prefect's server keeps of it.

    Attributes:
        workspace: The workspace that it was published in.
        block: The document that Prefect's server keeps of it.
    """

    def __init__(self, workspace: BaseWorkspace, block: PublishedPipelineBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        name: str = "",
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool = False,
        work_pool: str = POOL,
        lenient: bool | None = None,
    ) -> Self:
        """Publish a pipeline as it is now: what `Pipeline.publish` calls.

        Args:
            pipeline: The pipeline.
            name: The name to publish under; if empty, the pipeline's.
            description: What it is for; by default the pipeline's description.
            version: Any text; by default the next number for the name.
            continue_on_step_failure: Whether runs go on past failed steps unless told otherwise.
            work_pool: The Prefect work pool whose workers run it.
            lenient: Whether calls of the HTTP endpoint may assign parameters, and have fields, that there are not, which are passed over
                and named in the answer; None: only under v1's rules, as there.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: The name, the version or the work pool won't do.
        """
        block = publish_pipeline(
            pipeline,
            name,
            description,
            version,
            continue_on_failure=continue_on_step_failure,
            work_pool=work_pool,
            lenient=lenient,
        )
        return cls(pipeline.workspace, block)

    @classmethod
    def of_run(
        cls,
        run: PipelineRun,
        name: str = "",
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> Self:
        """Publish what a run ran: what `PipelineRun.publish_pipeline` calls.

        Args:
            run: The run.
            name: The name to publish under; if empty, the pipeline's.
            description: What it is for; by default the pipeline's description.
            version: Any text; by default the next number for the name.
            continue_on_step_failure: Whether runs go on past failed steps unless told otherwise; by default as the run did.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: The run's record does not tell all that is needed, or a snapshot is gone.
        """
        block = publish_run(
            run.folder, run.workspace, name, description, version, continue_on_failure=continue_on_step_failure
        )
        return cls(run.workspace, block)

    @classmethod
    def get(
        cls, workspace: BaseWorkspace, id: str | None = None, *, name: str | None = None, version: str | None = None
    ) -> Self:
        """Find a published pipeline: by id; or the active one of a name and version; or the newest active one of a name.

        Args:
            workspace: The workspace that it was published in.
            id: Its id. Azure ML SDK v1 knows this way only.
            name: Its name, if no id is given.
            version: Its version, beside the name; by default the newest.

        Returns:
            The published pipeline.

        Raises:
            ExperimentExecutionException: There is none.
            UserErrorException: Several have that name and version.
        """
        if id is not None:
            block = documents.load(PublishedPipelineBlock, published_document(str(id)))
            found = [block] if block is not None and block.workspace == workspace.name else []
        else:
            found = choose(_blocks(workspace), name or "", None if version is None else str(version))
        if not found:
            raise ExperimentExecutionException(
                f"There is no published pipeline {id or name!r}" + (f" of version {version!r}" if version else ""),
                {"workspace": workspace.name},
                "List them with `stepwell pipelines`.",
            )
        if len(found) > 1:
            raise UserErrorException(
                f"Several published pipelines are called {name!r}, version {version!r}",
                {"ids": ", ".join(block.published_id for block in found)},
                "Name one by its id, or disable the others.",
            )
        return cls(workspace, found[0])

    @classmethod
    def list(cls, workspace: BaseWorkspace, active_only: bool = True, _service_endpoint: object = None) -> list[Self]:
        """List the published pipelines of a workspace, newest first.

        Args:
            workspace: The workspace.
            active_only: Whether to leave out disabled ones.

        Returns:
            The published pipelines.
        """
        return [cls(workspace, block) for block in _blocks(workspace) if block.status == "Active" or not active_only]

    get_all = list

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.published_id

    graph_id = id

    @property
    def name(self) -> str:
        """The name that it was published under."""
        return self.block.name

    @property
    def version(self) -> str:
        """Its version among those of the same name."""
        return self.block.version

    @property
    def description(self) -> str:
        """What it is for."""
        return self.block.description

    @property
    def status(self) -> str:
        """`Active` or `Disabled`."""
        return self.block.status

    @property
    def total_run_steps(self) -> int:
        """How many steps it has."""
        return len(self.block.steps)

    @property
    def continue_on_step_failure(self) -> bool:
        """Whether its runs go on past failed steps."""
        return self.block.continue_on_failure

    @property
    def rules(self) -> str:
        """`stepwell` or `v1`: the rules that its runs follow, which are those of the pipeline that was published."""
        return self.block.rules

    @property
    def lenient(self) -> bool:
        """Whether calls may assign parameters that it does not have, which are passed over."""
        return self.block.lenient

    @property
    def deployment(self) -> str:
        """The name of the Prefect deployment that runs it."""
        return self.block.deployment

    @property
    def endpoint(self) -> str:
        """The address to POST to."""
        return f"{endpoint_address()}/PipelineRuns/PipelineSubmit/{self.id}"

    def get_step_names(self) -> Sequence[str]:
        """Return the names of its steps.

        Returns:
            The names, in an order in which the steps can run.
        """
        return [*self.block.steps]

    # What it does ---------------------------------------------------------------------------------------------------

    def enable(self) -> None:
        """Let it be run again."""
        pipeline = FrozenPipeline.get(self.id)
        open_deployment(self.block, pipeline)
        self._save("Active")

    def disable(self) -> None:
        """Keep calls, schedules and Prefect itself from starting new runs of it."""
        pipeline = FrozenPipeline.get(self.id)
        self._save("Disabled")
        close_deployment(self.block, pipeline)

    def _save(self, status: str) -> None:
        block = self.block.model_copy(update={"status": status})
        documents.replace(block, f"published pipeline {self.name!r}")
        self.block = block

    def submit(
        self,
        workspace: BaseWorkspace | None = None,
        experiment_name: str = "",
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        tags: Mapping[str, Plain] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """Start a run: a worker of the pool takes it if one is there, else a process of its own on this machine.

        Args:
            workspace: Accepted for v1's sake; the run belongs to the workspace that the pipeline was published in.
            experiment_name: The experiment that the run belongs to.
            pipeline_parameters: Values by parameter; the others keep their defaults.
            parent_run_id: The run that this one belongs to.
            continue_on_step_failure: Whether steps that do not depend on a failed one go on; by default as published.
            tags: Labels of the run.
            regenerate_outputs: Whether every step runs anew, whatever earlier runs left.

        Returns:
            The run, at work or soon to be.

        Raises:
            UserErrorException: The pipeline is disabled, the experiment can't have that name, or a parameter is unknown
                or has a wrong value.
            ServerException: Prefect's server did not take the run.
        """
        go_on = self.continue_on_step_failure if continue_on_step_failure is None else continue_on_step_failure
        labels = {name: str(value) for name, value in (tags or {}).items()}
        request = RunRequest(experiment_name, pipeline_parameters or {}, labels, regenerate_outputs, go_on)
        return start_run(self, replace(request, parent=parent_run_id or ""))

    def __repr__(self) -> str:
        return (
            f"PublishedPipeline(name={self.name!r}, version={self.version!r}, id={self.id!r}, status={self.status!r})"
        )


def start_run(published: PublishedPipeline, request: RunRequest) -> PipelineRun:
    """Submit the request to Prefect and return the run, which a worker or a new process of this machine begins."""
    block = documents.newest(published.block, f"published pipeline {published.name!r}")
    if block.status != "Active":
        raise UserErrorException(
            f"The published pipeline {published.name!r} is disabled", hint="Enable it with `published.enable()`."
        )
    workspace = Workspace.get(block.workspace)
    experiment = Experiment(workspace, request.experiment)
    here = not _has_worker(block)
    run = PipelineRun(experiment, submit_run(block, request, workspace, pending=here).run_id)
    if here:
        pipeline = FrozenPipeline.get(block.published_id)
        values = pipeline.values(request.parameters)
        facts = {"regenerate": request.regenerate, "continue_on_failure": request.continue_on_failure}
        run.folder.describe({**pipeline.facts, **facts})
        detach(pipeline, run.folder, values)
    return run


def _has_worker(block: PublishedPipelineBlock) -> bool:
    with client() as api:
        try:
            deployment = api.read_deployment(block.deployment_id)
        except ObjectNotFound:
            raise UserErrorException(
                "The published pipeline's deployment is gone from Prefect", hint="Publish the pipeline again."
            ) from None
        pool = deployment.work_pool_name
        workers = api.read_workers_for_work_pool(pool) if pool else []
    if not any(worker.status == WorkerStatus.ONLINE for worker in workers):
        return False
    # Prefect takes a worker for online a minute and more after its end; our own holds a lock while it lives.
    return not connection.status().managed or _is_served(pool or "")


def _is_served(pool: str) -> bool:
    """Return whether `stepwell serve`, or a `stepwell worker` of the pool, is at work in this home."""
    lock = worker_folder(pool) / "lock"
    if not lock.parent.is_dir():
        return False
    with exclusive(lock, blocking=False) as free:
        return not free


def endpoint_address() -> str:
    """Return the address of the HTTP endpoint, as `stepwell serve` last wrote it down."""
    block = documents.load(EndpointAddressBlock, ADDRESS_DOCUMENT)
    return block.url if block else DEFAULT_ADDRESS


def choose(blocks: Iterable[PublishedPipelineBlock], name: str, version: str | None) -> list[PublishedPipelineBlock]:
    """Return the active ones of the name and version, newest first; without a version, the newest active one of the name."""
    active = [block for block in blocks if block.name == name and block.status == "Active"]
    if version is None:
        return active[:1]
    return [block for block in active if block.version == version]


def _blocks(workspace: BaseWorkspace) -> list[PublishedPipelineBlock]:
    found = documents.load_any([PublishedPipelineBlock], workspace=workspace.name)
    return sorted(found, key=lambda block: block.created, reverse=True)
