"""The scheduler: submits every step that is ready and takes what ended, until no step is left or the run is stopped."""

from __future__ import annotations

import logging
import queue
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from prefect.exceptions import TerminationSignal

from stepwell.blocks.store.sharing import LostBytes
from stepwell.errors import StepwellError
from stepwell.flows.engine.reuse import CacheDecision, decide
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.engine.tasks import CacheLookup, StepFuture, make_task, starting
from stepwell.flows.parameters.pipeline_parameter import Value
from stepwell.model.definitions import OutputSource, PipelineDefinition, StepDefinition
from stepwell.model.records import BESIDE, Artifact, StepCall, StepResult, with_files_beside

_MOST_REUSED_AT_ONCE = 64
"""Steps to reuse take no place of their target, only a thread each."""

_ROUNDING = 1e-6
_MOST_REWOUND = 3
"""How often a step waits for lost bytes to be made again, before that fails it."""

_FAILED = "another step failed"


@contextmanager
def _without_lines_of_reused_steps() -> Iterator[None]:
    """Log one line for a reused step while the block runs: the one that says why."""
    logger = logging.getLogger("prefect.task_runs")
    logger.addFilter(_is_worth_a_line)
    try:
        yield
    finally:
        logger.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(
        ("Finished in state Cached", "Running hook 'reason'", "Hook 'reason' finished")
    )


@dataclass
class Outcome:
    """The outcome of a pipeline's steps: results by step id, and the messages of those that failed."""

    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        """Whether every step has a result."""
        return not (self.failures or self.skipped or self.cancelled)


