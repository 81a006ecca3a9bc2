"""`CudaCompute`: steps on GPUs, one Dask worker each; a step sees the GPU that is its own and no other."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.dask import gpu
from stepwell.blocks.compute.dask.clusters.cluster import ClusterSpec, cluster_of
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.stand_ins import chosen_outside
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import Resources, StepDefinition

_LOCAL = "dask_cuda.LocalCUDACluster"
_HINT = 'choose another compute target, or write `fallback="cpu"`, or set STEPWELL_V1_GPU=cpu, to have its steps run without a GPU.'
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")


@checked
class CudaCompute(DaskCompute):
    """The GPUs of this machine, or of the workers at `address`. A step takes one, or the part of one that it asks for.

    Where there is no GPU, runs end before a step starts, unless `fallback` says that CPUs will do. Its other attributes
    are those of `DaskCompute`.

    Attributes:
        devices: GPUs to use, as in CUDA_VISIBLE_DEVICES; by default all that are visible.
        n_gpus: How many of them to use; 0 is all.
        cpus_per_node: Steps of one processor that share a GPU at most.
        device_memory_limit: Bytes of a GPU that Dask's own data may fill before they move to the host, as `20GB`.
        rmm_pool_size: Memory that RMM takes of a GPU when its worker starts, as `8GB`.
        protocol: How workers speak with each other: `tcp` or `ucx`.
        enable_nvlink: Whether UCX uses NVLink.
        enable_infiniband: Whether UCX uses InfiniBand.
        fallback: `cpu` lets steps run on processors where there is no GPU; by default they fail.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell CUDA Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-cuda-compute"
    _description: ClassVar[str | None] = "Runs steps on GPUs, one Dask worker each."
    default_name: ClassVar[str] = "cuda"
    gpu: ClassVar[bool] = True

    cluster_class: str = Field(default=_LOCAL, description="The class of the cluster.")
    devices: str = Field(
        default="", description="GPUs to use, as in CUDA_VISIBLE_DEVICES; empty: all that are visible."
    )
    n_gpus: int = Field(default=0, ge=0, description="How many of them to use; 0: all.")
    cpus_per_node: int = Field(default=8, ge=1, description="Steps of one processor that share a GPU at most.")
    device_memory_limit: str = Field(
        default="", description="Bytes of a GPU that Dask's own data may fill before they move to the host, as `20GB`."
    )
    rmm_pool_size: str = Field(
        default="", description="Memory that RMM takes of a GPU when its worker starts, as `8GB`."
    )
    protocol: Literal["tcp", "ucx"] = Field(default="tcp", description="How workers speak with each other.")
    enable_nvlink: bool = Field(default=False, description="Whether UCX uses NVLink.")
    enable_infiniband: bool = Field(default=False, description="Whether UCX uses InfiniBand.")
    fallback: Literal["", "cpu"] = Field(default="", description="`cpu`: without a GPU, steps run on processors.")

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job on a worker with a GPU, or without one if `fallback` says so and there is none.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: There is no GPU to use, or the cluster can't be reached.
        """
        missing = self._missing()
        if missing is None:
            return super().run(job, on_output, stop, redact)
        if not self._falls_back():
            raise missing
        warning = (
            f"Compute target {self.name!r} has no GPU to use, so step {job.call.definition.name!r} ran on processors"
        )
        on_output(f"{missing.title}; running on processors\n")
        finished = self._without_gpus().run(_without_gpu_request(job), on_output, stop, redact)
        facts = {**finished.facts, "fallback": "cpu", "why": missing.title}
        return replace(finished, facts=facts, warnings=(*finished.warnings, warning))

    def ready(self) -> None:
        """Raise ComputeTargetException without a driver, a GPU, Dask-CUDA or a GPU worker at `address`.

        Raises:
            ComputeTargetException: One of them is missing, and there is no `fallback`.
        """
        missing = self._missing()
        if missing is not None and not self._falls_back():
            raise missing

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step asks for several GPUs, chooses its own, or fits on no node.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step can't run on one GPU that the target gives to it.
        """
        if self._wanted(step)["GPU"] > 1:
            raise ComputeTargetException(
                f"The step {step.name!r} asks for more than one GPU",
                {"asks for": f"{self._wanted(step)['GPU']:g}", "a worker has": 1},
                "Ask for one GPU, or for a part of one.",
            )
        chosen = [name for name in _VARIABLES if name in step.environment.variables]
        if chosen:
            raise ComputeTargetException(
                f"The step {step.name!r} chooses its GPU by itself, which only its compute target can",
                {"variable": chosen[0], "compute target": self.name},
                "Take the variable out of the step's environment; name GPUs by `devices` of the compute target.",
            )
        super().check(step)

    # The cluster ----------------------------------------------------------------------------------------------------

    def spec(self) -> ClusterSpec:
        """Return the description of the cluster: of this machine, a worker for each GPU from its start, closed when idle.

        Returns:
            The spec, by which this process finds the cluster again.
        """
        spec = super().spec()
        return replace(spec, adaptive=False) if self.cluster_class == _LOCAL and not spec.address else spec

    def node(self) -> dict[str, float]:
        """Return what each node has: one GPU, with its share of the machine.

        Returns:
            Amounts by Dask's resources.
        """
        return {**super().node(), "GPU": 1.0}

    def options(self) -> dict[str, Any]:
        """Return what the cluster's class is called with.

        Returns:
            Keyword arguments, those of `cluster_options` last.
        """
        if self.cluster_class != _LOCAL:
            return dict(self.cluster_options)
        ucx = {"enable_nvlink": self.enable_nvlink or None, "enable_infiniband": self.enable_infiniband or None}
        given = {
            "device_memory_limit": self.device_memory_limit,
            "rmm_pool_size": self.rmm_pool_size,
            "memory_limit": self.memory_per_node,
            **ucx,
        }
        local = {
            "CUDA_VISIBLE_DEVICES": list(self._devices()),
            "threads_per_worker": self.cpus_per_node,
            "resources": self.node(),
            "protocol": "ucx" if any(ucx.values()) else self.protocol,
            "dashboard_address": "127.0.0.1:0",
            "silence_logs": logging.CRITICAL,
        }
        return {**local, **{name: value for name, value in given.items() if value}, **self.cluster_options}

    def _wanted(self, step: StepDefinition) -> dict[str, float]:
        asked = step.resources.gpus if step.resources else 0
        return {**super()._wanted(step), "GPU": asked or 1.0}

    def _awaited(self) -> ClusterSpec:
        return self.spec() if self._missing() is None else self._without_gpus().spec()

    def _falls_back(self) -> bool:
        """Return whether steps run on processors where there is no GPU: as it says itself, or somebody chose outside the code."""
        chosen = self.fallback or chosen_outside("gpu")
        if chosen or not self.workspace:
            return chosen == "cpu"
        block = documents.load_named(WorkspaceBlock, self.workspace)
        return block is not None and block.stand_ins.get("gpu") == "cpu"

    # What is missing ------------------------------------------------------------------------------------------------

    def _missing(self) -> ComputeTargetException | None:
        """Return the error of a target that has no GPU to use; None if it has."""
        if self.address:
            return self._missing_at_address()
        if self.cluster_class != _LOCAL:
            return None
        return self._missing_here()

    def _missing_here(self) -> ComputeTargetException | None:
        found = gpu.gpus()
        if not found and not gpu.driver_loads():
            facts = {"missing": f"NVIDIA's driver: {gpu.LIBRARY} can't be loaded"}
            return self._unusable("this machine has no NVIDIA driver", facts, f"Install the driver, {_HINT}")
        if not found:
            facts = {
                "missing": f"a GPU: the driver is installed, and finds none ({gpu.driver_error() or 'not a single one'})"
            }
            return self._unusable("this machine has no NVIDIA GPU", facts, f"Run on a machine with a GPU, {_HINT}")
        present = ", ".join(f"{one.index} {one.model}" for one in found)
        if not self._devices():
            facts = {"missing": "a visible GPU: CUDA_VISIBLE_DEVICES hides all of them", "there are": present}
            return self._unusable("its GPUs are hidden", facts, f"Unset CUDA_VISIBLE_DEVICES, {_HINT}")
        unknown = [name for name in self._devices() if not name.startswith("MIG-") and gpu.find(name) is None]
        if unknown:
            facts = {"missing": f"GPU {unknown[0]}", "there are": present}
            return self._unusable(f"this machine has no GPU {unknown[0]}", facts, f"Correct `devices`, {_HINT}")
        if importlib.util.find_spec("dask_cuda") is None:
            facts = {"missing": "the package dask-cuda", "there are": present}
            return self._unusable(
                "Dask-CUDA is not installed", facts, f"Install it by `pip install 'stepwell[gpu]'`, {_HINT}"
            )
        return None

    def _missing_at_address(self) -> ComputeTargetException | None:
        workers = cluster_of(self.spec())
        if "GPU" in workers.declared():
            return None
        facts = {
            "missing": "a worker that declares a GPU",
            "scheduler": self.address,
            "workers": len(workers.workers()),
        }
        return self._unusable(
            "no worker there has a GPU", facts, f"Start workers by `dask cuda worker … --resources GPU=1`, {_HINT}"
        )

    def _unusable(self, why: str, facts: Mapping[str, object], hint: str) -> ComputeTargetException:
        return ComputeTargetException(f"The compute target {self.name!r} can't run steps: {why}", facts, hint)

    def _devices(self) -> tuple[str, ...]:
        """Return the GPUs to use, by number or id."""
        named = self.devices or os.environ.get("CUDA_VISIBLE_DEVICES")
        if named is None:
            names = [str(one.index) for one in gpu.gpus()]
        else:
            names = [name.strip() for name in named.split(",")]
            names = [name for name in names if name and name not in ("-1", "NoDevFiles", "void")]
        return tuple(names[: self.n_gpus] if self.n_gpus else names)

    def _without_gpus(self) -> DaskCompute:
        """Return the same target on processors."""
        same = {name: getattr(self, name) for name in DaskCompute.model_fields if name != "cluster_class"}
        nodes = max(1, (os.cpu_count() or 1) // self.cpus_per_node)
        return DaskCompute(**{**same, "cluster_options": {}, "max_nodes": nodes})


def _without_gpu_request(job: Job) -> Job:
    definition = job.call.definition
    resources = replace(definition.resources or Resources(), gpus=0)
    return replace(job, call=replace(job.call, definition=replace(definition, resources=resources)))
