"""`BatchCompute`: the accounts of Azure Batch that v1's users attach; their programs run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.resource_ids import group_and_name
from stepwell.blocks.compute.compute_target import FoundByName
from stepwell.blocks.compute.local_compute import LocalCompute
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace


@checked
class BatchCompute(FoundByName, LocalCompute):
    """Where AzureBatchSteps run: processes of this machine, in place of an account of Azure Batch.

    `BatchCompute(ws, name)` finds one; `ComputeTarget.attach` makes one. Resource group and account are kept, and not
    asked: nothing is sent to Azure. Its other attributes are those of `LocalCompute`.

    Attributes:
        resource_group: The resource group of the account.
        account_name: The name of the account.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Batch Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-batch-compute"
    _description: ClassVar[str | None] = "Runs programs of Azure Batch as processes of this machine."
    default_name: ClassVar[str] = ""

    resource_group: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    account_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def attach_configuration(
        cls, resource_group: str | None = None, account_name: str | None = None, resource_id: str | None = None
    ) -> BatchCompute:
        """Return a configuration for `ComputeTarget.attach`, as in Azure ML SDK v1.

        Args:
            resource_group: The resource group of the account.
            account_name: The name of the account.
            resource_id: Both in one text, `/subscriptions/…/resourceGroups/<group>/…/batchAccounts/<name>`, in their place.

        Returns:
            The settings, as a target that is not saved.

        Raises:
            ComputeTargetException: There is neither a `resource_id` nor both of the others, or they contradict each other.
        """
        found = group_and_name("batchAccounts", resource_group, account_name, resource_id)
        if found is None:
            raise ComputeTargetException(
                "An account of Azure Batch is named by its resource group and its name",
                {"resource_id": resource_id, "resource_group": resource_group, "account_name": account_name},
                "Pass `resource_group=` and `account_name=`, or a whole `resource_id=` alone.",
            )
        return cls(resource_group=found[0], account_name=found[1])
