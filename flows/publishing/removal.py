"""What is removed with a workspace: all that Prefect knows of it. Data stay where they are."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.workspace.publications import PublishedPipelineBlock
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock


def published_in(workspace: str) -> list[PublishedPipelineBlock]:
    """Return the documents of what is published in the workspace."""
    return documents.load_any([PublishedPipelineBlock], workspace=workspace)


def remove_workspace(workspace: str) -> None:
    """Remove deployments first, so that nothing starts runs any more, then every document of the workspace, its own last."""
    for published in published_in(workspace):
        if published.deployment_id:
            with client() as api, suppress(ObjectNotFound):
                api.delete_deployment(UUID(published.deployment_id))
    documents.delete_those_of(workspace)
    documents.delete_named(WorkspaceBlock, workspace)
