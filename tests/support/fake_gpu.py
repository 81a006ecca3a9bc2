"""GPUs that are not there: a stand-in for NVIDIA's management library, and Dask workers that declare GPUs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from waiting import PATIENCE

SOURCE = Path(__file__).parent / "fixtures" / "fake_nvml" / "nvml.c"


def why_not() -> str:
    """Return why the stand-in is not possible here, '' if it is."""
    return "" if shutil.which("gcc") else "gcc is not installed"


def library(folder: Path) -> Path:
    """Build the stand-in and return its folder, for LD_LIBRARY_PATH."""
    built = folder / "nvml"
    built.mkdir()
    line = ["gcc", "-shared", "-fPIC", "-o", str(built / "libnvidia-ml.so.1"), str(SOURCE)]
    subprocess.run(line, check=True)
    return built


@contextlib.contextmanager
def workers(*visible: str, threads: int = 4) -> Iterator[str]:
    """Run a scheduler with one worker of one GPU for each value of CUDA_VISIBLE_DEVICES, and yield its address."""
    from distributed import Nanny, Scheduler, SpecCluster

    from stepwell.blocks.compute.dask.clusters import cluster as dask_cluster

    options = {"nthreads": threads, "resources": {"GPU": 1, "cpus": threads}, "memory_limit": 0, "dashboard": False}
    nannies = {
        number: {"cls": Nanny, "options": {**options, "env": {"CUDA_VISIBLE_DEVICES": devices}}}
        for number, devices in enumerate(visible)
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard": False, "host": "127.0.0.1", "port": 0}}
    with (
        SpecCluster(scheduler=scheduler, workers=nannies, silence_logs=50) as cluster,
        mock.patch.object(dask_cluster, "CONNECT_SECONDS", PATIENCE),
    ):
        yield cluster.scheduler_address


def has_driver() -> bool:
    """Return whether this machine has a driver of NVIDIA's, which hides what tests want to see."""
    from stepwell.blocks.compute.dask.gpu import driver_loads

    return driver_loads() or bool(shutil.which("nvidia-smi"))


def with_library(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that finds the stand-in in `folder`."""
    known = os.environ.get("LD_LIBRARY_PATH", "")
    return {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{known}" if known else str(folder), **more}
