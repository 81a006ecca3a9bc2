"""How many processes of a script run together, and by what they find one another, as v1's users say it."""

from __future__ import annotations

from typing import Annotated, Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.hints import Words
from stepwell.errors import UserErrorException


@checked
class MpiConfiguration:
    """The processes of a script that MPI starts, as in Azure ML SDK v1: all on the machine that the step runs on.

    Args:
        process_count_per_node: How many processes a node has.
        node_count: How many nodes are played; MPI's ranks count through all of them.

    Attributes:
        process_count_per_node: As the argument.
        node_count: As the argument.

    Raises:
        UserErrorException: A count is less than 1.
    """

    def __init__(self, process_count_per_node: Any = 1, node_count: Any = 1) -> None:
        self.process_count_per_node = counted("process_count_per_node", process_count_per_node)
        self.node_count = counted("node_count", node_count)


@checked
class PyTorchConfiguration:
    """The processes of a script that `torch.distributed` lets find one another, as in Azure ML SDK v1.

    Each finds `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `NODE_RANK`, `MASTER_ADDR` and `MASTER_PORT` among its variables. All run
    on the machine that the step runs on.

    Args:
        communication_backend: `Nccl` or `Gloo`, for the script to read; kept, not used.
        process_count: How many processes there are in all; None: one for each node.
        node_count: How many nodes are played.

    Attributes:
        communication_backend: As the argument.
        process_count: As the argument.
        node_count: As the argument.

    Raises:
        UserErrorException: A count is less than 1, or the processes are no multiple of the nodes.
    """

    def __init__(
        self, communication_backend: str = "Nccl", process_count: int | None = None, node_count: int = 1
    ) -> None:
        self.communication_backend = communication_backend
        self.node_count = counted("node_count", node_count)
        self.process_count = None if process_count is None else counted("process_count", process_count)
        if self.process_count is not None and self.process_count % self.node_count:
            raise UserErrorException(
                "`process_count` must be a multiple of `node_count`",
                {"process_count": self.process_count, "node_count": self.node_count},
                "Give every node as many processes as the others.",
            )


@checked
class TensorflowConfiguration:
    """The workers and parameter servers of a script, which find one another by `TF_CONFIG`, as in Azure ML SDK v1.

    All run on the machine that the step runs on. The servers end with the last worker.

    Args:
        worker_count: How many workers there are.
        parameter_server_count: How many parameter servers there are.

    Attributes:
        worker_count: As the argument.
        parameter_server_count: As the argument.

    Raises:
        UserErrorException: There is no worker, or a count is no number.
    """

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        self.worker_count = counted("worker_count", worker_count)
        self.parameter_server_count = counted("parameter_server_count", parameter_server_count, lowest=0)


Distribution = Annotated[
    MpiConfiguration | PyTorchConfiguration | TensorflowConfiguration,
    Words("an MpiConfiguration, a PyTorchConfiguration or a TensorflowConfiguration"),
]


def counted(name: str, value: Any, *, lowest: int = 1) -> Any:
    """Return a number of processes, which a pipeline parameter may name; raise UserErrorException if it can't be one."""
    default = getattr(getattr(value, "definition", None), "default", value)
    if isinstance(default, bool) or not isinstance(default, int) or default < lowest:
        raise UserErrorException(
            f"`{name}` must be a whole number of at least {lowest}", {"value": repr(value)}, f"Correct `{name}`."
        )
    return value


# Those of estimators ------------------------------------------------------------------------------------------------


@checked
class Mpi:
    """MPI as the backend of an estimator, as in Azure ML SDK v1.

    Args:
        process_count_per_node: How many processes a node has.

    Attributes:
        process_count_per_node: As the argument.
    """

    def __init__(self, process_count_per_node: int = 1) -> None:
        self.process_count_per_node = counted("process_count_per_node", process_count_per_node)


@checked
class Gloo:
    """Gloo as the backend of an estimator for PyTorch, as in Azure ML SDK v1."""


@checked
class Nccl:
    """NCCL as the backend of an estimator for PyTorch, as in Azure ML SDK v1."""


@checked
class ParameterServer:
    """Parameter servers as the backend of an estimator for TensorFlow, as in Azure ML SDK v1.

    Args:
        worker_count: How many workers there are.
        parameter_server_count: How many parameter servers there are.

    Attributes:
        worker_count: As the argument.
        parameter_server_count: As the argument.
    """

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        self.worker_count = counted("worker_count", worker_count)
        self.parameter_server_count = counted("parameter_server_count", parameter_server_count, lowest=0)


def distribution_of(
    backend: Any, *, nodes: int, processes: int, workers: int = 1, servers: int = 1
) -> MpiConfiguration | PyTorchConfiguration | TensorflowConfiguration | None:
    """Return how the processes of an estimator find one another: by its backend, its word for one, or a configuration."""
    counted("node_count", nodes)
    counted("process_count_per_node", processes)
    match backend:
        case MpiConfiguration() | PyTorchConfiguration() | TensorflowConfiguration():
            return backend
        case Mpi(process_count_per_node=count):
            return MpiConfiguration(count if processes == 1 else processes, nodes)
        case ParameterServer():
            return TensorflowConfiguration(backend.worker_count, backend.parameter_server_count)
        case "ps":
            return TensorflowConfiguration(workers, servers)
        case "mpi":
            return MpiConfiguration(processes, nodes)
        case Gloo() | Nccl() | "gloo" | "nccl":
            name = backend if isinstance(backend, str) else type(backend).__name__
            return PyTorchConfiguration(name.capitalize(), nodes * processes, nodes)
        case None | "":
            if nodes == processes == 1:
                return None
            facts = {"node_count": nodes, "process_count_per_node": processes}
            hint = "Pass `distributed_training=MpiConfiguration()`."
            raise UserErrorException("Several processes of an estimator need a backend", facts, hint)
    raise UserErrorException(
        "There is no such backend of an estimator",
        {"value": repr(backend)},
        "Pass 'mpi', 'ps', 'gloo' or 'nccl', or `distributed_training=` an MpiConfiguration.",
    )
