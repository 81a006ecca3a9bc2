"""`LinkedService`: a Synapse workspace that a workspace knows by a name, as in Azure ML SDK v1; it is kept, not used."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import refuse_inside_step
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException


class LinkedServiceBlock(documents.NamedBlock):
    """A Synapse workspace that a workspace knows by a name."""

    _block_type_name: ClassVar[str] = "Stepwell Linked Service"
    _block_type_slug: ClassVar[str] = "stepwell-linked-service"
    _description: ClassVar[str] = "A Synapse workspace by name; kept for users of Azure ML."

    workspace: str = Field(description="The workspace that knows it.")
    name: str = Field(description="Its name there.")
    subscription_id: str = Field(default="", description="Azure's subscription of the Synapse workspace.")
    resource_group: str = Field(default="", description="Azure's group of it.")
    synapse_workspace: str = Field(default="", description="Azure's name of it.")


@checked
class SynapseWorkspaceLinkedServiceConfiguration:
    """A Synapse workspace as Azure names it.

    Args:
        subscription_id: Its subscription.
        resource_group: Its group.
        name: Its name.
    """

    def __init__(self, subscription_id: str, resource_group: str, name: str) -> None:
        self.subscription_id, self.resource_group, self.name = subscription_id, resource_group, name


@checked
class LinkedService:
    """A Synapse workspace that a workspace knows by a name.

    Attributes:
        workspace: The workspace.
        name: The name.
        type: `Synapse`.
    """

    type = "Synapse"

    def __init__(self, workspace: BaseWorkspace, name: str, *, _block: LinkedServiceBlock | None = None) -> None:
        self.workspace, self.name = workspace, name
        self._block = _block or _find(workspace, name)

    @property
    def linked_service_resource_id(self) -> str:
        """Azure's whole name of the Synapse workspace."""
        block = self._block
        return (
            f"/subscriptions/{block.subscription_id}/resourceGroups/{block.resource_group}"
            f"/providers/Microsoft.Synapse/workspaces/{block.synapse_workspace}"
        )

    @classmethod
    def register(
        cls, workspace: BaseWorkspace, name: str, linked_service_config: SynapseWorkspaceLinkedServiceConfiguration
    ) -> Self:
        """Keep a Synapse workspace under a name; one of that name is replaced.

        Args:
            workspace: The workspace that will know it.
            name: Its name there.
            linked_service_config: Which one it is.

        Returns:
            The linked service.

        Raises:
            ComputeTargetException: A step called it.
        """
        refuse_inside_step("link")
        given = linked_service_config
        block = LinkedServiceBlock(
            workspace=workspace.name,
            name=name,
            subscription_id=given.subscription_id,
            resource_group=given.resource_group,
            synapse_workspace=given.name,
        )
        documents.save_named(block)
        return cls(workspace, name, _block=block)

    @classmethod
    def get(cls, workspace: BaseWorkspace, name: str) -> Self:
        """Return the linked service of a name.

        Args:
            workspace: The workspace that knows it.
            name: Its name there.

        Returns:
            The linked service.

        Raises:
            UserErrorException: The workspace knows none of that name.
        """
        return cls(workspace, name)

    @classmethod
    def list(cls, workspace: BaseWorkspace) -> list[LinkedService]:
        """List the workspace's linked services.

        Args:
            workspace: The workspace that knows them.

        Returns:
            The linked services, by name.
        """
        found = documents.load_any([LinkedServiceBlock], workspace=workspace.name)
        return [cls(workspace, block.name, _block=block) for block in sorted(found, key=lambda block: block.name)]

    def unregister(self) -> None:
        """Forget the linked service; its compute targets stay.

        Raises:
            ComputeTargetException: A step called it.
        """
        refuse_inside_step("unlink")
        documents.delete_named(LinkedServiceBlock, self.workspace.name, self.name)

    def __repr__(self) -> str:
        return f"LinkedService(workspace={self.workspace.name!r}, name={self.name!r})"


def _find(workspace: BaseWorkspace, name: str) -> LinkedServiceBlock:
    block = documents.load_named(LinkedServiceBlock, workspace.name, name)
    if block is None:
        known = documents.load_any([LinkedServiceBlock], workspace=workspace.name)
        raise UserErrorException(
            f"There is no linked service {name!r} in the workspace",
            {"linked services": ", ".join(sorted(one.name for one in known)) or "none"},
            "Register it first: `LinkedService.register(…)`.",
        )
    return block
