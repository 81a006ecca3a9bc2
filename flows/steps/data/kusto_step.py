"""`KustoStep`: a step that asks a Kusto cluster, and keeps its answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.data_services.kusto_compute import DRIVER, KustoCompute
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Output, StepOptions, Target, Value
from stepwell.flows.steps.drivers import DriverOptions
from stepwell.flows.steps.step import Step


@checked
class KustoStep(Step):
    """A step that sends a query to a Kusto cluster, and writes the rows of its answer to `result.csv` of its output.

    Args:
        name: The step's name.
        compute_target: A `KustoCompute` or its name.
        database_name: The database that is asked.
        query_directory: The folder that holds the file of the query, and no other file.
        output: Where the answer goes: PipelineData, an OutputFileDatasetConfig or a DataReference.
        parameter_dict: Values of the query's parameters, which it declares by `declare query_parameters(...)`.
        allow_reuse: Whether an earlier answer to the same query is used again, though the cluster's data may have changed.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: The folder does not hold one file, or the target is no cluster.
    """

    def __init__(
        self,
        name: str,
        compute_target: Target,
        database_name: str,
        query_directory: str | PurePath,
        output: Output,
        parameter_dict: Mapping[str, Value] | None = None,
        allow_reuse: bool = False,
        **more: Unpack[StepOptions],
    ) -> None:
        if isinstance(compute_target, Compute) and not isinstance(compute_target, KustoCompute):
            raise UserErrorException(
                f"The step {name!r} needs a Kusto cluster, which a {compute_target.type} is not",
                hint="Attach one with `KustoCompute.attach_configuration(kusto_connection_string=...)`.",
            )
        settings: dict[str, Any] = {
            "cluster": getattr(compute_target, "kusto_connection_string", "") or "",
            "database": database_name,
            "output": output,
            **{f"parameter {key}": value for key, value in (parameter_dict or {}).items()},
        }
        super().__init__(
            name=name,
            script=_query_in(name, Path(query_directory)),
            driver=DriverOptions(DRIVER, settings, modules=("azure.kusto.data",), extra="kusto", language="text"),
            outputs=[output],
            compute_target=compute_target,
            source_directory=query_directory,
            allow_reuse=allow_reuse,
            **more,
        )


def _query_in(step: str, folder: Path) -> str:
    found = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    queries = [name for name in found if not name.startswith(".")]
    if len(queries) != 1:
        raise UserErrorException(
            f"The folder of the query of step {step!r} must hold one file",
            {"query_directory": folder, "files": ", ".join(queries) or "none"},
            "Leave the query in it, and nothing else.",
        )
    return queries[0]
