"""What the steps of a run have set so far: their states, and what their scripts logged for themselves and for the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell.blocks.processes.output import Redact
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.store import Store
from stepwell.model.definitions import PipelineDefinition
from stepwell.model.records import StepRecord
from stepwell.script.events import read_events

KEPT = ("metric", "image", "tag", "untag", "property")
"""The types of events that a record keeps: all that other steps can ask for."""

_STATUS = {
    "done": "Finished",
    "reused": "Finished",
    "running": "Running",
    "retrying": "Running",
    "starting": "Queued",
    "failed": "Failed",
    "cancelled": "Canceled",
    "skipped": "Bypassed",
}


@dataclass(frozen=True)
class StepState:
    """A step of the run: its id, name and status in v1's words, and the events of its script.

    `run_id` is the run that made its result, '' for the one that it is a step of.
    """

    id: str
    name: str
    status: str = "NotStarted"
    step_run_id: str = ""
    events: tuple[Event, ...] = field(default=(), repr=False)
    run_id: str = ""

    def set_for(self, scope: str) -> list[Event]:
        """Return what the script set for itself (`step`) or for the run (`parent`), without the times."""
        kept = (event for event in self.events if event["scope"] == scope and event["type"] in KEPT)
        return [{name: value for name, value in event.items() if name not in ("time", "scope")} for event in kept]


@dataclass(frozen=True)
class RunState:
    """The facts of a run and its steps in order. `unknown`: the steps that have yet to say what they set, in a plan."""

    facts: Mapping[str, Any]
    steps: tuple[StepState, ...] = ()
    unknown: tuple[str, ...] = ()


def live_state(store: Store, run: RunFolder, redact: Redact) -> RunState:
    """Return the state of a run as its folder tells it now."""
    facts, steps = run.facts(), run.steps()
    defined = facts.get("pipeline", {}).get("steps", ())
    names = {step["id"]: step["name"] for step in defined if isinstance(step, dict) and {"id", "name"} <= set(step)}
    return RunState(
        facts,
        tuple(
            StepState(
                step,
                str(names.get(step, step)),
                _STATUS.get(state.get("status", ""), "NotStarted"),
                state.get("step_run_id", ""),
                tuple(_events(store, run, state, redact)),
                state.get("from_run") or "",
            )
            for step, state in steps.items()
        ),
    )


def folder_of(store: Store, run: RunFolder, state: Event) -> Path:
    """Return the folder of a step of the run, by its state in the journal: that of the run that made its result."""
    origin = RunFolder(store.run_folder(state["from_run"])) if state.get("from_run") else run
    return origin.step_folder(state.get("step_run_id", ""))


def _events(store: Store, run: RunFolder, state: Event, redact: Redact) -> Iterable[Event]:
    if not state.get("step_run_id"):
        return ()
    control = folder_of(store, run, state) / "control"
    if not control.exists() and state.get("key"):  # the run that made the result was removed
        record = store.read_record(state["key"])
        return record.metrics if isinstance(record, StepRecord) else ()
    return read_events(control, redact)


class PlannedRun:
    """The state of a run that is only planned: what steps would set whose results would be used again."""

    def __init__(self, pipeline: PipelineDefinition, facts: Callable[[], Mapping[str, Any]]) -> None:
        self._facts = facts
        self._steps = {step.id: StepState(step.id, step.name) for step in pipeline.steps}
        self._unknown: list[str] = []

    def decided(self, step: str, record: StepRecord | None) -> None:
        """Take note of what will happen to a step: the record that will be used again, None if it runs, or may."""
        if record is None:
            self._unknown.append(step)
        else:
            state = StepState(step, self._name(step), "Finished", record.step_run_id, record.metrics, record.run_id)
            self._steps[step] = state

    def ran(self, step: str, step_run_id: str, events: Iterable[Event]) -> None:
        """Take note of what a step has set that ran outside of any run."""
        self._steps[step] = StepState(step, self._name(step), "Finished", step_run_id, tuple(events))

    def _name(self, step: str) -> str:
        return self._steps[step].name if step in self._steps else step  # of an item of a mapped step

    def state(self) -> RunState:
        """Return the state as far as it is decided."""
        return RunState(self._facts(), tuple(self._steps.values()), tuple(self._unknown))
