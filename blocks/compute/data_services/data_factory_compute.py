"""`DataFactoryCompute`: what v1 transfers data with; here this machine does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import ComputeTarget, FoundByName
from stepwell.blocks.compute.local_compute import LocalCompute

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace


@checked
class DataFactoryCompute(FoundByName, LocalCompute):
    """A data factory as v1's users name one for a `DataTransferStep`. `DataFactoryCompute(ws, name)` finds one.

    This machine does the work: nothing of Azure is asked. Its other attributes are those of `LocalCompute`.

    Attributes:
        resource_group: Kept, not used.
        factory_name: Kept, not used.
        resource_id: Kept, not used.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Data Factory Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-data-factory-compute"
    _description: ClassVar[str | None] = "Transfers data on this machine, under the name of a data factory."
    default_name: ClassVar[str] = ""
    create: ClassVar[Callable[..., Compute]] = ComputeTarget.create
    attach: ClassVar[Callable[..., Compute]] = ComputeTarget.attach

    resource_group: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    factory_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    resource_id: str = Field(default="", description="Kept for users of Azure ML; not needed.")

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def provisioning_configuration(cls, location: str | None = None) -> DataFactoryCompute:
        """Return a configuration for `ComputeTarget.create`.

        Args:
            location: Kept, not used.

        Returns:
            The settings, as a target that is not saved.
        """
        return DataFactoryCompute(location=location or "")

    @classmethod
    def attach_configuration(
        cls, resource_group: str | None = None, factory_name: str | None = None, resource_id: str | None = None
    ) -> DataFactoryCompute:
        """Return a configuration for `ComputeTarget.attach`.

        Args:
            resource_group: Kept, not used.
            factory_name: Kept, not used.
            resource_id: Kept, not used.

        Returns:
            The settings, as a target that is not saved.
        """
        return DataFactoryCompute(
            resource_group=resource_group or "", factory_name=factory_name or "", resource_id=resource_id or ""
        )
