"""`PipelineEndpoint`: one name and address over versions of a published pipeline, one of which is the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, check_name
from stepwell.deployments.schedules.endpoint_schedules import follow
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.published_pipeline import PublishedPipeline, endpoint_address
from stepwell.flows.publishing.lock import publications_locked


class PipelineEndpoint:
    """A pipeline endpoint. Its versions are texts: "0", "1" …"""

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
        """The new endpoint, whose version "0" and default is the pipeline; UserErrorException if the name is taken."""
        if pipeline is None:
            raise UserErrorException("A pipeline endpoint needs a pipeline", hint="Pass `pipeline=`.")
        check_name(name, "pipeline endpoint")
        _refuse_taken(workspace, name)
        published = pipeline.publish(name, description) if isinstance(pipeline, Pipeline) else pipeline
        _refuse_foreign(workspace, published)
        block = PipelineEndpointBlock(
            endpoint_id=str(uuid4()),
            workspace=workspace.name,
            name=name,
            description=description or "",
            created=time.time(),
            versions={"0": published.id},
        )
        with publications_locked(workspace):
            _refuse_taken(workspace, name)
            documents.save(block, block.document)
        return cls(workspace, block)

    @classmethod
    def get(cls, workspace: BaseWorkspace, id: str | None = None, name: str | None = None) -> Self:
        """The endpoint of that id or name; ExperimentExecutionException if there is none."""
        found = [
            block
            for block in _blocks(workspace)
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
        """The workspace's endpoints, newest first."""
        return [cls(workspace, block) for block in _blocks(workspace) if block.status == "Active" or not active_only]

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
        return f"{endpoint_address()}/PipelineEndpoints/Name?name={quote(self.name, safe='')}"

    @property
    def swaggerurl(self) -> str:
        """Where its OpenAPI document is."""
        return f"{endpoint_address()}/openapi.json"

    @property
    def pipeline_version_list(self) -> Sequence[tuple[str, str]]:
        """Each version, and the id of its published pipeline."""
        return [*self.block.versions.items()]

    def get_default_version(self) -> str:
        """As `default_version`."""
        return self.block.default_version

    def list_versions(self) -> Sequence[str]:
        """Its versions, oldest first."""
        return [*self.block.versions]

    get_all_versions = list_versions

    def get_pipeline(self, version: str | None = None) -> PublishedPipeline:
        """The published pipeline of that version, or of the default; UserErrorException for an unknown version."""
        return PublishedPipeline.get(
            self.workspace, self._known(self.block.default_version if version is None else version)
        )

    def list_pipelines(self, active_only: bool = True) -> Sequence[PublishedPipeline]:
        """The published pipelines of its versions."""
        found = [PublishedPipeline.get(self.workspace, known) for known in self.block.versions.values()]
        return [one for one in found if one.status == "Active" or not active_only]

    get_all_pipelines = list_pipelines

    # What it does ---------------------------------------------------------------------------------------------------

    def add(self, pipeline: PublishedPipeline) -> None:
        """Nothing; the pipeline is its newest version, but the default stays."""
        self._add(pipeline, default=False)

    def add_default(self, pipeline: PublishedPipeline) -> None:
        """Nothing; the pipeline is its newest version, and the default."""
        self._add(pipeline, default=True)

    def set_default(self, pipeline: PublishedPipeline) -> None:
        """Nothing; the pipeline, which must be one of its versions, is the default."""
        found = [version for version, known in self.block.versions.items() if known == pipeline.id]
        if not found:
            raise UserErrorException(
                "The pipeline is no version of the endpoint", {"endpoint": self.name}, "Add it with `add_default`."
            )
        self.set_default_version(found[-1])

    def set_default_version(self, version: str) -> None:
        """Nothing; that version is the default, also of the endpoint's schedules. UserErrorException if it is unknown."""
        self._change(lambda _: {"default_version": str(version)} if self._known(version) else {})
        follow(self.block)

    def set_name(self, name: str) -> None:
        """Nothing; the endpoint has that name."""
        check_name(name, "pipeline endpoint")

        def renamed(block: PipelineEndpointBlock) -> dict[str, Any]:
            if name != block.name:
                _refuse_taken(self.workspace, name)
            return {"name": name}

        self._change(renamed)

    def enable(self) -> None:
        """Nothing; it can be called again."""
        self._change(lambda _: {"status": "Active"})

    def disable(self) -> None:
        """Nothing; calls of it are refused. Its versions can still be called by themselves."""
        self._change(lambda _: {"status": "Disabled"})

    def archive(self) -> None:
        """Nothing; calls of it are refused for good, and its name is free."""
        self._change(lambda _: {"status": "Archived"})

    def reactivate(self, name: str | None = None) -> None:
        """Nothing; it can be called again, under a new name if one is given."""

        def revived(block: PipelineEndpointBlock) -> dict[str, Any]:
            wanted = check_name(name or block.name, "pipeline endpoint")
            if block.status == "Archived" or wanted != block.name:
                _refuse_taken(self.workspace, wanted)
            return {"status": "Active", "name": wanted}

        self._change(revived)

    def submit(
        self,
        workspace: BaseWorkspace | None = None,
        experiment_name: str = "",
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        pipeline_version: str | None = None,
        tags: Mapping[str, str] | None = None,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """The run of a version or of the default; UserErrorException if the endpoint is disabled."""
        self._refresh()
        if self.status != "Active":
            raise UserErrorException(
                f"The pipeline endpoint {self.name!r} is {self.status.lower()}", hint="Enable it with `enable()`."
            )
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
        _refuse_foreign(self.workspace, pipeline)

        def added(block: PipelineEndpointBlock) -> dict[str, Any]:
            version = str(max(map(int, block.versions), default=-1) + 1)
            changes: dict[str, Any] = {"versions": {**block.versions, version: pipeline.id}}
            return {**changes, "default_version": version} if default else changes

        self._change(added)
        if default:
            follow(self.block)

    def _known(self, version: str) -> str:
        if str(version) not in self.block.versions:
            raise UserErrorException(
                f"The pipeline endpoint {self.name!r} has no version {version!r}",
                {"versions": ", ".join(self.block.versions)},
                "Name one of its versions.",
            )
        return self.block.versions[str(version)]

    def _change(self, changes: Callable[[PipelineEndpointBlock], Mapping[str, Any]]) -> None:
        """Nothing; what is saved now has the changes, made on what was saved before."""
        with publications_locked(self.workspace):
            self._refresh()
            block = self.block.model_copy(update=dict(changes(self.block)))
            documents.save(block, block.document)
            self.block = block

    def _refresh(self) -> None:
        self.block = documents.load(PipelineEndpointBlock, self.block.document) or self.block

    def __repr__(self) -> str:
        return f"PipelineEndpoint(name={self.name!r}, id={self.id!r}, status={self.status!r})"


def _blocks(workspace: BaseWorkspace) -> list[PipelineEndpointBlock]:
    found = documents.load_any([PipelineEndpointBlock], workspace=workspace.name)
    return sorted(found, key=lambda block: block.created, reverse=True)


def _refuse_taken(workspace: BaseWorkspace, name: str) -> None:
    if any(block.name == name and block.status != "Archived" for block in _blocks(workspace)):
        raise UserErrorException(
            f"There is a pipeline endpoint {name!r} already",
            {"workspace": workspace.name},
            "Take another name, or add the pipeline to that one with `PipelineEndpoint.get(…).add(…)`.",
        )


def _refuse_foreign(workspace: BaseWorkspace, published: PublishedPipeline) -> None:
    if published.block.workspace != workspace.name:
        raise UserErrorException(
            "The published pipeline belongs to another workspace",
            {"its workspace": published.block.workspace, "workspace": workspace.name},
            "Publish it in this one.",
        )
