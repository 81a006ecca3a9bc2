"""What became of the trials of a step, read from their runs' folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.drivers.hyperdrive.expressions import argument_text
from stepwell.drivers.hyperdrive.policies import best_of
from stepwell.flows.runs.summary import RunSummary, StepSummary, summarize
from stepwell.flows.trials.definition import defined_steps
from stepwell.script.metrics import metrics_of

SCRIPT = "script"
"""The kind of a trial's run: that of one script."""


@dataclass(frozen=True)
class TrialSummary:
    """A trial: its number from 0, its hyperparameters, its run, how that stands, and the values of the primary metric."""

    number: int
    hyperparameters: Mapping[str, Any]
    run: RunFolder
    label: str
    status: str
    metric: str
    goal: str
    values: tuple[float, ...] = ()
    reused: bool = False
    why: str = ""
    """Why it was stopped, or failed."""

    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def best(self) -> float | None:
        """The best value of the primary metric, None if there is none."""
        return best_of(self.goal, self.values)

    @property
    def hyperparameters_json(self) -> str:
        """The hyperparameters as JSON text, which is how v1 has them."""
        return json.dumps(dict(self.hyperparameters))

    @property
    def happened(self) -> str:
        """`reused`, `finished`, `failed`, `canceled`, or what it is doing."""
        return "reused" if self.reused else self.status.lower()

    def rank(self) -> tuple[bool, float, int]:
        """Return what sorts trials: the best first, those without a value last."""
        best = self.best
        sign = -1 if self.goal == "maximize" else 1
        return (best is None, 0.0 if best is None else sign * best, self.number)


def trials_of(run: RunFolder, step: StepSummary) -> list[TrialSummary]:
    """Return the trials of a step in the order in which they began; of a reused one those of the run that made its result."""
    origin = RunFolder(run.path.parent / step.run_id) if step.run_id else run
    found: dict[int, TrialSummary] = {}
    for event in origin.journal():
        if event.get("step") == step.id and "trial" in event:
            trial = _trial(RunFolder(run.path.parent / event["trial"]))
            if trial is not None:
                found[trial.number] = trial  # of several attempts, the last
    return [found[number] for number in sorted(found)]


def sweeps_of(run: RunFolder, summary: RunSummary) -> dict[str, list[TrialSummary]]:
    """Return the trials of each step of a run that has made any, by the step's id."""
    makers = {str(step.get("id")) for step in defined_steps(summary.facts) if _on_host(step.get("driver"))}
    makers |= {event["step"] for event in run.journal() if "trial" in event and "step" in event}
    found = {step.id: trials_of(run, step) for step in summary.steps if step.id in makers}
    return {step: trials for step, trials in found.items() if trials}


def _on_host(driver: Any) -> bool:
    return isinstance(driver, dict) and driver.get("on_host") is True


def values_of(events: Iterable[Event], metric: str) -> list[float]:
    """Return the numbers that were logged under a name, in their order."""
    found = metrics_of(
        [{**event, "scope": "step"} for event in events if event["type"] == "metric" and event["name"] == metric]
    ).get(metric, [])
    values = found if isinstance(found, list) else [found]
    return [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]


def shown(trials: Iterable[TrialSummary]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of trials, the best first."""
    ranked = sorted(trials, key=TrialSummary.rank)
    names = list(dict.fromkeys(name for trial in ranked for name in trial.hyperparameters))
    metric = next((trial.metric for trial in ranked), "")
    rows = [
        [
            str(trial.number),
            *(_short(trial.hyperparameters.get(name, "")) for name in names),
            "" if trial.best is None else f"{trial.best:.6g}",
            trial.happened,
            trial.label,
            trial.why.splitlines()[0] if trial.why else "",
        ]
        for trial in ranked
    ]
    return ["trial", *names, metric, "state", "run", "why"], rows


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else argument_text(value)


def _trial(run: RunFolder) -> TrialSummary | None:
    summary = summarize(run)
    facts = summary.facts.get("trial")
    if not isinstance(facts, dict) or not isinstance(facts.get("hyperparameters"), dict):
        return None
    if not isinstance(facts.get("number"), int):  # somebody has edited it
        return None
    step = next(iter(summary.steps), None)
    events = step.events if step else ()
    metric = str(facts.get("primary_metric", ""))
    return TrialSummary(
        number=facts["number"],
        hyperparameters=facts["hyperparameters"],
        run=run,
        label=summary.label,
        status=summary.status,
        metric=metric,
        goal=str(facts.get("goal", "maximize")),
        values=tuple(values_of(events, metric)),
        reused=step is not None and step.status == "reused",
        why=str(facts.get("stopped", "")) or (step.error if step else "") or summary.problem,
        metrics=metrics_of(events, "step") | metrics_of(summary.events, "parent"),
    )
