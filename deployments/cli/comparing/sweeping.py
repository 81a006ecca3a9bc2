"""`stepwell run --sweep`: a run for each combination of values, side by side as far as there is room, and a table of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from stepwell.blocks.store.run_folder import RunFolder
    from stepwell.flows.public.pipeline import Pipeline
    from stepwell.flows.runs.flow_run import RunOptions
    from stepwell.flows.runs.summary import RunSummary

TAG = "sweep"
"""The tag that the runs of a sweep have in common."""


def sweep(
    pipeline: Pipeline,
    experiment: str,
    points: Sequence[Mapping[str, Any]],
    options: RunOptions,
    *,
    at_once: int,
    as_json: bool,
    show_logs: bool,
) -> tuple[RunFolder, int]:
    """Run the pipeline with each of the values, print the table of the runs, and return the last one with an exit code.

    `at_once`: how many run side by side; 0: as many as their targets have room for. What fails does not keep the others from
    running. Ctrl-C cancels the runs at work, and those that would follow.
    """
    from stepwell.blocks.store.run_folder import RunFolder
    from stepwell.deployments.reports.run_comparisons import comparison_lines
    from stepwell.flows.runs.comparing.run_table import rows_of
    from stepwell.flows.runs.side_by_side import room_for

    name = uuid4().hex[:8]
    every = [pipeline.values(point) for point in points]  # what is wrong with one is said before any runs
    at_once = min(at_once or room_for(pipeline), len(points))
    tell = _Telling(pipeline, points)
    begin = _one_after_the_other if at_once == 1 else partial(_side_by_side, at_once)
    found = begin(pipeline, experiment, every, options, {TAG: name}, tell, show_logs=show_logs)
    rows = rows_of(found)
    if as_json:
        print(json.dumps({"sweep": name, "runs": rows}, indent=1, default=str))
    else:
        for line in comparison_lines(rows):
            print(line)
        print(f"Again: stepwell compare --tag {TAG}={name}")
    codes = [{"Finished": 0, "Canceled": 130}.get(run.status, 1) for run in found]
    return RunFolder(pipeline.workspace.store.run_folder(found[-1].run_id)), max(codes)


class _Telling:
    """Says on standard error which run of a sweep begins, and what became of it."""

    def __init__(self, pipeline: Pipeline, points: Sequence[Mapping[str, Any]]) -> None:
        self._pipeline, self._points = pipeline, points

    def begins(self, number: int) -> None:
        """Say which values the run of that number has."""
        shown = ", ".join(f"{key}={_shown(self._pipeline, key, value)}" for key, value in self._points[number].items())
        print(f"Run {number + 1} of {len(self._points)}: {shown}", file=sys.stderr, flush=True)

    def ended(self, summary: RunSummary) -> None:
        """Say what became of a run."""
        print(f"  {summary.label}  {summary.headline}", file=sys.stderr, flush=True)


def _one_after_the_other(
    pipeline: Pipeline,
    experiment: str,
    every: Sequence[Mapping[str, Any]],
    options: RunOptions,
    tags: Mapping[str, str],
    tell: _Telling,
    *,
    show_logs: bool,
) -> list[RunSummary]:
    """Execute the runs, each with a live table of its steps."""
    from stepwell.flows.runs.launch import execute, register
    from stepwell.flows.runs.live.progress import Progress
    from stepwell.flows.runs.live.step_logs import StepLogs

    found: list[RunSummary] = []
    for number, values in enumerate(every):
        tell.begins(number)
        folder = register(pipeline, experiment, values, tags, options)
        progress = Progress.of_terminal()
        logs = StepLogs(folder, progress.line, progress.update)
        listeners = (logs, progress) if show_logs else (progress,)
        with progress, logs.looking() if show_logs else nullcontext():
            summary = execute(pipeline, folder, values, replace(options, listeners=listeners))
        tell.ended(summary)
        found.append(summary)
        if summary.status == "Canceled":
            break
    return found


def _side_by_side(
    at_once: int,
    pipeline: Pipeline,
    experiment: str,
    every: Sequence[Mapping[str, Any]],
    options: RunOptions,
    tags: Mapping[str, str],
    tell: _Telling,
    *,
    show_logs: bool,
) -> list[RunSummary]:
    """Execute so many runs at once, with a line for each that begins or ends, and the lines of their scripts."""
    from stepwell.flows.runs.launch import register
    from stepwell.flows.runs.live.step_logs import StepLogs
    from stepwell.flows.runs.side_by_side import Registered, execute_each

    def begin() -> Iterator[Registered]:
        for number, values in enumerate(every):
            folder = register(pipeline, experiment, values, tags, options)
            tell.begins(number)
            own = options
            if show_logs:
                logs = StepLogs(folder, partial(_line, folder.label), lambda *_: None)
                looking.enter_context(logs.looking())
                own = replace(options, listeners=(logs,))
            yield Registered(folder, values, own)

    with ExitStack() as looking:
        return execute_each(pipeline, begin(), at_once, tell.ended)


def _line(run: str, step: str, text: str) -> None:
    print(f"{run} | {step} | {text}", file=sys.stderr, flush=True)


def _shown(pipeline: Pipeline, name: str, value: Any) -> str:
    secret = {one.name for one in pipeline.definition.parameters if one.secret}
    return "***" if name in secret else str(value)
