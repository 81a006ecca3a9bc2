"""The process that submits what a script hands to its host as a run of its own: its request comes by standard input.

It prints the new run's id and name as its last line, or as that what went wrong.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from typing import Any

from stepwell import CommandStep, Experiment, Pipeline, PythonScriptStep, Workspace
from stepwell.errors import StepwellError
from stepwell.model.definitions import StepDefinition


def submit(request: dict[str, Any]) -> dict[str, Any]:
    """Submit a step in the place of the one that asks, with its environment; return the id and name of the run."""
    own = StepDefinition.from_json(request["step"])
    more: dict[str, Any] = {"source_directory": request["folder"], "compute_target": request["target"]}
    if request["timeout_seconds"]:
        more["timeout_seconds"] = request["timeout_seconds"]
    step = (
        PythonScriptStep(script_name=request["script"], arguments=request["arguments"], **more)
        if request["script"] is not None
        else CommandStep(command=_command(request["command"], request["arguments"]), name="command", **more)
    )
    workspace = Workspace.get(request["workspace"])
    pipeline = Pipeline(workspace, [step], name=request["name"])
    (definition,) = pipeline.definition.steps
    inherited = replace(definition, environment=own.environment, resources=own.resources)
    pipeline.definition = replace(pipeline.definition, steps=(inherited,))
    experiment = Experiment(workspace, request["experiment"] or pipeline.name)
    run = experiment.submit(pipeline, request["tags"], parent_run_id=request["parent"])
    return {"id": run.id, "name": run.name}


def _command(command: str | list[str], arguments: list[str]) -> str | list[str]:
    return " ".join([command, *map(shlex.quote, arguments)]) if isinstance(command, str) else [*command, *arguments]


def main() -> None:
    """Submit what standard input says, and print what came of it."""
    try:
        answer = submit(json.load(sys.stdin))
    except StepwellError as error:
        answer = {"class": type(error).__name__, "title": error.title, "facts": error.facts, "hint": error.hint}
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
