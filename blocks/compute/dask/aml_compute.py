"""`AmlCompute`: a cluster as v1's users ask for it, made of Dask workers; those of a GPU size have a GPU each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from stepwell.blocks.compute.base import refuse_inside_step
from stepwell.blocks.compute.compute_target import ComputeTarget
from stepwell.blocks.compute.dask.cuda_compute import CudaCompute
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.compute.status import ComputeStatus
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from stepwell.blocks.compute.dask.cluster import ClusterSpec
    from stepwell.blocks.compute.job import Finished, Job
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal
    from stepwell.model.definitions import StepDefinition

_IDLE_SECONDS = 1800
_PRIORITIES = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}


class AmlCompute(DaskCompute):
    """Nodes that come with work and go without it. `AmlCompute(ws, name)` finds one; `ComputeTarget.create` makes one.

    It runs as a `DaskCompute` with the same settings, or as a `CudaCompute` if `vm_size` is one of Azure's GPU sizes.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Aml Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-aml-compute"
    _description: ClassVar[str | None] = "Runs steps on nodes as asked for with the words of Azure ML."
    default_name: ClassVar[str] = ""

    vm_size: str = Field(default="", description="Azure's name of a machine; one with a GPU asks for a GPU.")
    vm_priority: str = Field(default="Dedicated", description="Kept for users of Azure ML; not needed.")
    description: str = Field(default="", description="What it is for.")
    fallback: Literal["", "cpu"] = Field(default="", description="`cpu`: without a GPU, steps run on processors.")

    def __new__(cls, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> Self:
        """With a workspace, its target of that name, whatever its kind; ComputeTargetException if there is none."""
        if isinstance(workspace, str):
            return super().__new__(cls, **fields)
        return ComputeTarget.get(workspace, name)  # type: ignore[return-value]

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        if isinstance(workspace, str):
            super().__init__(workspace=workspace, name=name, **fields)

    @classmethod
    def provisioning_configuration(
        cls,
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int | str = 0,
        max_nodes: int | str | None = None,
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
        """What `ComputeTarget.create` makes a target of; numbers may be texts. Wrong ones raise ComputeTargetException.

        Users, networks and identities are Azure's: they are accepted, and neither used nor kept. `fallback` is our own: with
        `"cpu"`, steps of a GPU size run on processors where there is no GPU.
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
        min_nodes: int | str | None = None,
        max_nodes: int | str | None = None,
        idle_seconds_before_scaledown: float | str | None = None,
    ) -> None:
        """Nothing; the target has these settings, and is saved with them. None leaves a setting as it is."""
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
        documents.save(self, self._document)

    @property
    def status(self) -> ComputeStatus:
        """How the target stands now. Nothing is woken by asking."""
        known = super().status
        return ComputeStatus(
            known.nodes,
            known.scale_settings,
            known.creation_time,
            known.modified_time,
            self.vm_priority,
            self.vm_size,
        )

    # What really runs ---------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> DaskCompute:
        """The target of which its nodes are: a `CudaCompute` for a GPU size, else a `DaskCompute`."""
        own = {field: getattr(self, field) for field in DaskCompute.model_fields}
        if not is_gpu_size(self.vm_size):
            return DaskCompute(**own)
        usual = DaskCompute()
        chosen = {field: value for field, value in own.items() if value != getattr(usual, field)}
        return CudaCompute(
            **{**chosen, "max_nodes": self.max_nodes, "n_gpus": self.max_nodes, "fallback": self.fallback}
        )

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """How the job ended on a node."""
        return self.nodes.run(job, on_output, stop, redact)

    def check(self, step: StepDefinition) -> None:
        """Nothing; a step that fits on no node raises ComputeTargetException."""
        self.nodes.check(step)

    def ready(self) -> None:
        """Nothing; nodes that lack what they need raise ComputeTargetException."""
        self.nodes.ready()

    def capacity(self) -> Mapping[str, float]:
        """How much of each resource steps of one pipeline may take at once."""
        return self.nodes.capacity()

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """How much of each of them the step takes."""
        return self.nodes.demand(step)

    def spec(self) -> ClusterSpec:
        """The cluster as this process knows it."""
        return self.nodes.spec()


def is_gpu_size(vm_size: str) -> bool:
    """Whether Azure's machine of that size has a GPU: families NC, ND, NV and NG."""
    return re.match(r"(standard_)?n[cdvg]", vm_size.strip().lower()) is not None


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\s*\d{1,9}(\.0+)?\s*", str(value)):
        raise _invalid(f"{name} must be a whole number of at least 0", **{name: value})
    return int(float(value))


def _invalid(what: str, **facts: object) -> ComputeTargetException:
    return ComputeTargetException(f"Invalid provisioning configuration: {what}", facts, "Correct the configuration.")
