"""`PipelineEndpoint`: one name and address over versions of a published pipeline, one of which is the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, check_name
from stepwell.deployments.client import endpoint_documents
from stepwell.deployments.client.endpoint_documents import endpoint_blocks, next_version, require_free_name
from stepwell.deployments.client.endpoint_versions import EndpointVersion
from stepwell.deployments.schedules.endpoint_schedules import follow
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.published_pipeline import PublishedPipeline, endpoint_address
from stepwell.flows.publishing.lock import publications_locked


@checked
class PipelineEndpoint:
    """A pipeline endpoint. `publish` makes one, `get` and `list` find them.

    Its versions are texts: "0", "1" …, or those of published pipelines that have its name: under one name there is one
    numbering.

    Attributes:
        workspace: The workspace that it belongs to.
        block: Its document, as last read or saved.
    """

    def __init__(self, workspace: BaseWorkspace, block: PipelineEndpointBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def publish(
        cls,
        workspace: BaseWorkspace,
        name: str,
        description: str = "",
        pipeline: Pipeline | PublishedPipeline | None = None,
    ) -> Self:
        """Make an endpoint whose first version, usually "0", and default is the pipeline, as in Azure ML SDK v1.

        Args:
            workspace: The pipeline's workspace.
            name: Its name, which no other endpoint of the workspace may have but archived ones.
            description: What it is for.
            pipeline: The pipeline; one that is not published yet is published under the same name.

        Returns:
            The new endpoint.

        Raises:
            UserErrorException: If the name is taken or no name, or the pipeline is missing or of another workspace.
        """
        if pipeline is None:
            raise UserErrorException("A pipeline endpoint needs a pipeline", hint="Pass `pipeline=`.")
        check_name(name, "pipeline endpoint")
        require_free_name(workspace, name)
        first, published = endpoint_documents.first_version(workspace, name, description, pipeline)
        block = PipelineEndpointBlock(
            endpoint_id=str(uuid4()),
            workspace=workspace.name,
            name=name,
            description=description or "",
            created=time.time(),
            versions={first: published.id},
            default_version=first,
        )
        with publications_locked(workspace):
            require_free_name(workspace, name)
            documents.save(block, block.document)
            endpoint_documents.require_first(workspace, block)
        return cls(workspace, block)

    @classmethod
    def get(cls, workspace: BaseWorkspace, id: str | None = None, name: str | None = None) -> Self:
        """Return the endpoint of that id or name.

        Args:
            workspace: The workspace to look in.
            id: The id; goes before the name.
            name: The name; archived endpoints are found by their id only.

        Returns:
            The endpoint.

        Raises:
            ExperimentExecutionException: If there is none.
        """
        found = [
            block
            for block in endpoint_blocks(workspace)
            if (block.endpoint_id == id if id is not None else block.name == name and block.status != "Archived")
        ]
        if not found:
            raise ExperimentExecutionException(
                f"There is no pipeline endpoint {id or name!r}",
                {"workspace": workspace.name},
                "List them with `PipelineEndpoint.list(workspace)`.",
            )
        return cls(workspace, found[0])

    @classmethod
    def list(cls, workspace: BaseWorkspace, active_only: bool = True) -> list[Self]:
        """Return the workspace's endpoints, newest first.

        Args:
            workspace: The workspace.
            active_only: Leave out disabled and archived ones; the default.

        Returns:
            The endpoints.
        """
        return [
            cls(workspace, block) for block in endpoint_blocks(workspace) if block.status == "Active" or not active_only
        ]

    get_all = list

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.endpoint_id

    @property
    def name(self) -> str:
        """Its name."""
        return self.block.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self.block.description

    @property
    def status(self) -> str:
        """`Active`, `Disabled` or `Archived`."""
        return self.block.status

    @property
    def default_version(self) -> str:
        """The version that is run if none is named."""
        return self.block.default_version

    @property
    def endpoint(self) -> str:
        """The address to POST to; `/<version>` or `?version=` after it names a version."""
        return f"{endpoint_address()}/PipelineEndpoints/Id/{self.id}"

    @property
    def endpoint_by_name(self) -> str:
        """Another address of it, by its name; `&pipelineVersion=` after it names a version."""
        query = f"name={quote(self.name, safe='')}&workspace={quote(self.workspace.name, safe='')}"
        return f"{endpoint_address()}/PipelineEndpoints/Name?{query}"

    @property
    def swaggerurl(self) -> str:
        """Where its OpenAPI document is."""
        return f"{endpoint_address()}/openapi.json"

    @property
    def pipeline_version_list(self) -> Sequence[tuple[str, str]]:
        """Each version, and the id of its published pipeline."""
        return [*self.block.versions.items()]

    def get_default_version(self) -> str:
        """Return the version that is run if none is named.

        Returns:
            The version.
        """
        return self.block.default_version

    def list_versions(self) -> Sequence[EndpointVersion]:
        """Return its versions, oldest first.

        Returns:
            The versions: texts that also have `version` and `pipeline`, as v1's.
        """
        return [EndpointVersion(name, self.workspace, known) for name, known in self.block.versions.items()]

    get_all_versions = list_versions

    def get_pipeline(self, version: str | None = None) -> PublishedPipeline:
        """Return the published pipeline of a version.

        Args:
            version: The version; by default the default one.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: If there is no such version.
        """
        return PublishedPipeline.get(
            self.workspace, self._published_id(self.block.default_version if version is None else version)
        )

    def list_pipelines(self, active_only: bool = True) -> Sequence[PublishedPipeline]:
        """Return the published pipelines of its versions.

        Args:
            active_only: Leave out disabled ones; the default.

        Returns:
            The published pipelines, oldest version first.
        """
        found = [PublishedPipeline.get(self.workspace, known) for known in self.block.versions.values()]
        return [one for one in found if one.status == "Active" or not active_only]

    get_all_pipelines = list_pipelines

    # What it does ---------------------------------------------------------------------------------------------------

    def add(self, pipeline: PublishedPipeline) -> None:
        """Make the pipeline its newest version; the default stays.

        Args:
            pipeline: A published pipeline of the same workspace.

        Raises:
            UserErrorException: If the pipeline is of another workspace.
        """
        self._add(pipeline, default=False)

    def add_default(self, pipeline: PublishedPipeline) -> None:
        """Make the pipeline its newest version and the default, also of the endpoint's schedules.

        Args:
            pipeline: A published pipeline of the same workspace.

        Raises:
            UserErrorException: If the pipeline is of another workspace, or does not take a schedule's parameters.
        """
        self._add(pipeline, default=True)

    def set_default(self, pipeline: PublishedPipeline) -> None:
        """Make the pipeline the default, also of the endpoint's schedules.

        Args:
            pipeline: One of its versions.

        Raises:
            UserErrorException: If it is none of the versions, or does not take a schedule's parameters.
        """
        found = [version for version, known in self.block.versions.items() if known == pipeline.id]
        if not found:
            raise UserErrorException(
                "The pipeline is no version of the endpoint", {"endpoint": self.name}, "Add it with `add_default`."
            )
        self.set_default_version(found[-1])

    def set_default_version(self, version: str) -> None:
        """Make that version the default, also of the endpoint's schedules.

        Args:
            version: One of its versions.

        Raises:
            UserErrorException: If there is no such version, or it does not take a schedule's parameters.
        """
        self._update(lambda _: {"default_version": str(version)} if self._published_id(version) else {})
        follow(self.block)

    def set_name(self, name: str) -> None:
        """Rename the endpoint.

        Args:
            name: The new name.

        Raises:
            UserErrorException: If the name is taken, or no name.
        """
        check_name(name, "pipeline endpoint")

        def renamed(block: PipelineEndpointBlock) -> dict[str, Any]:
            if name != block.name:
                require_free_name(self.workspace, name)
            return {"name": name}

        self._update(renamed)

    def enable(self) -> None:
        """Accept calls again."""
        self._update(lambda _: {"status": "Active"})

    def disable(self) -> None:
        """Refuse all calls of it from now on; its versions can still be called by themselves."""
        self._update(lambda _: {"status": "Disabled"})

    def archive(self) -> None:
        """Refuse all calls of it until `reactivate`, and free its name."""
        self._update(lambda _: {"status": "Archived"})

    def reactivate(self, name: str | None = None) -> None:
        """Accept calls again after `archive` or `disable`.

        Args:
            name: A new name; by default it keeps its own.

        Raises:
            UserErrorException: If the name is taken by now, or no name.
        """

        def revived(block: PipelineEndpointBlock) -> dict[str, Any]:
            wanted = check_name(name or block.name, "pipeline endpoint")
            if block.status == "Archived" or wanted != block.name:
                require_free_name(self.workspace, wanted)
            return {"status": "Active", "name": wanted}

        self._update(revived)

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        pipeline_version: str | None = None,
        *,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """Submit a run of a version, by default of the default one.

        Args:
            experiment_name: The experiment that the run belongs to.
            pipeline_parameters: Values by parameter; others keep their defaults.
            parent_run_id: The run that this one belongs to.
            pipeline_version: The version to run.
            continue_on_step_failure: Whether to go on past failed steps; None: as published.
            tags: Tags of the run.
            regenerate_outputs: Run every step anew.

        Returns:
            The run, which a worker or a process of this machine begins.

        Raises:
            UserErrorException: If the endpoint is disabled or archived, or for wrong parameters.
        """
        self._refresh()
        if self.status != "Active":
            title = f"The pipeline endpoint {self.name!r} is {self.status.lower()}"
            raise UserErrorException(title, hint="Enable it with `enable()`.")
        return self.get_pipeline(pipeline_version).submit(
            self.workspace,
            experiment_name,
            pipeline_parameters,
            parent_run_id,
            continue_on_step_failure,
            tags=tags,
            regenerate_outputs=regenerate_outputs,
        )

    # ----------------------------------------------------------------------------------------------------------------

    def _add(self, pipeline: PublishedPipeline, *, default: bool) -> None:
        def added(block: PipelineEndpointBlock) -> dict[str, Any]:
            version = next_version(self.workspace, block, pipeline)
            versions = {**block.versions, version: pipeline.id}
            return {"versions": versions} | ({"default_version": version} if default else {})

        self._update(added)
        if default:
            follow(self.block)

    def _published_id(self, version: str) -> str:
        if str(version) not in self.block.versions:
            raise UserErrorException(
                f"The pipeline endpoint {self.name!r} has no version {version!r}",
                {"versions": ", ".join(self.block.versions)},
                "Name one of its versions.",
            )
        return self.block.versions[str(version)]

    def _update(self, changes: Callable[[PipelineEndpointBlock], Mapping[str, Any]]) -> None:
        """Apply the changes to the endpoint as it is saved by now, and save it."""
        with publications_locked(self.workspace):
            self._refresh()
            block = self.block.model_copy(update=dict(changes(self.block)))
            documents.replace(block, f"pipeline endpoint {self.name!r}")
            self.block = block

    def _refresh(self) -> None:
        self.block = documents.newest(self.block, f"pipeline endpoint {self.name!r}")

    def __repr__(self) -> str:
        return f"PipelineEndpoint(name={self.name!r}, id={self.id!r}, status={self.status!r})"
