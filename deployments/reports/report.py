"""The text that ends a run or a repetition: what ran, what was reused and why, metrics, where pictures and the UI are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from stepwell.blocks.server.documents import ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.conditions import is_series
from stepwell.deployments.reports.metric_texts import curve, table_rows, value_of
from stepwell.errors import printable
from stepwell.flows.engine.reproduction import Comparison
from stepwell.flows.runs.artifacts import all_images
from stepwell.flows.runs.comparing.run_facts import all_metrics, note_of, tags_of
from stepwell.flows.runs.comparing.run_lines import RunLine
from stepwell.flows.runs.summary import RunSummary, StepSummary, summarize
from stepwell.flows.trials.summary import TrialSummary, shown, sweeps_of

_HIDDEN = ("address", "container", "GPU's id", "guard")
"""What is recorded of the place where a step ran, and not printed."""
_WIDEST = 60
"""How wide the column of steps is at most: a longer name moves what follows it in its own line."""


def report(
    run: RunFolder, *, guards: bool = False, told: Collection[str] = (), summary: RunSummary | None = None
) -> str:
    """Return a few lines that a newcomer understands; `guards`: with all that `stepwell show` tells beyond these.

    Warnings that were `told` are left out. The `summary` need not be made if there is one.
    """
    summary = summary or summarize(run)
    pictures = [image.path for image in all_images(run, summary)]
    lines = [f"{summary.label}  {summary.headline}"]
    lines += [f"  {line}" for line in summary.problem.splitlines()]
    lines += steps_lines(summary.steps)
    lines += _trials(run, summary)
    lines += _datasets(summary) + _places(summary) + (_guards(summary) if guards else [])
    lines += [f"Warning: {warning}" for warning in summary.warnings if warning not in told]
    lines += [*_differing(summary), *_undeclared(summary)] if guards else []
    lines += _metrics(summary, whole=guards)
    lines += _marks(summary)
    lines += [f"Picture: {path}" for path in pictures]
    if summary.elsewhere:
        lines.append(f"Machine: {summary.machine}")
    lines.append(f"Run: {summary.run_id}  UI: {ui_url(f'/runs/flow-run/{summary.run_id}')}")
    return "\n".join(map(printable, lines))


def steps_lines(steps: Sequence[StepSummary]) -> list[str]:
    """Return a line for each step and more for its other reasons and its error; what stands in one column below each other."""
    names = {step.id: printable(step.id) for step in steps}
    width = min(max(map(cell_len, names.values()), default=0), _WIDEST)
    lines = []
    for step in steps:
        seconds = f"{step.seconds:.1f} s" if step.seconds is not None and step.status == "done" else ""
        told = f"{step.happened:<9} {seconds:>7}"
        lines.append(f"  {_filled(names[step.id], width)}  {told}  {step.why[0] if step.why else ''}".rstrip())
        lines += [f"  {'':<{width}}  {'':<{len(told)}}  {reason}" for reason in step.why[1:]]
        lines += [f"      {line}" for line in step.error.splitlines()]
    return lines


def _trials(run: RunFolder, summary: RunSummary) -> list[str]:
    """Return a table of the trials of each step that has made any, the best first."""
    lines = []
    for step, trials in sweeps_of(run, summary).items():
        head, rows = shown(trials)
        lines += [f"Trials of {step}:", *(f"  {line}" for line in columns([head, *rows]))]
    return lines


def _datasets(summary: RunSummary) -> list[str]:
    """Return which datasets steps read, and which their outputs became."""
    lines = []
    for step in summary.steps:
        read = [f"{dataset_name(facts)} as {name}" for name, facts in step.datasets.items() if dataset_name(facts)]
        made = [f"{dataset_name(facts)} of {name}" for name, facts in step.registered.items()]
        lines += [f"Read by {step.id}: {', '.join(read)}"] if read else []
        lines += [f"Registered by {step.id}: {', '.join(made)}"] if made else []
    return lines


def dataset_name(facts: Mapping[str, Any]) -> str:
    """Return the name and version under which a dataset is registered; '' if it is not."""
    return f"{facts['name']}, version {facts.get('version')}" if facts.get("name") else ""


def _places(summary: RunSummary) -> list[str]:
    """Return where steps ran, those that ran at the same place in one line."""
    places: dict[str, list[str]] = {}
    for step in summary.steps:
        if step.ran_on:
            place = ", ".join(f"{name} {value}" for name, value in step.ran_on.items() if name not in _HIDDEN)
            places.setdefault(place, []).append(step.id)
    return [f"Ran on {place}: {', '.join(steps)}" for place, steps in places.items() if place]


def _guards(summary: RunSummary) -> list[str]:
    """Return what held the processes of steps together, so that none outlived its step."""
    guards: dict[str, list[str]] = {}
    for step in summary.steps:
        if step.ran_on.get("guard"):
            guards.setdefault(step.ran_on["guard"], []).append(step.id)
    return [f"Processes held by {guard}: {', '.join(steps)}" for guard, steps in guards.items()]


def _differing(summary: RunSummary) -> list[str]:
    """Return the installed packages that stood in for others, steps with the same ones together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for step in summary.steps:
        if step.differs:
            found.setdefault(step.differs, []).append(step.id)
    lines = []
    for differs, steps in found.items():
        lines += [f"Installed packages of {', '.join(steps)}:", *(f"  {text}" for text in differs)]
    return lines


