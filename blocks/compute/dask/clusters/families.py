"""Classes of clusters: how each is imported, and told what a node has: jobs of a batch system, pods, machines of a cloud.

A class that is none of these gets its options as they are, and its nodes count as what the target says of them.
"""

from __future__ import annotations

import importlib
import logging
import math
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stepwell.blocks.system.home import home, make_folder

_GIBIBYTE = 1 << 30
_MEMORY_OF_A_PROCESSOR = 2 * _GIBIBYTE
_FAMILIES = ("dask_jobqueue", "dask_kubernetes", "coiled")
_importing = threading.Lock()


def load_class(path: str) -> Any:
    """Return the class of that dotted name; raise ImportError or AttributeError if there is none.

    What it does to signals as it is imported is undone: dask-jobqueue takes Ctrl-C, which only the main thread may.
    """
    module, _, name = path.rpartition(".")
    with _importing, _signals_left_alone():
        return getattr(importlib.import_module(module or "distributed"), name)


@contextmanager
def _signals_left_alone() -> Iterator[None]:
    """Let this thread set no signal handlers while the block runs, and be told that it did."""
    really, here = signal.signal, threading.get_ident()

    def pretend(number: int, handler: Any) -> Any:
        return signal.getsignal(number) if threading.get_ident() == here else really(number, handler)

    signal.signal = pretend  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = really


def family_of(kind: type) -> str:
    """Return the package whose ways the class has, also if it is derived from one of its classes; '' if it is none known."""
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return next((family for family in _FAMILIES if family in packages), "")


def cpus_of(options: Mapping[str, Any], given: float) -> float:
    """Return the processors of a node: as the class is told, else as the target says."""
    cores, processes = options.get("cores"), options.get("processes") or 1
    return float(max(1, int(cores) // int(processes))) if isinstance(cores, int) and cores > 0 else given


def options_for(
    kind: type, options: Mapping[str, Any], node: Mapping[str, float], fewest: int, target: str
) -> dict[str, Any]:
    """Return what the class is called with, so that each of its workers has, and declares, what a node has.

    Args:
        kind: The class.
        options: What the target's owner wants it to be called with, which counts more.
        node: Amounts by Dask's resources.
        fewest: How many nodes there are from the start.
        target: The name of the compute target.
    """
    family = family_of(kind)
    if family == "dask_jobqueue":
        return _for_jobs(kind, dict(options), node, target)
    if family == "dask_kubernetes":
        return _for_pods(dict(options), node, fewest)
    return _for_machines(dict(options), node, fewest) if family == "coiled" else dict(options)


def declared(node: Mapping[str, float]) -> str:
    """Return a node's resources as Dask's command line wants them."""
    return ",".join(f"{name}={amount:.15g}" for name, amount in node.items())


def _for_jobs(kind: Any, options: dict[str, Any], node: Mapping[str, float], target: str) -> dict[str, Any]:
    import dask

    where = f"jobqueue.{options.get('config_name') or kind.job_cls.config_name}"
    processes = int(options.get("processes") or 1)
    cores = int(options.get("cores") or node["cpus"] * processes)
    memory = int(node.get("memory") or _MEMORY_OF_A_PROCESSOR * node["cpus"]) * processes
    folder = (
        home() / "cluster-jobs" / re.sub(r"[^A-Za-z0-9._-]+", "-", target)[:40]
    )  # one not saved is called as its settings
    make_folder(folder)
    usual = {
        "cores": cores,
        "processes": processes,
        "memory": f"{memory}B" if node.get("memory") else dask.config.get(f"{where}.memory", None) or f"{memory}B",
        "log_directory": dask.config.get(f"{where}.log-directory", None) or str(folder),
        "security": True,
        "shared_temp_directory": dask.config.get(f"{where}.shared-temp-directory", None) or str(folder),
        "silence_logs": logging.CRITICAL,  # errors are raised as our own
    }
    scheduler = options.pop("scheduler_options", None) or dask.config.get(f"{where}.scheduler-options", None) or {}
    extra = options.pop("worker_extra_args", None) or dask.config.get(f"{where}.worker-extra-args", None) or []
    if "--resources" not in extra:
        extra = [*extra, "--resources", declared(node)]
    return {
        **usual,
        **options,
        "worker_extra_args": extra,
        "scheduler_options": {"dashboard_address": ":0", **scheduler},
    }


def _for_pods(options: dict[str, Any], node: Mapping[str, float], fewest: int) -> dict[str, Any]:
    if "custom_cluster_spec" in options:
        return {"n_workers": fewest, "quiet": True, **options}
    command = options.pop("worker_command", None) or "dask-worker"
    command = command.split() if isinstance(command, str) else list(command)
    if "--resources" not in command:
        command += ["--nthreads", f"{max(1, node['cpus']):g}", "--resources", declared(node)]
    amounts = {"cpu": f"{node['cpus']:g}"}
    if memory := node.get("memory"):
        amounts["memory"] = f"{memory:.0f}"
    gpus = {"nvidia.com/gpu": f"{node['GPU']:g}"} if node.get("GPU") else {}
    usual = {"n_workers": fewest, "quiet": True, "resources": {"requests": amounts, "limits": {**amounts, **gpus}}}
    return {**usual, **options, "worker_command": command}


def _for_machines(options: dict[str, Any], node: Mapping[str, float], fewest: int) -> dict[str, Any]:
    worker = {"nthreads": int(node["cpus"]), "resources": dict(node), **(options.pop("worker_options", None) or {})}
    usual: dict[str, Any] = {"n_workers": fewest}
    if "worker_vm_types" not in options:
        usual["worker_cpu"] = max(2, int(node["cpus"]))  # Coiled has no machines with less
        if memory := node.get("memory"):
            usual["worker_memory"] = f"{math.ceil(memory / _GIBIBYTE)}GiB"
        if node.get("GPU"):
            usual["worker_gpu"] = int(node["GPU"])
    return {**usual, **options, "worker_options": worker}
