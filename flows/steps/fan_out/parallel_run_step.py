"""`ParallelRunStep`: a step that runs a script's `run` over mini-batches of its inputs, in several processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.references import DataPathComputeBinding
from stepwell.drivers.parallel_run.settings import APPEND_ROW, EARLIER, EARLIER_OUTPUT, KEPT
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.argument_types import Argument, Input, Output, StepOptions
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.fan_out.parallel_run_config import ParallelRunConfig
from stepwell.flows.steps.ports import original, port_of
from stepwell.flows.steps.step import Producers, Step
from stepwell.model.definitions import EarlierSource, InputPort, OutputPort, Piece, StepDefinition

_VERSION = 2
_HINTS = ("node_count", "process_count_per_node", "logging_level")


@checked
class ParallelRunStep(Step):
    """A step that runs `run(mini_batch)` of a script over its inputs, in worker processes.

    Each process runs `init()` once. A mini-batch is a list of paths, or a DataFrame of a table's rows. What `run` returns, a
    list, an array or a DataFrame, has a row for each item that it handled; the others count as failed.

    Args:
        name: The step's name.
        parallel_run_config: How it splits its inputs, which script it runs, and how many items may fail.
        inputs: What is split: datasets, or what other steps write; all files, or all tables.
        output: PipelineData or OutputFileDatasetConfig, where `append_row` puts its file.
        side_inputs: What each worker process reads as a whole.
        arguments: The script's arguments: texts and numbers, parameters, and inputs and outputs, which become paths.
        allow_reuse: Whether an earlier result may be used again.
        reuse_mini_batches: Whether of `append_row` only mini-batches with new or changed files run, and the rows of the others
            are used again. Not if the script writes files of its own or logs to its run, or gets what is split as a whole, too.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no input, no output for `append_row`, or a value can't be used.
    """

    def __init__(
        self,
        name: str,
        parallel_run_config: ParallelRunConfig,
        inputs: Sequence[Input] | Input,
        output: Output | None = None,
        side_inputs: Sequence[Input] | None = None,
        arguments: Sequence[Argument] | None = None,
        allow_reuse: bool = True,
        reuse_mini_batches: bool = True,
        **more: Unpack[StepOptions],
    ) -> None:
        config = parallel_run_config
        split: list[Any] = list(inputs) if isinstance(inputs, (list, tuple)) and not _is_pair(inputs) else [inputs]
        if not split:
            raise UserErrorException(f"The step {name!r} has nothing to split", hint="Pass `inputs`.")
        if output is None and config.settings["output_action"] == APPEND_ROW:
            raise UserErrorException(
                f"The step {name!r} appends rows, and has no output to put them",
                hint="Pass `output`, or `output_action='summary_only'`.",
            )
        script, folder = config.script_and_folder
        told = config.settings
        hints = {name: told[name] for name in _HINTS if name in told and not isinstance(told[name], PipelineParameter)}
        own: StepOptions = {
            "environment": config.environment,
            "environment_variables": config.environment_variables,
            **more,
        }
        super().__init__(
            name=name,
            script=script,
            arguments=arguments,
            compute_target=config.compute_target,
            inputs=[*split, *(side_inputs or ())],
            outputs=[] if output is None else [output],
            source_directory=folder,
            allow_reuse=allow_reuse,
            driver=DriverOptions(
                "parallel_run",
                {name: value for name, value in told.items() if name not in hints},
                provides=("azureml_user",),
                version=_VERSION,
                hints=hints,
            ),
            **own,
        )
        self._split = [self._input_names[id(item)] for item in self.inputs[: len(split)]]
        self._appends = config.settings["output_action"] == APPEND_ROW
        whole = {id(original(item)) for item in side_inputs or ()}
        named = {piece.value for argument in self._pieces for piece in argument if piece.kind == "input"}
        read_whole = named.intersection(self._split) or any(id(original(item)) in whole for item in split)
        self._reuse_mini_batches = reuse_mini_batches and not read_whole
        self._output = "" if output is None else port_of(self.outputs[0]).name

    def define(
        self, *, step_id: str, producers: Producers, ids: Mapping[Step, str], source_directory: Path | None = None
    ) -> StepDefinition:
        """Return the step as plain values, with what an earlier execution left as inputs of its own.

        Args:
            step_id: The step's id in its pipeline.
            producers: The step's id and the output's name for each object that a step of the pipeline writes.
            ids: The ids of the pipeline's steps.
            source_directory: The source directory of a step that names none.

        Returns:
            The definition.
        """
        found = super().define(step_id=step_id, producers=producers, ids=ids, source_directory=source_directory)
        assert found.driver is not None
        told = {"inputs": json.dumps(self._split), "output": self._output, "keeps": "yes" if self._keeps else ""}
        settings = {**found.driver.settings, **{name: (Piece("text", text),) for name, text in told.items() if text}}
        return replace(
            found,
            driver=replace(found.driver, settings=settings),
            inputs=(*found.inputs, *(self._earlier_ports() if self._keeps else ())),
            outputs=(*found.outputs, *([OutputPort(KEPT, _variable(KEPT), mode="upload")] if self._keeps else [])),
        )

    @property
    def _keeps(self) -> bool:
        """Whether what mini-batches return is kept, and used again by later executions."""
        return self._appends and self._reuse_mini_batches and bool(self._settings["allow_reuse"])

    def _earlier_ports(self) -> Iterator[InputPort]:
        for name, written in ((EARLIER, KEPT), (EARLIER_OUTPUT, self._output)):
            yield InputPort(name, EarlierSource(written, tuple(self._split)), _variable(name))


def _variable(name: str) -> str:
    """Return the name of the environment variable of a port that is none of the user's."""
    return f"STEPWELL_{re.sub(r'[^a-z]', '_', name).upper()}"


def _is_pair(item: Any) -> bool:
    """Return whether the item is one input: a parameter and how it gets to the step."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], DataPathComputeBinding)
