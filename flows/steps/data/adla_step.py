"""`AdlaStep`: a step that runs a U-SQL script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.argument_types import Input, Output, StepOptions, Target, Value
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.ports import access_of, as_input, name_of
from stepwell.flows.steps.step import Step


@checked
class AdlaStep(Step):
    """A step that runs a U-SQL script with DuckDB, where v1 asked the service, which ended in 2024.

    In the script, `@@name@@` is replaced by the path of the input or output of that name, or by the value of the one in
    `params`. Its result is used again when the script, these values, the inputs (by content), DuckDB's version and
    `version` are as before. The SQL that was run is kept among the run's files, as `outputs/usql/<script>.sql`.

    Args:
        script_name: The script's path in the source directory.
        name: The step's name; None: `script_name`.
        inputs: What it reads, as for a PythonScriptStep.
        outputs: What it writes, as for a PythonScriptStep.
        params: Values by name, for `@@name@@` in the script.
        degree_of_parallelism: How many threads it may use; None: as many as there are processors.
        priority: Accepted for v1's sake; not used.
        runtime_version: Accepted for v1's sake; not used.
        compute_target: An AdlaCompute, or any other target; None: `local`.
        source_directory: The folder whose snapshot is the working directory; None: the pipeline's
            `default_source_directory`, else the folder of the file that makes the step, if the script is there, else the
            current directory.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Files and folders of the source directory whose content counts too.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: `script_name` is no text, or an input, output or parameter can't be used.
    """

    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        params: Mapping[str, Value] | None = None,
        degree_of_parallelism: int | PipelineParameter | None = None,
        priority: int | PipelineParameter | None = None,
        runtime_version: str | PipelineParameter | None = None,
        compute_target: Target | None = None,
        source_directory: str | PurePath | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        **more: Unpack[StepOptions],
    ) -> None:
        if not script_name:
            raise UserErrorException("`script_name` must name a script", {"value": "''"}, "Pass its path as text.")
        if isinstance(degree_of_parallelism, int) and degree_of_parallelism < 1:
            title, facts = "`degree_of_parallelism` must be at least 1", {"value": degree_of_parallelism}
            raise UserErrorException(title, facts, "Pass a number of threads.")
        read = list(map(as_input, inputs or ()))
        settings = {
            **_named("inputs", read),
            **_named("outputs", outputs or ()),
            **{f"values.{key}": _plain(key, value) for key, value in (params or {}).items()},
            "degree_of_parallelism": degree_of_parallelism,
        }
        super().__init__(
            script=script_name,
            name=name or script_name,
            compute_target=compute_target,
            inputs=read,
            outputs=outputs,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=hash_paths,
            driver=DriverOptions("usql", settings, modules=("duckdb", "lark", "regex"), extra="usql", language="text"),
            **more,
        )


def _named(kind: str, ports: Sequence[Any]) -> dict[str, Any]:
    for port in ports if kind == "inputs" else ():
        if access_of(port)[0] == "direct":
            title = f"The input {name_of(port)!r} is a table that code reads, and a U-SQL script reads files"
            raise UserErrorException(title, hint="Pass its files, as a DataReference or a FileDataset.")
    return {f"{kind}.{name_of(port)}": port for port in ports}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, PipelineParameter):
        if value.definition.secret:
            title = (
                f"The secret parameter {value.name!r} can't stand in a U-SQL script: the script is kept as it was run"
            )
            raise UserErrorException(title, {"param": name}, "Leave it out; a script needs no secret.")
        return value
    return value if isinstance(value, bool | int | float | str) else str(value)
