"""The trials of one step, while it runs: each is a flow run in a thread of this process, so that they share its clusters."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from prefect.context import ContextModel, SettingsContext

from stepwell.blocks.server.documents import create_artifact, ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ExperimentExecutionException, StepwellError
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.runs.cancel import ask_to_cancel
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import execute, register
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.flows.runs.summary import FINAL, StepSummary
from stepwell.flows.step_requests.run_state import StepState, live_state
from stepwell.flows.trials.definition import trial_pipeline, trial_step, trial_values
from stepwell.flows.trials.summary import SCRIPT, shown, trials_of, values_of
from stepwell.model.names import joined_name
from stepwell.model.records import StepCall, StepRecord
from stepwell.script.events import EVENTS
from stepwell.script.metrics import encoded, metrics_of

_SECONDS_TO_END = 60.0


@dataclass
class _Trial:
    """A trial at work. `told`: its end was told to the step; `mark`: how its files stood when it was looked at last."""

    run: RunFolder
    metric: str
    thread: threading.Thread | None = None
    problem: str = ""
    told: bool = False
    mark: tuple[object, ...] = ()
    stopped: str = field(default="")


class Trials:
    """The trials that a step has made.

    Args:
        context: The run that the step is part of.
        call: The step.
    """

    def __init__(self, context: RunContext, call: StepCall) -> None:
        self._context, self._call = context, call
        self._outside = _without_run(copy_context())
        self._trials: dict[str, _Trial] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def slots(self) -> int:
        """How many trials the compute target has room for at once."""
        definition = self._call.definition
        compute = self._context.compute(definition.compute_target)
        capacity, demand = compute.capacity(), compute.demand(definition)
        return max(1, min(int(capacity[what] / amount) for what, amount in demand.items() if amount > 0))

    def submit(
        self, arguments: Sequence[str], about: Mapping[str, Any], outputs: Sequence[str], seconds: float | None
    ) -> str:
        """Start a trial, and return its run's id."""
        step = trial_step(self._call, arguments, outputs, seconds)
        return self._outside.copy().run(self._submit, step, arguments, dict(about))

    def look(self) -> dict[str, dict[str, Any]]:
        """Return how the trials stand that have come farther since the last look."""
        found = {}
        for trial in list(self._trials.values()):
            ended = trial.thread is None or not trial.thread.is_alive()
            mark = (ended, *_stands(trial.run))
            if not trial.told and mark != trial.mark:
                trial.mark = mark
                found[trial.run.run_id] = facts = self._facts(trial, ended=ended)
                trial.told = facts["status"] in FINAL
        return found

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return all metrics of each trial by its run's id."""
        found = {}
        for run_id, trial in self._trials.items():
            step = self._step(trial)
            events = step.events if step else ()
            found[run_id] = encoded(metrics_of(events, "step") | metrics_of(events, "parent"))
        return found

    def cancel(self, run_id: str, why: str) -> None:
        """Stop a trial within a second; `why` is kept with its run."""
        trial = self._trial(run_id)
        trial.stopped = why
        facts = trial.run.facts()
        trial.run.describe({"trial": {**facts.get("trial", {}), "stopped": why}})
        ask_to_cancel(trial.run)

    def step_of(self, run_id: str) -> tuple[RunFolder, StepState]:
        """Return the run of a trial and its step; raise ExperimentExecutionException if there is none."""
        trial = self._trial(run_id)
        step = self._step(trial)
        if step is None:
            raise ExperimentExecutionException("The trial has not begun", {"run": run_id}, "Ask when it has ended.")
        return trial.run, step

    def record_of(self, run_id: str) -> StepRecord | None:
        """Return the record of a trial that has ended well."""
        return self._record(self._trial(run_id))

    def seen(self) -> set[str]:
        """Return what the trials were seen to read and to ask, though it was not declared."""
        records = filter(None, map(self._record, self._trials.values()))
        return {name for record in records for name in self._context.store.observed(record.fingerprint)}

    def close(self) -> None:
        """Stop the trials that still run, and wait for their ends."""
        with self._lock:
            self._closed = True
            living = [trial for trial in self._trials.values() if trial.thread and trial.thread.is_alive()]
        for trial in living:
            ask_to_cancel(trial.run)
        for trial in living:
            assert trial.thread is not None
            trial.thread.join(_SECONDS_TO_END)
        with suppress(Exception):  # what is shown in the UI decides nothing
            self._outside.copy().run(self._show)

    def _show(self) -> None:
        """Put a table of the trials on the page of the run that the step is part of, with links to their own pages."""
        step = StepSummary(self._call.definition.id, "done")
        trials = trials_of(self._context.run, step)
        head, rows = shown(trials)
        pages = {trial.label: ui_url(f"/runs/flow-run/{trial.run.run_id}") for trial in trials}
        table = [
            {name: f"[{text}]({pages[text]})" if name == "run" else text for name, text in zip(head, row, strict=True)}
            for row in rows
        ]
        facts = self._context.run.facts()
        pipeline = str(facts.get("pipeline", {}).get("name") or facts.get("name") or "run")
        key = joined_name("trials", self._context.workspace.name, pipeline, step.id)
        words = f"Trials of {step.id}, the best first"
        if table:
            create_artifact("table", key, words, json.dumps(table), self._context.run.run_id)

    # A trial --------------------------------------------------------------------------------------------------------

    def _submit(self, step: Any, arguments: Sequence[str], about: dict[str, Any]) -> str:
        facts = self._context.run.facts()
        name = f"{facts.get('pipeline', {}).get('name') or facts.get('name') or 'run'}-{self._call.definition.name}"
        definition = trial_pipeline(step, name, self._context.workspace.name)
        pipeline = PipelineFlow.of(definition, self._context.workspace)
        values = trial_values(step, self._call)
        known = {name: facts[name] for name in ("properties",) if name in facts}
        run = register(
            pipeline,
            str(facts.get("experiment") or name),
            values,
            {"sweep": self._context.run.label},
            RunOptions(verify=facts.get("verify", False), known={**known, "snapshots": self._context.snapshots()}),
        )
        made_by = {"step": self._call.definition.id, "arguments": list(arguments), **about}
        run.describe({"kind": SCRIPT, "parent_run_id": self._context.run.run_id, "trial": made_by})
        trial = _Trial(run, str(about.get("primary_metric", "")))
        with self._lock:
            self._trials[run.run_id] = trial
            if self._closed:
                ask_to_cancel(run)
        self._context.emit({"step": self._call.definition.id, "trial": run.run_id})
        options = RunOptions(regenerate=self._context.regenerate)
        trial.thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_execute, trial, pipeline, values, options),
            name=f"stepwell-trial-{about.get('number', '')}",
            daemon=True,
        )
        trial.thread.start()
        return run.run_id

    def _facts(self, trial: _Trial, *, ended: bool) -> dict[str, Any]:
        status, step = trial.run.status(), self._step(trial)
        told = str(status.get("status", "NotStarted"))
        if ended and told not in FINAL:
            told = "Failed"
        errors = [str(one["error"]) for one in trial.run.steps().values() if one.get("error")]
        events = step.events if step else ()
        return {
            "status": told,
            "values": encoded(values_of(events, trial.metric)),
            "error": next(iter(errors), "") or str(status.get("problem", "")) or trial.problem,
            "reused": bool(step and step.run_id),
        }

    def _trial(self, run_id: str) -> _Trial:
        if run_id not in self._trials:
            raise ExperimentExecutionException("The step has no such trial", {"run": run_id[:80]}, "Ask for its own.")
        return self._trials[run_id]

    def _step(self, trial: _Trial) -> StepState | None:
        return next(iter(live_state(self._context.store, trial.run, self._context.redactor.redact).steps), None)

    def _record(self, trial: _Trial) -> StepRecord | None:
        state = next(iter(trial.run.steps().values()), {})
        record = self._context.store.read_record(str(state["key"])) if state.get("key") else None
        return record if isinstance(record, StepRecord) else None


def _stands(run: RunFolder) -> Iterator[tuple[int, int]]:
    """Yield size and time of the files to which a run adds what happens and what its script logs."""
    for path in (run.path / "journal.jsonl", *run.path.glob(f"steps/*/control/{EVENTS}")):
        with suppress(OSError):
            status = path.stat()
            yield status.st_size, status.st_mtime_ns


def _execute(trial: _Trial, pipeline: PipelineFlow, values: Mapping[str, Any], options: RunOptions) -> None:
    try:
        execute(pipeline, trial.run, values, options)
    except StepwellError as error:
        trial.problem = error.message
    except BaseException as error:  # noqa: BLE001  (nobody else would learn of it)
        trial.problem = f"{type(error).__name__}: {error}"


def _without_run(context: Context) -> Context:
    """Return the context without the flow and task that run in it: what begins in it belongs to neither."""
    context.run(lambda: [variable.set(None) for variable in _of_runs(context)])
    return context


def _of_runs(context: Context) -> Iterator[contextvars.ContextVar[Any]]:
    for variable, value in list(context.items()):
        if isinstance(value, ContextModel) and not isinstance(value, SettingsContext):
            yield variable
