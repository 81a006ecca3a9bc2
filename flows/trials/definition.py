"""What a trial runs: the script of the step that makes it, with its inputs as they were bound and arguments of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.flows.parameters.pipeline_parameter import Value, assign
from stepwell.flows.parameters.values import plain_value
from stepwell.model.definitions import (
    Argument,
    DatasetSource,
    DataSource,
    InputPort,
    Piece,
    PipelineDefinition,
    Source,
    StepDefinition,
)
from stepwell.model.records import StepCall

_DATA = ("data", "dataset")


def trial_step(
    call: StepCall, arguments: Sequence[str], outputs: Sequence[str], seconds: float | None
) -> StepDefinition:
    """Return the step of a trial: `outputs` are those of the step's own that the trial's script writes."""
    own = call.definition
    texts = {parameter.name: call.parameters.get(parameter.name, "") for parameter in own.parameters}
    data = {parameter.name: texts[parameter.name] for parameter in own.parameters if parameter.type in _DATA}
    return replace(
        own,
        id=own.script or "command",
        name=own.script or "command",
        type="PythonScriptStep" if own.script is not None else "CommandStep",
        arguments=_with([_plain(argument, data) for argument in own.arguments], arguments, shell=own.shell),
        inputs=tuple(replace(port, source=_source(port, call)) for port in own.inputs),
        outputs=tuple(
            replace(port, destination=None, register=None, pipeline_output=None)
            for port in own.outputs
            if port.name in outputs
        ),
        parameters=tuple(parameter for parameter in own.parameters if parameter.name not in data),
        params={name: _plain(argument, data) for name, argument in own.params.items()},
        run_after=(),
        allow_reuse=True,
        retries=0,
        timeout_seconds=seconds,
        driver=None,
    )


def trial_pipeline(step: StepDefinition, name: str, workspace: str) -> PipelineDefinition:
    """Return a pipeline of the one step."""
    return PipelineDefinition(name, "", workspace, (step,), step.parameters, step.rules)


def trial_values(step: StepDefinition, call: StepCall) -> dict[str, Value]:
    """Return the values that the step's call has for the parameters of its trials."""
    known = {
        one.name: plain_value(one, call.parameters[one.name]) for one in step.parameters if one.name in call.parameters
    }
    return assign(step.parameters, known)


def defined_steps(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of a run's pipeline as its record has them, as far as somebody has not damaged that."""
    found = facts.get("pipeline", {}).get("steps")
    return [step for step in found if isinstance(step, dict)] if isinstance(found, list) else []


def run_definition(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run of one script or command was asked to run, by v1's names; ports as the variables of their paths."""
    step = next(iter(defined_steps(facts)), {})
    words = ["".join(map(_word, argument)) for argument in step.get("arguments", [])]
    script = step.get("script")
    return {
        "script": script,
        "command": None if script else words,
        "arguments": words if script else [],
        "target": step.get("compute_target"),
    }


def _word(piece: Sequence[str]) -> str:
    kind, value = piece
    if kind == "text":
        return value
    return f"$AZUREML_DATAREFERENCE_{value}" if kind in ("input", "output") else f"${value}"


def _with(own: Sequence[Argument], arguments: Sequence[str], *, shell: bool) -> tuple[Argument, ...]:
    if not shell:
        return (*own, *((Piece("text", argument),) for argument in arguments))
    *before, line = own
    return (*before, (*line, Piece("text", f" {shlex.join(arguments)}")))


def _plain(argument: Argument, data: dict[str, str]) -> Argument:
    """Return an argument without parameters of data, which trials have as inputs."""
    return tuple(
        Piece("text", data[piece.value]) if piece.kind == "parameter" and piece.value in data else piece
        for piece in argument
    )


def _source(port: InputPort, call: StepCall) -> Source:
    """Return where a trial finds an input: what was bound for the step that makes it."""
    if port.name not in call.inputs:
        return port.source
    artifact = call.inputs[port.name]
    if artifact.dataset is not None and not port.reading:
        return artifact.dataset
    if isinstance(port.source, (DataSource, DatasetSource)):
        return port.source
    return DataSource(artifact.datastore, artifact.path)
