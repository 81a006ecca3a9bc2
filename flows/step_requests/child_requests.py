"""Requests to run a script or command as a run of its own, which belongs to the run of the step that asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from stepwell import errors
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ComputeTargetException, ExperimentExecutionException, StepwellError, UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker, Sent
from stepwell.flows.step_requests.run_state import folder_of, live_state
from stepwell.model.nofollow import open_file

_PROGRAM = "stepwell.deployments.serve.child_submission"
"""A process of its own submits: the flow of this run has no part in that."""

_OUTPUT_BYTES = 1 << 20


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
    """Submit what the folder holds, in the environment of the step, on its target unless another is named.

    A step in a container can name no other: what keeps it in there would not keep its child.
    """
    if (script is None) == (command is None):
        raise UserErrorException("A child run needs a script or a command", hint="Pass exactly one of them.")
    if asker.rehearses:
        raise UserErrorException("A step that is only repeated submits no runs", hint="Run the pipeline instead.")
    assert asker.call
    host, own, facts = asker.host, asker.call.definition, asker.host.run.facts()
    if target not in (None, "", own.compute_target) and host.compute(own.compute_target).uses_images:
        raise ComputeTargetException(
            "A step in a container can't choose where a run of its own runs, which is in such a container, too",
            {"asked for": target, "target of the step": own.compute_target},
            "Leave `compute_target` out, or submit the run where the pipeline is submitted.",
        )
    name = f"{facts.get('pipeline', {}).get('name') or 'run'}-{own.name}"
    request = {
        "step": own.to_json(),
        "folder": str(sent.path),
        "script": script,
        "command": command,
        "arguments": arguments or [],
        "target": target or own.compute_target,
        "tags": tags or {},
        "timeout_seconds": timeout_seconds,
        "workspace": host.workspace.name,
        "experiment": facts.get("experiment"),
        "parent": host.run.run_id,
        "name": "".join(mark if mark.isalnum() or mark in "-_ " else "_" for mark in name),
    }
    done = subprocess.run(
        [sys.executable, "-m", _PROGRAM], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        title = "A child run could not be submitted"
        raise ExperimentExecutionException(title, {"reason": reason[0]}, "Submit it where the pipeline is.") from None
    if "title" in answer:
        kind = getattr(errors, answer["class"], StepwellError)
        raise kind(answer["title"], answer["facts"], answer["hint"])
    return Answer(answer)


def child(asker: Asker, *, id: str) -> Answer:
    """Return what has become of a run that a step of this run has submitted."""
    host = asker.host
    try:
        run = RunFolder(host.store.run_folder(str(UUID(id))))
    except ValueError:
        run = RunFolder(host.store.run_folder("none"))
    if run.facts().get("parent_run_id") != host.run.run_id:
        raise ExperimentExecutionException("This run has no such child", {"run": id[:80]}, "Ask for one that it has.")
    state = live_state(host.store, run, host.redactor.redact)
    told = run.status()
    status = told.get("status", "NotStarted")
    steps = run.steps()
    failed = next((str(step["error"]) for step in steps.values() if step.get("error")), "")
    gone = status == "Running" and not run.is_alive()
    events = [event for step in state.steps for event in step.events if event["type"] in ("metric", "image")]
    tags = dict(state.facts.get("tags", {}))
    for step in state.steps:
        tags |= {event["name"]: event["value"] for event in step.set_for("parent") if event["type"] == "tag"}
    return Answer(
        {
            "status": "Failed" if gone else status,
            "error": failed or str(told.get("problem", "")),
            "events": events,
            "tags": tags,
            "output": "".join(
                _output(folder_of(host.store, run, one)) for one in steps.values() if one.get("step_run_id")
            ),
        }
    )


def _output(folder: Path) -> str:
    try:
        with open_file(folder, "logs/70_driver_log.txt") as stream:
            return stream.read(_OUTPUT_BYTES).decode(errors="replace")
    except OSError:
        return ""
