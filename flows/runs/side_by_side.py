"""Several runs of one pipeline at once, each in a thread of this process, as many as its compute targets have room for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from contextvars import copy_context
from typing import NamedTuple

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import StepwellError
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.parameters.pipeline_parameter import Value
from stepwell.flows.runs.cancel import ask_to_cancel
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import execute
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.flows.runs.summary import RunSummary, summarize

_MOST = 32


class Registered(NamedTuple):
    """A run that is registered, and may begin."""

    folder: RunFolder
    values: Mapping[str, Value]
    options: RunOptions


def room_for(pipeline: PipelineFlow) -> int:
    """Return how many runs of a pipeline its targets have room for, if each has as many steps at work as its graph allows.

    A mapped step takes all the room that there is.
    """
    steps = pipeline.definition.steps
    if any(step.each for step in steps):
        return 1
    depths: dict[str, int] = {}
    taken: dict[tuple[str, int], dict[str, float]] = {}
    with closing(RunContext(pipeline.workspace, "room")) as context:
        for step in steps:
            depths[step.id] = 1 + max((depths.get(before, 0) for before in step.upstream), default=0)
            job = step.as_job
            together = taken.setdefault((job.compute_target, depths[step.id]), {})
            for what, amount in context.compute(job.compute_target).demand(job).items():
                together[what] = together.get(what, 0) + amount
        fitting = [
            int(context.compute(target).capacity()[what] / amount)
            for (target, _), demand in taken.items()
            for what, amount in demand.items()
            if amount > 0
        ]
    return max(1, min([_MOST, *fitting]))


def execute_each(
    pipeline: PipelineFlow, runs: Iterator[Registered], at_once: int, ended: Callable[[RunSummary], object]
) -> list[RunSummary]:
    """Execute runs, so many at once, and return what became of them, in their order.

    Each is taken from `runs` when there is room for it; `ended` is called with each that ends. What fails keeps no other from
    running. Ctrl-C cancels those at work, and no other begins. The first error that was none of a run's own is raised in the end.
    """
    at_work = _AtWork(pipeline)
    try:
        for run in runs:
            at_work.begin(run)
            while len(at_work.threads) >= at_once:
                ended(at_work.wait())
            if at_work.errors:
                break
        while at_work.threads:
            ended(at_work.wait())
    except KeyboardInterrupt:
        at_work.cancel()
        while at_work.threads:
            ended(at_work.wait())
    if at_work.errors:
        raise at_work.errors[0]
    return [summarize(folder) for folder in at_work.begun]


class _AtWork:
    """The runs that have begun, each in a thread."""

    def __init__(self, pipeline: PipelineFlow) -> None:
        self._pipeline = pipeline
        self._ended: queue.SimpleQueue[RunFolder] = queue.SimpleQueue()
        self.begun: list[RunFolder] = []
        self.threads: dict[str, threading.Thread] = {}
        self.errors: list[StepwellError] = []

    def begin(self, run: Registered) -> None:
        """Let a run begin."""
        self.begun.append(run.folder)
        thread = threading.Thread(
            target=copy_context().run, args=(self._execute, run), name="stepwell-run", daemon=True
        )
        self.threads[run.folder.run_id] = thread
        thread.start()

    def _execute(self, run: Registered) -> None:
        try:
            execute(self._pipeline, run.folder, run.values, run.options)
        except StepwellError as error:
            self.errors.append(error)
        finally:
            self._ended.put(run.folder)

    def wait(self) -> RunSummary:
        """Wait until one ends, and return what became of it."""
        folder = self._ended.get()
        self.threads.pop(folder.run_id).join()
        return summarize(folder)

    def cancel(self) -> None:
        """Ask those at work to end."""
        for folder in self.begun:
            if folder.run_id in self.threads:
                ask_to_cancel(folder)