class Engine:
    """One run of one pipeline, in the flow that Prefect is running now."""

    def __init__(
        self,
        context: RunContext,
        pipeline: PipelineDefinition,
        values: Mapping[str, Value],
        *,
        continue_on_failure: bool = False,
    ) -> None:
        self._context = context
        self._steps = {step.id: step for step in pipeline.steps}
        self._values = values
        self._continue = continue_on_failure
        self._waiting = {step.id: set(step.upstream) for step in pipeline.steps}
        self._dependants: dict[str, list[str]] = defaultdict(list)
        for step in pipeline.steps:
            for before in step.upstream:
                self._dependants[before].append(step.id)
        self._futures: dict[str, StepFuture] = {}
        self._lookups: dict[str, CacheLookup] = {}
        self._rewound: Counter[str] = Counter()
        self._running: dict[str, StepCall] = {}
        self._dispatched: set[str] = set()
        self._postponed: dict[str, tuple[StepCall, CacheDecision]] = {}
        self._in_use: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Run every step and return the outcome. Ctrl-C and SIGTERM stop the steps, then count as a cancelled run."""
        for step in self._steps.values():
            self._context.emit({"step": step.id, "status": "waiting", "upstream": list(step.upstream)})
        with _without_lines_of_reused_steps():
            self._loop()
        self._outcome.cancelled = self._context.stop.stopped and self._context.stop.reason != _FAILED
        return self._outcome

    def _loop(self) -> None:
        while self._waiting or self._running:
            try:
                self._launch_ready()
                self._take_ended()
            except (KeyboardInterrupt, TerminationSignal):
                with suppress(KeyboardInterrupt, TerminationSignal):  # people press twice
                    self._context.stop.stop("interrupted")

    # Launching ------------------------------------------------------------------------------------------------------

    def _launch_ready(self) -> None:
        if self._context.stop.stopped:
            for step in list(self._waiting):
                self._give_up(step, "cancelled")
            return
        for step_id in [step for step, upstream in self._waiting.items() if not upstream]:
            self._try_launch(self._steps[step_id])

    def _try_launch(self, step: StepDefinition) -> None:
        try:
            call, decided = self._postponed.get(step.id) or self._decide(step)
            if not (self._may_reuse() if decided.record else self._has_capacity_for(step)):
                self._postponed[step.id] = call, decided
                return
            if not self._forced(step) and call.key in {running.key for running in self._running.values()}:
                return  # the same step is at work; its result will be used
        except StepwellError as error:
            del self._waiting[step.id]
            self._fail(step.id, error.message)
            return
        del self._waiting[step.id]
        self._postponed.pop(step.id, None)
        self._submit(call, decided)

    def _decide(self, step: StepDefinition) -> tuple[StepCall, CacheDecision]:
        call = self._context.call(step, self._values, self._inputs(step))
        return call, decide(self._context, call)

    def _may_reuse(self) -> bool:
        return len(self._running.keys() - self._dispatched) < _MOST_REUSED_AT_ONCE

    def _has_capacity_for(self, step: StepDefinition) -> bool:
        step = step.as_job
        compute, in_use = self._context.compute(step.compute_target), self._in_use[step.compute_target]
        capacity = compute.capacity()
        return all(in_use[what] + amount <= capacity[what] + _ROUNDING for what, amount in compute.demand(step).items())

    def _submit(self, call: StepCall, decided: CacheDecision) -> None:
        step, decision = call.definition, decided.decision
        self._context.emit(starting(call, decision.action, decision.why))
        lookup = self._lookups[step.id] = CacheLookup(self._context, call, decided)
        lookup.rewinds = self._rewound[step.id] < _MOST_REWOUND
        task = make_task(
            step,
            lambda _: lookup,
            self._context.store.locks,
            self._context.results,
            always=decision.action == "run" and self._forced(step),
        )
        self._running[step.id] = call
        if not decided.record:
            self._reserve(step, 1)
            self._dispatched.add(step.id)
        future = task.submit(
            bindings={}, wait_for=[self._futures[before] for before in step.upstream if before in self._futures]
        )
        self._futures[step.id] = future
        future.add_done_callback(lambda _: self._ended.put(step.id))

    def _reserve(self, step: StepDefinition, times: int) -> None:
        step = step.as_job
        for what, amount in self._context.compute(step.compute_target).demand(step).items():
            self._in_use[step.compute_target][what] += times * amount

    def _forced(self, step: StepDefinition) -> bool:
        return self._context.regenerate or not step.allow_reuse

    def _inputs(self, step: StepDefinition) -> dict[str, Artifact]:
        results = self._outcome.results
        known = {
            port.name: results[port.source.step][port.source.output]
            for port in step.inputs
            if isinstance(port.source, OutputSource)
        }
        return with_files_beside(step, known, lambda before: results[before].record.outputs.get(BESIDE))

    # Taking what ended ----------------------------------------------------------------------------------------------

    def _take_ended(self) -> None:
        if not self._running:
            return
        step_id = self._ended.get()
        self._settle(step_id)
        while not self._ended.empty():
            self._settle(self._ended.get())

    def _settle(self, step_id: str) -> None:
        call = self._running.pop(step_id)
        future = self._futures[step_id]
        future.wait()  # at once; without it Prefect asks the server for the state
        state = future.state
        if step_id in self._dispatched:
            self._reserve(call.definition, -1)
        result: Any = state.result(raise_on_failure=False)
        if state.is_completed() and isinstance(result, StepResult):
            self._outcome.results[step_id] = result
            for later in self._dependants[step_id]:
                if later in self._waiting:
                    self._waiting[later].discard(step_id)
        elif (lost := self._lookups[step_id].lost) and not self._context.stop.stopped:
            self._rewind(step_id, lost)
        elif state.is_cancelled():
            self._context.emit({"step": step_id, "status": "cancelled"})
            self._outcome.skipped.append(step_id)
            if self._continue:  # it was cancelled alone
                self._skip_after(step_id)
            else:
                self._context.stop.stop()
        else:
            self._fail(step_id, result.message if isinstance(result, StepwellError) else str(state.message))

    def _rewind(self, step_id: str, lost: LostBytes) -> None:
        """Let the step wait for those before it whose results can't be had any more, which run again."""
        results, waits = self._outcome.results, set[str]()
        for before in self._steps[step_id].upstream:
            result = results.get(before)
            if result is None:  # it runs again for another one
                waits.add(before)
            elif any(artifact.digest == lost.tree for artifact in result.record.outputs.values()):
                waits.add(before)
                del results[before]
                self._waiting[before] = set()
                for later in self._dependants[before]:
                    if later in self._waiting:
                        self._waiting[later].add(before)
                        self._postponed.pop(later, None)
        if not waits:
            self._fail(step_id, lost.message)
            return
        self._rewound[step_id] += 1
        self._waiting[step_id] = waits

    def _fail(self, step_id: str, message: str) -> None:
        self._outcome.failures[step_id] = message
        self._context.emit({"step": step_id, "status": "failed", "error": message})
        if not self._continue:
            self._context.stop.stop(_FAILED)
        self._skip_after(step_id)

    def _skip_after(self, failed: str) -> None:
        found = [failed]
        for step in found:  # grows
            for later in self._dependants[step]:
                if later in self._waiting:
                    self._give_up(later, "skipped")
                    found.append(later)

    def _give_up(self, step: str, status: str) -> None:
        del self._waiting[step]
        self._outcome.skipped.append(step)
        self._context.emit({"step": step, "status": status})
