"""Requests about the run that a step is part of: what earlier steps set for it, its steps, its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.files import copy_tree
from stepwell.errors import StepwellError, UserErrorException, printable
from stepwell.flows.step_requests.asking import Answer, Asker
from stepwell.flows.step_requests.run_state import RunState, StepState
from stepwell.model.nofollow import files_below
from stepwell.model.redaction import redacted

_KEPT = {"outputs": "outputs/", "user_logs": "logs/", "control/files": ""}
"""Where a step's folder holds the files of its run, and how their names begin."""

_LONGEST_PROGRESS = 200


class UnknownYet(StepwellError):
    """What a script will ask can't be told before the steps have run that may set it."""


def metrics(asker: Asker, *, step: str | None = None, name: str | None = None) -> Answer:
    """Return the events of metrics and images: those of a step, or those that other steps logged for the run."""
    events = [event for event in _events(asker, step) if event["type"] in ("metric", "image")]
    return Answer({"events": [event for event in events if name in (None, event["name"])]})


def tags(asker: Asker, *, step: str | None = None) -> Answer:
    """Return the tags of a step, or those that the run was submitted with and that other steps set for it."""
    return Answer({"tags": _settings(asker, step, "tag", "tags")})


def properties(asker: Asker, *, step: str | None = None) -> Answer:
    """Return the properties of a step, or those that the run has and that other steps set for it."""
    return Answer({"properties": _settings(asker, step, "property", "properties")})


def children(asker: Asker) -> Answer:
    """Return id, name and status of every step of the run."""
    state = _state(asker)
    return Answer({"steps": [_shown(step) for step in state.steps]}, identity=_identity(asker, state.steps))


def find_step_run(asker: Asker, *, name: str) -> Answer:
    """Return id, name and status of the run's steps of that name, or of the step that has it as its id."""
    found = _named(_state(asker), name)
    return Answer({"steps": [_shown(step) for step in found]}, identity=_identity(asker, found))


def details(asker: Asker) -> Answer:
    """Return what is known of the run: id, number, name, experiment, parameters, tags and properties."""
    facts = _state(asker).facts
    shown = {name: facts.get(name, {}) for name in ("parameters", "tags", "properties")}
    known = {name: facts.get(name) for name in ("id", "number", "name", "experiment", "workspace")}
    return Answer({**known, **shown, "status": "Running"}, identity=redacted(shown, asker.host.redactor.redact))


def status(asker: Asker, *, step: str | None = None) -> Answer:
    """Return the status of a step, in v1's words, or of the run, which is at work as long as anybody can ask."""
    return Answer("Running" if step is None else _one(_state(asker), step).status)


def files(asker: Asker, *, step: str) -> Answer:
    """Provide a folder of the files that a step left in `outputs/` and `logs/`, or uploaded; it is known by its run."""
    found = _one(_state(asker), step)
    assert asker.folder
    target, record = asker.folder() / "files", _folder(asker, found)
    target.mkdir()
    for folder, prefix in _KEPT.items():
        for name in files_below(record, folder):
            place = target / f"{prefix}{name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_tree(record / folder / name, place, below=record)
    return Answer(path=target, identity=[found.id, found.step_run_id, found.status])


def files_again(asker: Asker, *, step: str) -> Answer:
    """Return what identifies the files of a step: its run, which made them, and whether it has ended."""
    found = _one(_state(asker), step)
    return Answer(identity=[found.id, found.step_run_id, found.status])


def progress(asker: Asker, *, words: str) -> Answer:
    """Tell those who follow the run how far the step is."""
    if not asker.rehearses:
        shown = printable(asker.host.redactor.redact(words))[:_LONGEST_PROGRESS]
        asker.host.emit({"step": asker.step, "progress": shown})
    return Answer()


def cancel(asker: Asker) -> Answer:
    """Stop the run, and with it the step that asks."""
    if not asker.rehearses:
        asker.host.stop.stop("cancelled")
    return Answer("CancelRequested")


# ----------------------------------------------------------------------------------------------------------------------


def _state(asker: Asker) -> RunState:
    state = asker.host.run_state()
    if state.unknown:
        raise UnknownYet("The run has not come so far", {"steps": ", ".join(state.unknown)})
    return state


def _folder(asker: Asker, step: StepState) -> Path:
    """Return the folder of a step in the run that made its result; raise UserErrorException if that was removed."""
    host = asker.host
    run = RunFolder(host.store.run_folder(step.run_id)) if step.run_id else host.run
    folder = run.step_folder(step.step_run_id)
    if step.run_id and not folder.exists():
        raise UserErrorException(
            "The files of a step are gone: the run that made its result was removed",
            {"step": step.id, "run": step.run_id},
            "Run the pipeline with `regenerate_outputs=True`, or pass the files on as an output.",
        )
    return folder


def _events(asker: Asker, step: str | None) -> list[dict[str, Any]]:
    """Return what a step set for itself, or what all but the one that asks set for the run."""
    state = _state(asker)
    if step is not None:
        return _one(state, step).set_for("step")
    return [event for other in state.steps if other.id != asker.step for event in other.set_for("parent")]


def _settings(asker: Asker, step: str | None, kind: str, fact: str) -> dict[str, Any]:
    found = {} if step is not None else dict(_state(asker).facts.get(fact, {}))
    for event in _events(asker, step):
        if event["type"] == kind:
            found[event["name"]] = event["value"]
        elif event["type"] == "untag" and kind == "tag":
            found.pop(event["name"], None)
    return found


def _one(state: RunState, step: str) -> StepState:
    found = _named(state, step)
    if not found:
        facts = {"step": step, "steps": ", ".join(other.name for other in state.steps) or "none"}
        raise UserErrorException("The run has no such step", facts, "Correct the name.")
    return found[-1]


def _named(state: RunState, name: str) -> list[StepState]:
    found = [step for step in state.steps if name in (step.id, step.name)]
    return found or [step for step in state.steps if step.step_run_id == name]


def _shown(step: StepState) -> dict[str, str]:
    return {"step": step.id, "name": step.name, "status": step.status, "id": step.step_run_id}


def _identity(asker: Asker, steps: tuple[StepState, ...] | list[StepState]) -> list[list[str]]:
    return [[step.id, step.name, step.status] for step in steps if step.id != asker.step]
