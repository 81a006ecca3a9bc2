"""`PythonScriptStep`: a step that runs a Python script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Argument, Configuration, Input, Output, Params, StepOptions, Target
from stepwell.flows.steps.scripts.distribution import driver_of
from stepwell.flows.steps.settings import refuse_notebook
from stepwell.flows.steps.step import Step


@checked
class PythonScriptStep(Step):
    """A step that runs a Python script, with its source directory's snapshot as working directory.

    Its result is used again when script, imported local modules, `hash_paths`, arguments, parameters, inputs (by
    content), packages and `version` are as before. With `strict`, reading any other file is an error, not a warning.

    Args:
        script_name: The script's path in the source directory.
        name: The step's name; None: `script_name`.
        arguments: The script's arguments: texts and numbers, parameters, and inputs and outputs, which become paths.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of `runconfig`, else `local`.
        runconfig: A RunConfiguration, or a ScriptRunConfig, with environment, target, time limit and number of processes.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        inputs: What it reads: DataReference, datasets, PipelineData, OutputFileDatasetConfig, or what their `as_…` methods
            return, or `(PipelineParameter, DataPathComputeBinding)`.
        outputs: What it writes: PipelineData, OutputFileDatasetConfig or DataReference.
        params: Values by name, for environment variables `AML_PARAMETER_<name>`;
            or keys of `params.yaml`, which the script reads itself, such as `["train.rate"]`.
        source_directory: The folder whose snapshot is the working directory; None: the pipeline's
            `default_source_directory`, else the folder of the file that makes the step, if the script is there, else
            the current directory.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Files and folders of the source directory whose content counts too, as in Azure ML SDK v1, or patterns
            as in `.gitignore`: `conf/*.json`, and `!conf/local.json` to leave one out again.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: `script_name` is no text, or an argument, input or output can't be used.
    """

    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        arguments: Sequence[Argument] | None = None,
        compute_target: Target | None = None,
        runconfig: Configuration | None = None,
        runconfig_pipeline_params: Any = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        params: Params | None = None,
        source_directory: str | PurePath | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        **more: Unpack[StepOptions],
    ) -> None:
        if not script_name:
            raise UserErrorException("`script_name` must name a script", {"value": "''"}, "Pass its path as text.")
        refuse_notebook(script_name)
        super().__init__(
            script=script_name,
            name=name or script_name,
            arguments=arguments,
            compute_target=compute_target,
            runconfig=runconfig,
            inputs=inputs,
            outputs=outputs,
            params=params,
            source_directory=source_directory,
            allow_reuse=allow_reuse,
            version=version,
            hash_paths=hash_paths,
            driver=driver_of(runconfig),
            **more,
        )
