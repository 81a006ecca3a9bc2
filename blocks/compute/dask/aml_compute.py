"""`AmlCompute`: a cluster as v1's users ask for it, made of Dask workers; those of a GPU size have a GPU each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from stepwell.blocks.arguments.checked import checked, unchecked
from stepwell.blocks.compute.base import Compute, not_found, refuse_inside_step
from stepwell.blocks.compute.compute_target import ComputeTarget, FoundByName
from stepwell.blocks.compute.dask.cuda_compute import CudaCompute
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.compute.status import ComputeStatus
from stepwell.blocks.server import documents
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from stepwell.blocks.compute.dask.clusters.cluster import ClusterSpec
    from stepwell.blocks.compute.job import Finished, Job
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace
    from stepwell.model.definitions import StepDefinition

_IDLE_SECONDS = 1800
_PRIORITIES = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}


@checked
class AmlCompute(FoundByName, DaskCompute):
    """Nodes that come with work and go without it. `AmlCompute(ws, name)` finds one; `ComputeTarget.create` makes one.

    It runs as a `DaskCompute` with the same settings, or as a `CudaCompute` if `vm_size` is one of Azure's GPU sizes.
    Its other attributes are those of `DaskCompute`.

    Attributes:
        vm_size: Azure's name of a machine, such as `STANDARD_NC6`; one with a GPU asks for a GPU.
        vm_priority: `Dedicated` or `LowPriority`, as in Azure ML SDK v1; kept, not used.
        description: What it is for.
        fallback: `cpu` lets steps of a GPU size run on processors where there is no GPU; by default they fail.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Aml Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-aml-compute"
    _description: ClassVar[str | None] = "Runs steps on nodes as asked for with the words of Azure ML."
    default_name: ClassVar[str] = ""
    create: ClassVar[Callable[..., Compute]] = ComputeTarget.create

    vm_size: str = Field(default="", description="Azure's name of a machine; one with a GPU asks for a GPU.")
    vm_priority: str = Field(default="Dedicated", description="Kept for users of Azure ML; not needed.")
    description: str = Field(default="", description="What it is for.")
    fallback: Literal["", "cpu"] = Field(default="", description="`cpu`: without a GPU, steps run on processors.")

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def provisioning_configuration(
        cls,
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: float | str = 0,
        max_nodes: float | str | None = None,
        idle_seconds_before_scaledown: float | str | None = _IDLE_SECONDS,
        admin_username: str | None = None,
        admin_user_password: str | None = None,
        admin_user_ssh_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",
        identity_type: str | None = None,
        identity_id: list[str] | None = None,
        location: str | None = None,
        enable_node_public_ip: bool = True,
        *,
        fallback: Literal["", "cpu"] = "",
    ) -> AmlCompute:
        """Return a configuration for `ComputeTarget.create`, as in Azure ML SDK v1; numbers may be texts.

        Args:
            vm_size: Azure's name of a machine, such as `STANDARD_NC6`; the GPU sizes (NC, ND, NV, NG) ask for a GPU.
            vm_priority: `dedicated` or `lowpriority`; kept, not used.
            min_nodes: Nodes that stay when there is nothing to do.
            max_nodes: The most nodes; at least 1. As in v1, it has to be given.
            idle_seconds_before_scaledown: How long a node waits for work before it goes; None is the default.
            admin_username: Accepted for v1's sake; not used.
            admin_user_password: Accepted for v1's sake; not used.
            admin_user_ssh_key: Accepted for v1's sake; not used.
            vnet_resourcegroup_name: Accepted for v1's sake; not used.
            vnet_name: Accepted for v1's sake; not used.
            subnet_name: Accepted for v1's sake; not used.
            tags: Free labels, by name.
            description: What the target is for.
            remote_login_port_public_access: Accepted for v1's sake; not used.
            identity_type: Accepted for v1's sake; not used.
            identity_id: Accepted for v1's sake; not used.
            location: Kept, not used.
            enable_node_public_ip: Accepted for v1's sake; not used.
            fallback: Not in v1: with `cpu`, steps of a GPU size run on processors where there is no GPU.

        Returns:
            The settings, as a target that is not saved.

        Raises:
            ComputeTargetException: A number is not a whole one of at least 0, `max_nodes` is less than 1 or than
                `min_nodes`, or the priority is unknown.
        """
        least, most = _number("min_nodes", min_nodes), _number("max_nodes", max_nodes)
        if idle_seconds_before_scaledown is None:
            idle_seconds_before_scaledown = _IDLE_SECONDS
        idle = _number("idle_seconds_before_scaledown", idle_seconds_before_scaledown)
        if most < max(1, least):
            raise _invalid("max_nodes must be at least 1 and not less than min_nodes", min_nodes=least, max_nodes=most)
        if str(vm_priority).lower() not in _PRIORITIES:
            raise _invalid("vm_priority must be dedicated or lowpriority", vm_priority=vm_priority)
        return AmlCompute(
            vm_size=vm_size or "",
            vm_priority=_PRIORITIES[str(vm_priority).lower()],
            min_nodes=least,
            max_nodes=most,
            idle_seconds_before_scaledown=idle,
            tags=dict(tags or {}),
            description=description or "",
            location=location or "",
            fallback=fallback,
        )

    def update(
        self,
        min_nodes: float | str | None = None,
        max_nodes: float | str | None = None,
        idle_seconds_before_scaledown: float | str | None = None,
    ) -> None:
        """Change settings of the target and save it, as in Azure ML SDK v1; None leaves a setting as it is.

        Args:
            min_nodes: Nodes that stay when there is nothing to do.
            max_nodes: The most nodes.
            idle_seconds_before_scaledown: How long a node waits for work before it goes.

        Raises:
            ComputeTargetException: The settings are wrong, or a step called it.
        """
        given = {
            "min_nodes": min_nodes,
            "max_nodes": max_nodes,
            "idle_seconds_before_scaledown": idle_seconds_before_scaledown,
        }
        now = {"min_nodes": self.min_nodes, "max_nodes": self.max_nodes}
        now |= {"idle_seconds_before_scaledown": int(self.idle_seconds_before_scaledown)}
        wanted = AmlCompute.provisioning_configuration(**{**now, **{k: v for k, v in given.items() if v is not None}})  # type: ignore[arg-type]
        refuse_inside_step("update")
        for name in given:
            setattr(self, name, getattr(wanted, name))
        try:
            documents.replace(self, f"compute target {self.name!r}")
        except documents.DeletedException:
            raise not_found(self.workspace, self.name) from None

    @property
    def status(self) -> ComputeStatus:
        """The state of the target now. Reading it starts nothing."""
        known = super().status
        return ComputeStatus(
            known.nodes,
            known.scale_settings,
            known.creation_time,
            known.modified_time,
            self.vm_priority,
            self.vm_size,
        )

    # What really runs -------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> DaskCompute:
        """The target that its steps run on: a `CudaCompute` for a GPU size, else a `DaskCompute`."""
        own = {field: getattr(self, field) for field in DaskCompute.model_fields}
        with unchecked():  # settings may be older than the checks
            if not is_gpu_size(self.vm_size):
                return DaskCompute(**own)
            usual = DaskCompute()
            chosen = {field: value for field, value in own.items() if value != getattr(usual, field)}
            return CudaCompute(
                **{**chosen, "max_nodes": self.max_nodes, "n_gpus": self.max_nodes, "fallback": self.fallback}
            )

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job on a node.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: The nodes can't be reached or used.
        """
        return self.nodes.run(job, on_output, stop, redact)

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step fits on no node.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step needs what no node has.
        """
        self.nodes.check(step)

    def ready(self) -> None:
        """Raise ComputeTargetException if the nodes lack what they need.

        Raises:
            ComputeTargetException: There is no GPU for a GPU size, and no `fallback`.
        """
        self.nodes.ready()

    def capacity(self) -> Mapping[str, float]:
        """Return how much of each resource the steps of one pipeline may take at once.

        Returns:
            Amounts by resource.
        """
        return self.nodes.capacity()

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """Return how much of each resource of `capacity` the step takes.

        Args:
            step: The definition of the step.

        Returns:
            Amounts by resource.
        """
        return self.nodes.demand(step)

    def _awaited(self) -> ClusterSpec:
        return self.nodes._awaited()  # noqa: SLF001  (its own kind)

    def spec(self) -> ClusterSpec:
        """Return the description of its cluster, by which this process finds it again.

        Returns:
            The spec of the cluster that its nodes belong to.
        """
        return self.nodes.spec()


def is_gpu_size(vm_size: str) -> bool:
    """Return whether Azure's machine of that size has a GPU: families NC, ND, NV and NG."""
    return re.match(r"(standard_)?n[cdvg]", vm_size.strip().lower()) is not None


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\s*[0-9]{1,9}(\.0+)?\s*", str(value)):
        raise _invalid(f"{name} must be a whole number of at least 0", **{name: value})
    return int(float(value))


def _invalid(what: str, **facts: object) -> ComputeTargetException:
    return ComputeTargetException(f"Invalid provisioning configuration: {what}", facts, "Correct the configuration.")