def _undeclared(summary: RunSummary) -> list[str]:
    """Return what steps read undeclared, a line for each file."""
    lines = []
    for step in summary.steps:
        more = step.undeclared_count - len(step.undeclared)
        if step.undeclared:
            lines.append(f"Read by {step.id}, and not declared: {step.undeclared_count}")
            lines += [f"  {path}" for path in step.undeclared] + ([f"  and {more} more"] if more > 0 else [])
    return lines


def _metrics(summary: RunSummary, *, whole: bool) -> list[str]:
    """Return a line for each metric that is a number, text or series; `whole`: with curves, and tables."""
    lines = []
    for metric, value in all_metrics(summary).items():
        whose = f"{metric.step}: " if metric.step else ""
        shown, table = value_of(value), table_rows(value) if whole else []
        if shown:
            line = curve(value) if whole and is_series(value) else ""
            lines.append(f"  {whose}{metric.name} = {shown}" + (f"  {line}" if line else ""))
        elif table:
            lines += [f"  {whose}{metric.name}:", *(f"    {line}" for line in columns(table))]
    return (["Metrics:"] if lines else []) + lines


def _marks(summary: RunSummary) -> list[str]:
    """Return what somebody said of the run, and its tags."""
    tags = [f"{name}={value}" if value else name for name, value in tags_of(summary).items()]
    lines = [f"Note: {line}" for line in note_of(summary).splitlines()]
    return lines + ([f"Tags: {', '.join(tags)}"] if tags else [])


def comparison_text(one: Comparison, words: str) -> str:
    """Return what a step's repetition showed: a line for the step, then what differs, and why it could not be repeated."""
    what = f"{one.outputs} output{'' if one.outputs == 1 else 's'} {words}"
    lines = [f"{one.step}  {what if one.same else 'not repeated' if one.obstacles else 'DIFFERS'}"]
    lines += ["    " + text.replace("\n", "\n    ") for text in (*one.obstacles, *one.differs)]
    return "\n".join(lines)


def run_lines(runs: Sequence[RunLine], ids: Mapping[str, str]) -> list[str]:
    """Return a line for each run: id, name, workspace and machine if there are several, time, experiment and what came of it."""
    rows: list[tuple[str, ...]] = [(ids[run.run_id], run.label, run.at, run.experiment, run.headline) for run in runs]
    for places in ([run.machine for run in runs], [run.workspace for run in runs]):
        if len(set(places)) > 1:
            rows = [(*row[:2], place, *row[2:]) for row, place in zip(rows, places, strict=True)]
    return columns(rows)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a line for each row, what stands in one column below each other."""
    shown = [[printable(text) for text in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(map(_filled, row, widths)).rstrip() for row in shown]


def _filled(text: str, width: int) -> str:
    """Return the text with spaces up to so many columns of a terminal, of which letters of some alphabets take two."""
    return text + " " * (width - cell_len(text))


def _facts(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people are told of a dataset: all but its definition."""
    return {name: value for name, value in dataset.items() if name != "document"}


def _trial_facts(trial: TrialSummary) -> dict[str, Any]:
    facts = {"trial": trial.number, "hyperparameters": dict(trial.hyperparameters), trial.metric: trial.best}
    return {**facts, "state": trial.happened, "run": trial.label, "id": trial.run.run_id, "why": trial.why or None}


def in_json(summary: RunSummary, run: RunFolder | None = None) -> dict[str, Any]:
    """Return the run as `--json` prints it; with its folder, the trials of its steps too."""
    trials = sweeps_of(run, summary) if run else {}
    return {
        "id": summary.run_id,
        "name": summary.label,
        "workspace": summary.facts.get("workspace"),
        "machine": summary.machine or None,
        "status": summary.status,
        "experiment": summary.facts.get("experiment"),
        "parameters": summary.facts.get("parameters", {}),
        "tags": tags_of(summary),
        "note": note_of(summary) or None,
        "steps": [
            {
                "name": step.id,
                "happened": step.happened,
                "why": list(step.why),
                "seconds": step.seconds,
                "saved": step.saved,
                "error": step.error or None,
                "guard": step.ran_on.get("guard"),
                "differs": list(step.differs),
                "undeclared": list(step.undeclared),
                "undeclared_count": step.undeclared_count,
                **({"trials": [*map(_trial_facts, trials[step.id])]} if step.id in trials else {}),
                **({"datasets": {n: _facts(of) for n, of in step.datasets.items()}} if step.datasets else {}),
                **({"registered": {n: _facts(of) for n, of in step.registered.items()}} if step.registered else {}),
            }
            for step in summary.steps
        ],
        "warnings": list(summary.warnings),
        "problem": summary.problem or None,
    }


def tell_unreadable(paths: Iterable[Path]) -> None:
    """Name what a collection left since it can't be read or understood."""
    found = sorted(set(paths))
    if found:
        print(
            f"Kept {len(found)} that can't be read or understood, with all that they may need, such as {found[0]}: they may be "
            "another user's or another version's; delete those that nobody needs"
        )
