"""The GPU of a Dask worker, leased to a step: the variables that show the step this GPU alone, and how it was used.

Part of the worker bundle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from stepwell.blocks.compute.dask.gpu import find, gpus, observed
from stepwell.blocks.compute.job import Job
from stepwell.errors import ComputeTargetException


@dataclass(frozen=True)
class GpuLease:
    """The `variables` that give a step its GPU, and the `facts` of it that are shown with the run."""

    variables: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


@contextmanager
def lease(worker: Any, job: Job) -> Iterator[GpuLease]:
    """Lease the worker's GPU to the job while the block runs, and log how it was used as metrics of the job."""
    device = own_device(worker)
    gpu = find(device)
    # Numbers are those of NVIDIA's library, which counts along the bus; CUDA would put the fastest first.
    variables = {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with observed(device, job.step_run_id, job.control):
        yield GpuLease(variables, {"device": device, **(gpu.facts() if gpu else {})})


def own_device(worker: Any) -> str:
    """Return the GPU that is the worker's own, as number or id; Dask-CUDA lists it first, then those of its peers."""
    declared = float(worker.state.total_resources.get("GPU", 0))
    if declared > 1:
        raise _unclear(worker, f"it declares {declared:g} GPUs, so it can't be known which one a step has")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        first = visible.split(",")[0].strip()
        if not first or first == "-1":
            raise _unclear(worker, "its CUDA_VISIBLE_DEVICES hides all GPUs")
        return first
    there = gpus()
    if len(there) != 1:
        raise _unclear(worker, f"its machine has {len(there)} GPUs, and nothing says which one is the worker's")
    return str(there[0].index)


def _unclear(worker: Any, reason: str) -> ComputeTargetException:
    return ComputeTargetException(
        "A Dask worker can't tell which GPU is its own",
        {"worker": worker.name, "address": worker.address, "reason": reason},
        "Start one worker for each GPU, by `dask cuda worker … --resources GPU=1`.",
    )
