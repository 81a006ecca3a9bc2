"""`AdlaCompute`: the accounts of Data Lake Analytics that v1's users attach; their U-SQL runs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.resource_ids import group_and_name
from stepwell.blocks.compute.compute_target import FoundByName
from stepwell.blocks.compute.local_compute import LocalCompute
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import StepDefinition

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace


@checked
class AdlaCompute(FoundByName, LocalCompute):
    """Where AdlaSteps run: processes of this machine with DuckDB, in place of the service, which ended in 2024.

    `AdlaCompute(ws, name)` finds one; `ComputeTarget.attach` makes one. Resource group and account are kept, and not
    asked: nothing is sent to Azure. Its other attributes are those of `LocalCompute`.

    Attributes:
        resource_group: The resource group of the account.
        account_name: The name of the account.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Adla Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-adla-compute"
    _description: ClassVar[str | None] = "Runs U-SQL scripts with DuckDB, as processes of this machine."
    default_name: ClassVar[str] = ""

    resource_group: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    account_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def attach_configuration(
        cls, resource_group: str | None = None, account_name: str | None = None, resource_id: str | None = None
    ) -> AdlaCompute:
        """Return a configuration for `ComputeTarget.attach`, as in Azure ML SDK v1.

        Args:
            resource_group: The resource group of the account.
            account_name: The name of the account.
            resource_id: Both in one text, `/subscriptions/…/resourceGroups/<group>/…/accounts/<name>`, in their place.

        Returns:
            The settings, as a target that is not saved.

        Raises:
            ComputeTargetException: There is neither a `resource_id` nor both of the others, or they contradict each other.
        """
        found = group_and_name("accounts", resource_group, account_name, resource_id)
        if found is None:
            raise ComputeTargetException(
                "An account of Data Lake Analytics is named by its resource group and its name",
                {"resource_id": resource_id, "resource_group": resource_group, "account_name": account_name},
                "Pass `resource_group` and `account_name`, or a whole `resource_id` alone.",
            )
        return AdlaCompute(resource_group=found[0], account_name=found[1])

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step is no AdlaStep, or takes more than there is.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: It can't run here.
        """
        if step.driver is None or step.driver.name != "usql":
            raise ComputeTargetException(
                f"The compute target {self.name!r} runs AdlaSteps alone",
                {"step": step.name, "it is a": step.type},
                "Choose another compute target for it, such as `local`.",
            )
        super().check(step)
