"""A sweep as the process of its step: the host makes its runs, and what they came to is left as the step's outputs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

from stepwell.drivers.hyperdrive.expressions import argument_text
from stepwell.drivers.hyperdrive.picture import parallel_coordinates
from stepwell.drivers.hyperdrive.sweep import Sweep, Trial
from stepwell.errors import StepwellError
from stepwell.script import channel
from stepwell.script.metrics import decoded
from stepwell.script.run import Run, mark_incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

PICTURE = "outputs/parallel_coordinates.svg"
TABLE = "outputs/trials.json"


class _ChannelHost:
    """The host, as the step's channel reaches it."""

    def __init__(self, metric: Mapping[str, Any], seconds: float | None, outputs: list[str]) -> None:
        self._metric, self._seconds, self._outputs = metric, seconds, outputs

    def submit(self, number: int, values: Mapping[str, Any], arguments: list[str]) -> str:
        about = {"number": number, "hyperparameters": values, **self._metric}
        more = {"outputs": self._outputs, "timeout_seconds": self._seconds}
        return str(channel.ask("trial.submit", arguments=arguments, about=about, **more))

    def look(self) -> Mapping[str, Mapping[str, Any]]:
        found: dict[str, dict[str, Any]] = channel.ask("trial.look")
        return {run: {**facts, "values": decoded(facts["values"])} for run, facts in found.items()}

    def cancel(self, run_id: str, why: str) -> None:
        channel.ask("trial.cancel", id=run_id, why=why)


def run(settings: dict[str, str]) -> None:
    """Run the sweep, write its outputs, and end the process with 1 if there is nothing to write."""
    config = read_settings(settings)
    outputs = {name.removeprefix("output "): path for name, path in settings.items() if name.startswith("output ")}
    name = config["primary_metric"]["name"]
    written = [output for output, what in config["outputs"].items() if what["kind"] == "Trial"]
    metric = {"primary_metric": name, "goal": config["primary_metric"]["goal"]}
    try:
        slots = int(channel.ask("trial.slots"))
        asked = config["max_concurrent_runs"] or config["max_total_runs"]
        sweep = Sweep(
            {**config, "max_concurrent_runs": min(asked, slots)},
            _ChannelHost(metric, config["trial_seconds"], written),
            time.monotonic,
            time.sleep,
            lambda line: print(line, flush=True),
            lambda words: channel.ask("run.progress", words=words),
        )
        trials = sweep.run()
        _refuse_failure(trials)
        if lacks := sweep.lacks:
            mark_incomplete(lacks)
        metrics = {run: decoded(found) for run, found in channel.ask("trial.metrics").items()}
        _leave_report(sweep, name)
        if sweep.best is None:
            print(f"No trial has a value of the primary metric {name!r}; logged were: {_logged(metrics)}", flush=True)
        _leave_outputs(config["outputs"], outputs, sweep, metrics, name)
    except StepwellError as error:
        _end(error.message)


def read_settings(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what the step's settings say of the sweep; what they lack is None."""
    plain = {name: json.loads(text) for name, text in settings.items() if not name.startswith("output ")}
    goal, name = plain["primary_metric"]
    optional = dict.fromkeys(("max_concurrent_runs", "policy", "trial_seconds"))
    sampling = {**plain["sampling"], "space": plain["hyperparameters"]}
    return {**optional, **plain, "sampling": sampling, "primary_metric": {"name": name, "goal": goal}}


def _refuse_failure(trials: list[Trial]) -> None:
    if not trials:
        _end("There was no time for any trial")
    failed = [trial for trial in trials if trial.status == "Failed"]
    if len(failed) == len(trials):
        _end(f"All {len(trials)} trials failed; the first: {failed[0].error or 'nobody knows why'}")


def _leave_report(sweep: Sweep, metric: str) -> None:
    """Write the table of trials and their picture to the step's files, and log both."""
    trials = sweep.trials
    names = list(trials[0].hyperparameters)
    rows = [
        {
            "trial": trial.number,
            **trial.hyperparameters,
            metric: sweep.value(trial),
            "status": trial.status,
            "run": trial.id,
        }
        for trial in trials
    ]
    os.makedirs("outputs", exist_ok=True)
    with open(TABLE, "w", encoding="utf-8") as stream:
        json.dump(rows, stream, indent=1)
    drawn = [
        (_words(trial, sweep.value(trial), metric), [trial.hyperparameters[one] for one in names], sweep.value(trial))
        for trial in trials
    ]
    with open(PICTURE, "w", encoding="utf-8") as stream:
        stream.write(parallel_coordinates(names, drawn, metric))
    run = Run.get_context()
    run.log_image("parallel coordinates", path=PICTURE)
    best = sweep.best_finished or sweep.best
    if best is not None:
        run.log_row("best trial", **{**rows[best.number], "run": best.id})
        print(f"Best: {_words(best, sweep.value(best), metric)}", flush=True)


def _logged(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(sorted({key for found in metrics.values() for key in found})) or "nothing"


def _words(trial: Trial, value: float | None, metric: str) -> str:
    shown = [f"{name}={argument_text(one)}" for name, one in trial.hyperparameters.items()]
    told = [] if value is None else [f"{metric} {value:.6g}"]
    return "  ".join([f"trial {trial.number}", *told, *shown])


def _leave_outputs(
    wanted: Mapping[str, Mapping[str, Any]],
    paths: Mapping[str, str],
    sweep: Sweep,
    metrics: Mapping[str, Mapping[str, Any]],
    metric: str,
) -> None:
    for name, output in wanted.items():
        if output["kind"] == "Metrics":
            listed = {
                run: {key: value if isinstance(value, list) else [value] for key, value in found.items()}
                for run, found in metrics.items()
            }
            with open(paths[name], "w", encoding="utf-8") as stream:
                json.dump(listed, stream, indent=1)
            continue
        best = sweep.best_finished
        if best is None:
            _end(
                f"No trial that finished logged the primary metric {metric!r}, so there is no best one for the output {name!r}; "
                f"logged were: {_logged(metrics)}"
            )
        if output["kind"] == "Model":
            kept = channel.receive("trial.files", id=best.id, name=output["file"] or "outputs")
        else:
            kept = channel.receive("trial.output", id=best.id, name=name)
        _copy(kept, paths[name])


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _end(words: str) -> NoReturn:
    sys.stdout.flush()
    print(words, file=sys.stderr, flush=True)
    sys.exit(1)
