"""`stepwell run --sweep`: a run for each combination of values, one after the other, and a table of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
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
    as_json: bool,
    show_logs: bool,
) -> tuple[RunFolder, int]:
    """Run the pipeline with each of the values, print the table of the runs, and return the last one with an exit code.

    What fails does not keep the others from running. Ctrl-C cancels the run at work, and those that would follow.
    """
    from stepwell.deployments.reports.run_comparisons import comparison_lines
    from stepwell.flows.runs.comparing.run_table import rows_of
    from stepwell.flows.runs.launch import execute, register
    from stepwell.flows.runs.live.progress import Progress
    from stepwell.flows.runs.live.step_logs import StepLogs

    name = uuid4().hex[:8]
    every = [pipeline.values(point) for point in points]  # what is wrong with one is said before any runs
    found: list[RunSummary] = []
    for number, (point, values) in enumerate(zip(points, every, strict=True), 1):
        shown = ", ".join(f"{key}={_shown(pipeline, key, value)}" for key, value in point.items())
        print(f"Run {number} of {len(points)}: {shown}", file=sys.stderr, flush=True)
        folder = register(pipeline, experiment, values, {TAG: name}, options)
        progress = Progress.of_terminal()
        logs = StepLogs(folder, progress.line, progress.update)
        listeners = (logs, progress) if show_logs else (progress,)
        with progress, logs.looking() if show_logs else nullcontext():
            summary = execute(pipeline, folder, values, replace(options, listeners=listeners))
        print(f"  {summary.label}  {summary.headline}", file=sys.stderr, flush=True)
        found.append(summary)
        if summary.status == "Canceled":
            break
    rows = rows_of(found)
    if as_json:
        print(json.dumps({"sweep": name, "runs": rows}, indent=1, default=str))
    else:
        for line in comparison_lines(rows):
            print(line)
        print(f"Again: stepwell compare --tag {TAG}={name}")
    codes = [{"Finished": 0, "Canceled": 130}.get(run.status, 1) for run in found]
    return folder, max(codes)


def _shown(pipeline: Pipeline, name: str, value: Any) -> str:
    secret = {one.name for one in pipeline.definition.parameters if one.secret}
    return "***" if name in secret else str(value)
