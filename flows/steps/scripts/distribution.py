"""Configurations of several processes as the drivers that start them."""

from __future__ import annotations

from typing import Any

from stepwell.blocks.environments.sections import Section
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import (
    Distribution,
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from stepwell.flows.steps.driver_options import DriverOptions

_MPI = ("openmpi", "mpi", "intelmpi", "mpich")


def driver_of(config: Any) -> DriverOptions | None:
    """Return what starts the processes that a run configuration, or a ScriptRunConfig, asks for; None for one alone."""
    found = getattr(config, "distributed_job_config", None) or _named(getattr(config, "run_config", config))
    return None if found is None else _driver(found)


def _named(config: Any) -> Distribution | None:
    """Return the processes that the communicator of a run configuration asks for, with its sections."""
    communicator, nodes = str(getattr(config, "communicator", "")), getattr(config, "node_count", 1) or 1
    if communicator.lower() in _MPI:
        return MpiConfiguration(config.mpi.process_count_per_node or 1, nodes)
    if communicator.lower() in ("gloo", "nccl"):
        return PyTorchConfiguration(communicator, config.pytorch.process_count or nodes, nodes)
    if communicator.lower() == "parameterserver":
        servers = config.tensorflow.parameter_server_count
        return TensorflowConfiguration(
            config.tensorflow.worker_count or 1, 1 if isinstance(servers, Section) else servers
        )
    return None


def _driver(config: Distribution) -> DriverOptions:
    match config:
        case MpiConfiguration():
            return DriverOptions("mpi", {"nodes": config.node_count, "processes": config.process_count_per_node})
        case PyTorchConfiguration():
            processes = config.process_count or config.node_count
            return DriverOptions("processes", {"kind": "pytorch", "nodes": config.node_count, "workers": processes})
        case TensorflowConfiguration():
            counts = {"workers": config.worker_count, "servers": config.parameter_server_count}
            return DriverOptions("processes", {"kind": "tensorflow", **counts})
    raise UserErrorException(
        "`distributed_job_config` can't be used",
        {"value": repr(config)},
        "Pass an MpiConfiguration, a PyTorchConfiguration or a TensorflowConfiguration.",
    )
