"""`KustoStep`: a step that asks a Kusto cluster, and keeps its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.data_services.kusto_compute import DRIVER, KustoCompute
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Output, StepOptions, Target, Value
from stepwell.flows.steps.driver_options import DriverOptions
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
        UserErrorException: The folder does not hold one file, its query is empty, a parameter has a name that none can have, no database is
            named, or the target is no cluster.
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
        if not compute_target:
            raise UserErrorException(f"The step {name!r} names no cluster", hint="Pass a KustoCompute, or its name.")
        if not database_name.strip():
            raise UserErrorException(
                f"The step {name!r} names no database", {"database_name": repr(database_name)}, "Pass its name."
            )
        script = _query_in(name, Path(query_directory))
        _check_query(name, Path(query_directory) / script, parameter_dict or {})
        settings: dict[str, Any] = {
            "cluster": getattr(compute_target, "kusto_connection_string", "") or "",
            "database": database_name,
            "output": output,
            **{f"parameter {key}": value for key, value in (parameter_dict or {}).items()},
        }
        super().__init__(
            name=name,
            script=script,
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


def _check_query(step: str, file: Path, parameters: Iterable[str]) -> None:
    """Raise UserErrorException if a file holds no query, or none can have these parameters."""
    try:
        query = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserErrorException(
            f"The query of step {step!r} is no text in UTF-8", {"file": file}, "Save it in that encoding."
        ) from None
    if not any(line.strip() and not line.strip().startswith("//") for line in query.splitlines()):
        raise UserErrorException(f"The query of step {step!r} is empty", {"file": file}, "Write a query into it.")
    for name in parameters:
        if not name.isidentifier():
            raise UserErrorException(
                f"A query can't declare a parameter called {name!r}",
                {"step": step},
                "Use letters, digits and underscores.",
            )
