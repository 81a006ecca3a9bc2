"""`CommandStep`: a step that runs any program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Argument, CommandOptions, Configuration, Input, Output, Params, Target
from stepwell.flows.steps.scripts.distribution import driver_of
from stepwell.flows.steps.settings import refuse_notebook
from stepwell.flows.steps.step import Step


@checked
class CommandStep(Step):
    """A step that runs a command, with the source directory's snapshot as working directory.

    A list is one `argv`, element by element, no shell. A text is a command line for a shell, where the variables
    `$AZUREML_DATAREFERENCE_<name>` and `$AML_PARAMETER_<name>` hold paths and values: `bash -eo pipefail -c` where there
    is bash, else `sh -ec`, so that the step fails as soon as one of its commands does. `str(port)` and `arg_val`
    (`DatasetOutputConfig:<name>`, `DatasetConsumptionConfig:<name>`) become paths wherever they stand, also in quotes
    and, of list and text alike, as `${…}`. Its result depends on every file of
    the source directory, or with `hash_paths` on these and the files that the command names.

    Args:
        command: The command, a list or a text; a list may hold inputs, outputs and parameters. None: that of
            `runconfig`.
        name: The step's name; None: the first word of the command.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of `runconfig`, else `local`.
        runconfig: A RunConfiguration with environment, target and time limit, or a ScriptRunConfig.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        inputs: What it reads: DataReference, datasets, PipelineData, OutputFileDatasetConfig, or what their `as_…` methods
            return, or `(PipelineParameter, DataPathComputeBinding)`.
        outputs: What it writes: PipelineData, OutputFileDatasetConfig or DataReference.
        params: Values by name, for environment variables `AML_PARAMETER_<name>`;
            or keys of `params.yaml`, which the script reads itself, such as `["train.rate"]`.
        source_directory: The folder whose snapshot is the working directory; None: that of `runconfig`, else the
            pipeline's `default_source_directory`, else the current directory.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        shell: The shell of a text: a name such as `zsh`, which gets the same options as far as it has them, or the words
            before the text, such as `bash -c`; None: bash, else sh, as above.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no command, or an argument, input or output can't be used.
    """

    def __init__(
        self,
        command: str | Sequence[Argument] | None = None,
        name: str | None = None,
        compute_target: Target | None = None,
        runconfig: Configuration | None = None,
        runconfig_pipeline_params: Any = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        params: Params | None = None,
        source_directory: str | PurePath | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        shell: str | None = None,
        **more: Unpack[CommandOptions],
    ) -> None:
        command = command or getattr(runconfig, "command", None)
        if not command:
            raise UserErrorException("A CommandStep needs a command", hint="Pass `command=` as a list or a text.")
        if driver_of(runconfig) is not None:
            raise UserErrorException(
                "Several processes are those of a script, not of a command",
                {"command": str(command)[:200]},
                "Pass `script=` and `arguments=` to the ScriptRunConfig, in place of `command=`.",
            )
        text = isinstance(command, str)
        if shell is not None and not text:
            raise UserErrorException(
                "A command that is a list runs without a shell",
                {"shell": repr(shell)},
                "Pass the command as a text, or leave `shell` out.",
            )
        words = command.split() if isinstance(command, str) else [word for word in command if isinstance(word, str)]
        if len(words) > 1 and PurePath(words[0]).name.startswith("python"):
            refuse_notebook(words[1])
        arguments = [command] if isinstance(command, str) else list(command)
        super().__init__(
            name=name or str(arguments[0]).split()[0],
            arguments=arguments,
            shell=text if shell is None else shell,
            compute_target=compute_target,
            runconfig=runconfig,
            inputs=inputs,
            outputs=outputs,
            params=params,
            source_directory=source_directory or getattr(runconfig, "source_directory", None),
            allow_reuse=allow_reuse,
            version=version,
            **more,
        )
