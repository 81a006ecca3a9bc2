"""`stepwell run --sweep`: a run for each combination of values, side by side as far as there is room, and a table of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from stepwell.errors import printable

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
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.run_comparisons import comparison_lines
    from stepwell.flows.runs.comparing.run_table import rows_of
    from stepwell.flows.runs.side_by_side import room_for

    name = uuid4().hex[:8]
    every = [pipeline.values(point) for point in points]  # what is wrong with one is said before any runs
    at_once = min(at_once or room_for(pipeline), len(points))
    runs = _Runs(pipeline, experiment, points, every, options, {TAG: name}, show_logs=show_logs)
    found = runs.one_after_the_other() if at_once == 1 else runs.side_by_side(at_once)
    rows = rows_of(found)
    if as_json:
        print(json_text({"sweep": name, "runs": rows}))
    else:
        for line in comparison_lines(rows):
            print(line)
        print(f"Again: stepwell compare --tag {TAG}={name}")
    codes = [{"Finished": 0, "Canceled": 130}.get(run.status, 1) for run in found]
    return RunFolder(pipeline.workspace.store.run_folder(found[-1].run_id)), max(codes)


@dataclass(frozen=True)
class _Runs:
    """The runs of a sweep, whose values are `every`; on standard error they tell which begins, and what became of it."""

    pipeline: Pipeline
    experiment: str
    points: Sequence[Mapping[str, Any]]
    every: Sequence[Mapping[str, Any]]
    options: RunOptions
    tags: Mapping[str, str]
    show_logs: bool

    def one_after_the_other(self) -> list[RunSummary]:
        """Execute the runs, each with a live table of its steps."""
        from stepwell.flows.runs.launch import execute
        from stepwell.flows.runs.live.progress import Progress
        from stepwell.flows.runs.live.step_logs import StepLogs

        found: list[RunSummary] = []
        for number, values in enumerate(self.every):
            folder = self._begin(number)
            progress = Progress.of_terminal()
            logs = StepLogs(folder, progress.line, progress.update)
            listeners = (logs, progress) if self.show_logs else (progress,)
            with progress, logs.looking() if self.show_logs else nullcontext():
                summary = execute(self.pipeline, folder, values, replace(self.options, listeners=listeners))
            _tell_end(summary)
            found.append(summary)
            if summary.status == "Canceled":
                break
        return found

    def side_by_side(self, at_once: int) -> list[RunSummary]:
        """Execute so many runs at once, with a line for each that begins or ends, and the lines of their scripts."""
        from stepwell.flows.runs.live.step_logs import StepLogs
        from stepwell.flows.runs.side_by_side import Registered, execute_each

        def begin() -> Iterator[Registered]:
            for number, values in enumerate(self.every):
                folder, own = self._begin(number), self.options
                if self.show_logs:
                    logs = StepLogs(folder, partial(_line, folder.label), lambda *_: None)
                    looking.enter_context(logs.looking())
                    own = replace(self.options, listeners=(logs,))
                yield Registered(folder, values, own)

        with ExitStack() as looking:
            return execute_each(self.pipeline, begin(), at_once, _tell_end)

    def _begin(self, number: int) -> RunFolder:
        """Register the run of that number, and say which values it has."""
        from stepwell.flows.runs.launch import register

        folder = register(self.pipeline, self.experiment, self.every[number], self.tags, self.options)
        secret = {one.name for one in self.pipeline.definition.parameters if one.secret}
        shown = ", ".join(f"{key}={'***' if key in secret else value}" for key, value in self.points[number].items())
        _say(f"Run {number + 1} of {len(self.points)}" + (f": {shown}" if shown else ""))
        return folder


def _tell_end(summary: RunSummary) -> None:
    _say(f"  {summary.label}  {summary.headline}")


def _line(run: str, step: str, text: str) -> None:
    _say(f"{run} | {step} | {text}")


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
