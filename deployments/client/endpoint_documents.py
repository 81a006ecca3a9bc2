"""The documents of pipeline endpoints, and what is required of their names and pipelines."""

from __future__ import annotations

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineEndpointBlock
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.published_pipeline import PublishedPipeline
from stepwell.flows.publishing.publish import version_numbers


def endpoint_blocks(workspace: BaseWorkspace) -> list[PipelineEndpointBlock]:
    """Return the documents of the workspace's pipeline endpoints, newest first."""
    found = documents.load_any([PipelineEndpointBlock], workspace=workspace.name)
    return sorted(found, key=lambda block: block.created, reverse=True)


def require_free_name(workspace: BaseWorkspace, name: str) -> None:
    """Raise UserErrorException if an endpoint of the workspace has the name; archived ones don't count."""
    if _named(workspace, name):
        raise _taken(workspace, name)


def require_first(workspace: BaseWorkspace, block: PipelineEndpointBlock) -> None:
    """Raise UserErrorException, and remove the document, if somebody on another machine saved one of the name before it."""
    if not documents.came_first(block, _named(workspace, block.name)):
        documents.delete(PipelineEndpointBlock, block.document)
        raise _taken(workspace, block.name)


def _named(workspace: BaseWorkspace, name: str) -> list[PipelineEndpointBlock]:
    return [block for block in endpoint_blocks(workspace) if block.name == name and block.status != "Archived"]


def _taken(workspace: BaseWorkspace, name: str) -> UserErrorException:
    return UserErrorException(
        f"There is a pipeline endpoint {name!r} already",
        {"workspace": workspace.name},
        "Take another name, or add the pipeline to that one with `PipelineEndpoint.get(…).add(…)`.",
    )


def require_same_workspace(workspace: BaseWorkspace, published: PublishedPipeline) -> None:
    """Raise UserErrorException if the published pipeline belongs to another workspace."""
    if published.block.workspace != workspace.name:
        raise UserErrorException(
            "The published pipeline belongs to another workspace",
            {"its workspace": published.block.workspace, "workspace": workspace.name},
            "Publish it in this one.",
        )


def first_version(
    workspace: BaseWorkspace, name: str, description: str, pipeline: Pipeline | PublishedPipeline
) -> tuple[str, PublishedPipeline]:
    """Return the version that the pipeline, published under the name if it is not yet, becomes in a new endpoint; and it."""
    if isinstance(pipeline, Pipeline):
        pipeline = pipeline.publish(name, description, None if version_numbers(workspace, name) else "0")
    require_same_workspace(workspace, pipeline)
    return pipeline.version if pipeline.name == name else "0", pipeline


def next_version(workspace: BaseWorkspace, endpoint: PipelineEndpointBlock, published: PublishedPipeline) -> str:
    """Return the version that the pipeline becomes: its own if it has the endpoint's name, else the next number under that."""
    require_same_workspace(workspace, published)
    if published.name == endpoint.name and published.version not in endpoint.versions:
        return published.version
    own = [int(known) for known in endpoint.versions if known.isascii() and known.isdecimal()]
    return str(max((*own, *version_numbers(workspace, endpoint.name)), default=-1) + 1)
