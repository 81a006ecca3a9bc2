"""Requests to run a script or command as a run of its own, which belongs to the run of the step that asks."""

from __future__ import annotations

import contextvars
from dataclasses import replace
from typing import Any
from uuid import UUID

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker, Sent


def submit(
    asker: Asker,
    sent: Sent,
    *,
    script: str | None = None,
    command: str | list[str] | None = None,
    arguments: list[str] | None = None,
    target: str | None = None,
    tags: dict[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> Answer:
    """Submit what the folder holds, in the environment of the step, on its target unless another is named."""
    if (script is None) == (command is None):
        raise UserErrorException("A child run needs a script or a command", hint="Pass exactly one of them.")
    if asker.rehearses:
        raise UserErrorException("A step that is only repeated submits no runs", hint="Run the pipeline instead.")
    # None of the flow of this run: the child is one of its own.
    return contextvars.Context().run(_submit, asker, sent, script, command, arguments, target, tags, timeout_seconds)


def _submit(
    asker: Asker,
    sent: Sent,
    script: str | None,
    command: str | list[str] | None,
    arguments: list[str] | None,
    target: str | None,
    tags: dict[str, str] | None,
    timeout_seconds: float | None,
) -> Answer:
    from stepwell import CommandStep, Experiment, Pipeline, PythonScriptStep

    assert asker.call
    host, own = asker.host, asker.call.definition
    more: dict[str, Any] = {"source_directory": sent.path, "compute_target": target or own.compute_target}
    if timeout_seconds:
        more["timeout_seconds"] = timeout_seconds
    step = (
        PythonScriptStep(script_name=script, arguments=arguments or [], **more)
        if script is not None
        else CommandStep(command=command, arguments=arguments or [], name="command", **more)
    )
    name = f"{host.run.facts().get('pipeline', {}).get('name') or 'run'}-{own.name}"
    pipeline = Pipeline(host.workspace, [step], name="".join(c if c.isalnum() or c in "-_ " else "_" for c in name))
    (definition,) = pipeline.definition.steps
    inherited = replace(definition, environment=own.environment, resources=own.resources)
    pipeline.definition = replace(pipeline.definition, steps=(inherited,))
    experiment = Experiment(host.workspace, str(host.run.facts().get("experiment") or pipeline.name))
    run = experiment.submit(pipeline, tags, parent_run_id=host.run.run_id)
    return Answer({"id": run.id, "name": run.name})


def child(asker: Asker, *, id: str) -> Answer:
    """Return what has become of a run that a step of this run has submitted."""
    from stepwell import PipelineRun

    try:
        run_id = str(UUID(id))
    except ValueError:
        run_id = ""
    host = asker.host
    folder = RunFolder(host.store.run_folder(run_id or "none"))
    if not run_id or folder.facts().get("parent_run_id") != host.run.run_id:
        raise ExperimentExecutionException("This run has no such child", {"run": id[:80]}, "Ask for one that it has.")
    run = PipelineRun.get(host.workspace, run_id)
    summary = run.summary()
    steps = list(run.get_steps())
    return Answer(
        {
            "status": run.get_status(),
            "error": next((step.error for step in summary.steps if step.error), summary.problem),
            "events": [
                event for step in summary.steps for event in step.events if event["type"] in ("metric", "image")
            ],
            "tags": run.tags,
            "output": "".join(step.get_job_log() for step in steps),
        }
    )
