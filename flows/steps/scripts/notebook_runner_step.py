"""`NotebookRunnerStep`: a step that runs a notebook."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.notebook_run_config import (
    NotebookRunConfig,
    check_notebook,
    check_parameters,
    is_variable,
)
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.argument_types import CommandOptions, Input, Output, Params, Target
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.outputs import PipelineData
from stepwell.flows.steps.ports import is_port, name_of
from stepwell.flows.steps.settings import values_in, with_packages
from stepwell.flows.steps.step import Step

_ENGINE = ("nbclient", "ipykernel")
_READ_AS = {"int": "int", "float": "float", "bool": "bool", "list": "json"}
"""What the text of a pipeline parameter is read as, by its type; others stay texts."""


class NotebookOptions(CommandOptions, total=False):
    """The keyword arguments of a `NotebookRunnerStep` beside its own."""

    source_directory: str | PurePath | None


@checked
class NotebookRunnerStep(Step):
    """A step that runs a notebook, cell by cell, with its source directory's snapshot as working directory.

    Its parameters, the values of `params`, and the paths of its inputs and outputs under their names, are assigned in a cell
    after the one that is tagged `parameters`, else in the first, each with its type. The executed notebook is kept in the
    run's `outputs/`, also if a cell fails, whose traceback is then the step's error. Its result is used again when the
    notebook, the local modules and packages that its cells import, and all else that a script step depends on, are as before.

    Args:
        name: The step's name; None: that of the notebook.
        notebook_run_config: The notebook with its parameters and configuration, as in Azure ML SDK v1; None: `notebook`
            names it.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of the configuration.
        params: Values by name, for the notebook and for environment variables `AML_PARAMETER_<name>`;
            or keys of `params.yaml`, which the script reads itself, such as `["train.rate"]`.
        inputs: What it reads, as of every step.
        outputs: What it writes, as of every step.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        output_notebook_pipeline_data_name: The name of an output that the executed notebook becomes, for other steps too.
        notebook: The notebook's path in the source directory.
        parameters: Values by name: texts, numbers, lists and dictionaries, pipeline parameters, inputs and outputs.
        output_notebook: The name of the executed notebook in `outputs/`; None: that of the notebook.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no notebook, or a parameter has no plain value.
    """

    def __init__(
        self,
        name: str | None = None,
        notebook_run_config: NotebookRunConfig | None = None,
        runconfig_pipeline_params: Any = None,
        compute_target: Target | None = None,
        params: Params | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        output_notebook_pipeline_data_name: str | None = None,
        *,
        notebook: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        output_notebook: str | None = None,
        **more: Unpack[NotebookOptions],
    ) -> None:
        config = notebook_run_config
        notebook = config.notebook if config and not notebook else check_notebook(notebook)
        if config is not None:
            more["source_directory"] = more.get("source_directory") or config.source_directory
        kept = output_notebook or (config.output_notebook if config else None) or posixpath.basename(notebook)
        outputs = list(outputs or ())
        copy = PipelineData(output_notebook_pipeline_data_name) if output_notebook_pipeline_data_name else None
        ports = {name_of(item): item for item in (*(inputs or ()), *outputs)}
        if copy is not None:
            outputs.append(copy)
        values = {**ports, **values_in(params), **(config.parameters if config else {}), **(parameters or {})}
        told = {key: value for key, value in values.items() if not (key in ports and not is_variable(key))}
        check_parameters(told)
        more["environment"] = with_packages(config and config.run_config, more.get("environment"), _ENGINE)
        super().__init__(
            name=name or notebook,
            script=notebook,
            compute_target=compute_target,
            runconfig=config,
            inputs=inputs,
            outputs=outputs,
            params=params,
            allow_reuse=allow_reuse,
            version=version,
            driver=DriverOptions(
                "notebook",
                {"kept": _kept(kept), "copy": copy, "types": _types(told), **_settings(told)},
                modules=_ENGINE,
                extra="notebooks",
                language="notebook",
            ),
            **more,
        )


def _kept(name: str) -> str:
    path = posixpath.normpath(name)
    path = path if path.startswith("outputs/") else f"outputs/{path}"
    if posixpath.isabs(name) or ".." in path.split("/"):
        raise UserErrorException(
            "The executed notebook stands in `outputs/`", {"asked for": name}, "Pass a name, such as executed.ipynb."
        )
    return path


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"value:{name}": value for name, value in values.items() if value is not None}


def _types(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _type_of(name, value) for name, value in values.items()}


def _is_plain(value: Any) -> bool:
    """Return whether a value comes out of JSON as it went in."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, bool, int, float))


def _type_of(name: str, value: Any) -> str:
    """Return the word for what a parameter's text is read as in the driver."""
    if isinstance(value, PipelineParameter):
        definition = value.definition
        if definition.secret:
            return f"secret {value.name}"
        return (
            "text or None" if definition.nullable and definition.type == "str" else _READ_AS.get(definition.type, "str")
        )
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if value is None or isinstance(value, (bool, int, float)):
        return type(value).__name__.removesuffix("Type")
    if isinstance(value, (list, tuple, dict)) and _is_plain(value):
        return "json"
    if is_port(value) or isinstance(value, (str, PurePath)):
        return "str"
    raise UserErrorException(
        f"The parameter {name!r} has no plain value",
        {"value": repr(value)[:200]},
        "Pass a text, a number, a list or dictionary of them, a PipelineParameter, or an input or output of the step.",
    )
