"""`SynapseCompute`: the name of a Spark pool of Synapse, whose steps run on a Spark of one's own."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.spark.linked_service import LinkedService
from stepwell.blocks.compute.spark.spark_compute import SparkCompute
from stepwell.drivers.spark import session
from stepwell.errors import UserErrorException


@checked
class SynapseCompute(SparkCompute):
    """A Spark pool of Synapse by name: its steps run on Spark of this machine, or at another `master`.

    Attributes:
        linked_service: The name of the linked service that has the pool; kept, not used.
        pool_name: The pool's name; kept, not used.
        pool_type: `SynapseSpark`.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Synapse Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-synapse-compute"
    _description: ClassVar[str | None] = "Runs steps for a Spark pool of Synapse on a Spark of one's own."
    default_name: ClassVar[str] = ""

    linked_service: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    pool_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    pool_type: str = Field(default="SynapseSpark", description="Kept for users of Azure ML; not needed.")

    @classmethod
    def attach_configuration(
        cls, linked_service: LinkedService, type: str, pool_name: str, *, master: str = ""
    ) -> SynapseCompute:
        """Return a configuration for `ComputeTarget.attach`, as in Azure ML SDK v1.

        Args:
            linked_service: The linked service that has the pool.
            type: `SynapseSpark`.
            pool_name: The pool's name.
            master: The Spark that runs its steps; '': this machine.

        Returns:
            The target, to be attached.

        Raises:
            UserErrorException: It is a pool of another type.
        """
        if type != "SynapseSpark":
            raise UserErrorException(f"A pool can't be of the type {type!r}", hint="Pass `type='SynapseSpark'`.")
        return cls(
            linked_service=linked_service.name, pool_name=pool_name, pool_type=type, master=master or session.HERE
        )
