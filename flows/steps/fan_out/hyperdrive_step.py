"""`HyperDriveStep`: a step that searches for the best hyperparameters of a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Argument, Input, Output, StepOptions, Value
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.fan_out.hyperdrive_config import HyperDriveConfig
from stepwell.flows.steps.ports import original, port_of
from stepwell.flows.steps.step import Step
from stepwell.flows.steps.training_output import TrainingOutput

_VERSION = 1
_SECONDS_TO_END = 3600
"""How much longer than its trials the sweep may take: to stop them, and to copy their files."""


class SweepOptions(StepOptions, total=False):
    """The keyword arguments of `Step` that a `HyperDriveStep` takes beside its own."""

    params: Mapping[str, Value] | None
    hash_paths: Sequence[str | PurePath] | None


@checked
class HyperDriveStep(Step):
    """A step that runs a script with many hyperparameters, each set as a run of its own, and finds the best.

    The sweep itself takes no place of the compute target: its trials do. A failed trial fails the step only if all fail.
    The step's result is used again as a script step's is; if it is not, results of its trials are, each by itself.

    Args:
        name: The step's name.
        hyperdrive_config: What is searched for, and in which script.
        estimator_entry_script_arguments: The script's arguments before its hyperparameters, with inputs and outputs; None:
            those of the configuration's script.
        inputs: What every trial reads.
        outputs: PipelineData with a TrainingOutput: the metrics of all trials, or files of the best one. Others are written
            by each trial's script, and the best trial's is kept.
        metrics_output: PipelineData for the metrics of all trials, as a JSON file.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result, of the trials too.
        **more: Further keyword arguments of `Step`.

    Attributes:
        hyperdrive_config: As the argument.

    Raises:
        UserErrorException: An argument, input or output can't be used.
    """

    def __init__(
        self,
        name: str,
        hyperdrive_config: HyperDriveConfig,
        estimator_entry_script_arguments: Sequence[Argument] | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        metrics_output: Output | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        **more: Unpack[SweepOptions],
    ) -> None:
        self.hyperdrive_config = hyperdrive_config
        config = hyperdrive_config.run_config
        command = config.command if config.has_command else None
        entry = estimator_entry_script_arguments
        arguments = list(entry if entry is not None else config.arguments if command is None else ())
        if command is not None:
            arguments = [command, *arguments] if isinstance(command, str) else [*command, *arguments]
        written = [*(outputs or ()), *([metrics_output] if metrics_output is not None else [])]
        kinds = {port_of(item).name: _kind(item, metrics_output) for item in written}
        settings = {**hyperdrive_config.to_plain(), "outputs": kinds}
        bayesian = settings["sampling"]["name"] == "bayesian"
        for item in written:
            if kinds[port_of(item).name]["kind"] != "Trial" and any(original(item) is one for one in arguments):
                raise UserErrorException(
                    f"No trial writes the output {port_of(item).name!r}: it is made of the best trial, or of all",
                    {"step": name},
                    "Leave it out of the arguments.",
                )
        if more.get("timeout_seconds") is None:  # not the limit of each trial, which is the configuration's
            more["timeout_seconds"] = 60 * hyperdrive_config.max_duration_minutes + _SECONDS_TO_END
        if command is not None:  # whatever it reads
            more["hash_paths"] = ["*"]
        super().__init__(
            name=name,
            script=None if command is not None else config.script,
            arguments=arguments,
            shell=isinstance(command, str),
            runconfig=config,
            inputs=inputs,
            outputs=written,
            source_directory=config.source_directory,
            allow_reuse=allow_reuse,
            version=version,
            driver=DriverOptions(
                "hyperdrive",
                {**settings, **{f"output {port_of(item).name}": original(item) for item in written}},
                modules=("optuna",) if bayesian else (),
                extra="hyperdrive",
                version=_VERSION,
                on_host=True,
            ),
            **more,
        )


def _kind(item: Any, metrics_output: Any) -> dict[str, Any]:
    training = getattr(original(item), "training_output", None)
    if item is metrics_output:
        if isinstance(training, TrainingOutput) and training.type != "Metrics":
            title = "`metrics_output` has the metrics of the trials, and no model"
            raise UserErrorException(title, {"output": port_of(item).name}, "Put it in `outputs`.")
        return {"kind": "Metrics"}
    if not isinstance(training, TrainingOutput):
        return {"kind": "Trial"}
    if training.iteration is not None or training.metric is not None:
        title = "Only AutoML chooses models by an iteration or another metric"
        raise UserErrorException(title, {"output": port_of(item).name}, "Leave `iteration` and `metric` out.")
    return {"kind": training.type, "file": training.model_file or ""}
