"""Steps performed past Prefect's task engine, in threads: places, attempts, pauses between them, locks, and how they ended."""

from __future__ import annotations

import select
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, NamedTuple
from uuid import uuid4

from stepwell.blocks.store.sharing import WAITER
from stepwell.blocks.store.store import Miss
from stepwell.blocks.workspace.results import result_path
from stepwell.errors import StepwellError
from stepwell.flows.engine.execution import Prepared, prepare_ahead
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.engine.tasks import CacheLookup, Serving, StepFuture, attempt
from stepwell.flows.task_runs.performed import PerformedTaskRun
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import StepCall, StepRecord, StepResult

_ROUNDING = 1e-6
_FRESH_SECONDS = 10.0


class Performed(NamedTuple):
    """How a step ended: with a result, cancelled, or failed with a message."""

    result: StepResult | None = None
    cancelled: bool = False
    message: str = ""


class Place(NamedTuple):
    """What a step takes: of which target, and how much of each thing there."""

    target: str
    demand: tuple[tuple[str, float], ...]


class Places:
    """How much of each compute target the steps of a run take."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._taken: dict[tuple[str, str], float] = defaultdict(float)

    def of(self, job: StepDefinition) -> Place:
        """Return the place that a job takes."""
        return Place(job.compute_target, tuple(self._context.compute(job.compute_target).demand(job).items()))

    def has_room(self, place: Place) -> bool:
        """Return whether the target has such a place left."""
        capacity = self._context.compute(place.target).capacity()
        return all(self._taken[place.target, what] + much <= capacity[what] + _ROUNDING for what, much in place.demand)

    def take(self, place: Place | None, times: int) -> None:
        """Take the place so many times; -1 gives it back. None takes nothing."""
        if place:
            for what, much in place.demand:
                self._taken[place.target, what] += times * much


class _Ahead(NamedTuple):
    """What is prepared for a call, under the id that its step will run with."""

    call: StepCall
    step_run_id: str
    made: Future[Prepared | None]
    began: float

    def is_stale(self) -> bool:
        """Return whether the world may be another by now: inputs gone, or its folders looked through by others."""
        return time.monotonic() > self.began + _FRESH_SECONDS


class Performing:
    """Performs steps of the run that `serving` serves results in; Prefect's server is told of them as of those."""

    def __init__(self, serving: Serving, most_at_once: int) -> None:
        self._serving = serving
        self._context = serving.context
        self._threads = ThreadPoolExecutor(max(1, most_at_once), thread_name_prefix="stepwell-step")
        self._begun: dict[str, Future[Performed]] = {}
        self._ahead: dict[str, _Ahead] = {}

    def takes(self, step: StepDefinition) -> bool:
        """Return whether the step needs nothing that Prefect's engine alone has.

        That are limits by tag, and the context of a task for targets that are not our own.
        """
        target = type(self._context.compute(step.as_job.compute_target))
        return not self._serving.task_runs.has_tags and target.__module__.startswith("stepwell.")

    def prepare(self, call: StepCall) -> None:
        """Prepare the call in a thread, while its step waits for a place, but no more calls than steps are at work."""
        step = call.definition
        for other, ahead in [(other, ahead) for other, ahead in self._ahead.items() if ahead.is_stale()]:
            del self._ahead[other]
            self._drop(ahead)
        if step.joins or step.id in self._ahead or len(self._ahead) >= len(self._begun) or not self.takes(step):
            return
        step_run_id = self._serving.task_runs.new_id()
        made = self._threads.submit(copy_context().run, prepare_ahead, self._context, call, step_run_id)
        self._ahead[step.id] = _Ahead(call, step_run_id, made, time.monotonic())

    def begin(self, lookup: CacheLookup, upstream: Sequence[str], *, always: bool) -> None:
        """Perform the lookup's call in a thread; `take` has how it ended then. `always`: though a result is there."""
        step, task_runs = lookup.call.definition, self._serving.task_runs
        ahead = self._ahead.pop(step.id, None)
        if ahead and (ahead.call is not lookup.call or ahead.is_stale() or not self._context.at_hand(lookup.call)):
            self._drop(ahead)  # it runs again with other inputs, or its inputs may have been found damaged and be gone
            ahead = None
        lookup.task_run_id = self._serving.task_run_ids[step.id] = ahead.step_run_id if ahead else task_runs.new_id()
        task_run = PerformedTaskRun(task_runs, lookup.task_run_id, step, upstream)
        lookup.log = task_run.log
        ended = self._threads.submit(copy_context().run, self._perform_prepared, lookup, task_run, always, ahead)
        self._begun[step.id] = ended
        ended.add_done_callback(lambda _: self._serving.ended(step.id))

    def has(self, step: str) -> bool:
        """Return whether the step was begun here, and not yet taken."""
        return step in self._begun

    def take(self, step: str) -> Performed:
        """Return how a step ended that did."""
        return self._begun.pop(step).result()

    def close(self) -> None:
        """Wait until no step is at work; what was prepared for steps whose turn never came is removed."""
        for ahead in self._ahead.values():
            self._drop(ahead)
        self._ahead.clear()
        self._threads.shutdown()

    def _drop(self, ahead: _Ahead) -> None:
        def close(made: Future[Prepared | None]) -> None:
            if not made.cancelled() and (prepared := made.result()):
                prepared.close(self._context)

        ahead.made.cancel()
        ahead.made.add_done_callback(close)

    def _perform_prepared(
        self, lookup: CacheLookup, task_run: PerformedTaskRun, always: bool, ahead: _Ahead | None
    ) -> Performed:
        if ahead and not ahead.made.cancel():
            lookup.prepared = ahead.made.result()
        try:
            return self._perform(lookup, task_run, always)
        finally:
            if lookup.prepared:
                lookup.prepared.close(self._context)

    def _perform(self, lookup: CacheLookup, task_run: PerformedTaskRun, always: bool) -> Performed:
        step, workspace, stop = lookup.call.definition, self._context.workspace.name, self._context.stop
        results, path = self._context.results, result_path(workspace, lookup.call.key)
        WAITER.set(lookup)
        while True:
            task_run.begin()
            try:
                with self._locked(path, task_run.id):
                    record, cached = None if always else _record_there(lookup), True
                    words = lookup.words("reused") if record else ""
                    if record is None:
                        last = task_run.attempts > step.retries
                        (words, record), cached = attempt(lookup, task_run.id, task_run.log, last=last), False
            except Exception as error:  # noqa: BLE001  (whatever it is, the step has failed)
                if task_run.attempts <= step.retries and not stop.stopped:
                    task_run.retry(error)
                    self._pause(step.retry_delay_seconds)
                    continue
                exhausted = task_run.attempts > step.retries
                task_run.fail(error, results.plain_metadata(uuid4().hex), exhausted=exhausted)
                message = error.message if isinstance(error, StepwellError) else f"{type(error).__name__}: {error}"
                return Performed(message=message)
            if record is None:
                task_run.cancel(words)
                return Performed(cancelled=True)
            task_run.complete(words, results.plain_metadata(path), cached=cached)
            return Performed(StepResult(record, workspace))

    def _pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until the run is stopped."""
        if seconds:
            select.select([self._context.stop], [], [], seconds)

    @contextmanager
    def _locked(self, path: str, holder: str) -> Iterator[None]:
        """Let nobody else perform the same call meanwhile."""
        locks = self._context.store.locks
        locks.acquire_lock(path, holder)
        try:
            yield
        finally:
            locks.release_lock(path, holder)


def performed_by_prefect(future: StepFuture) -> Performed:
    """Return how a step ended that Prefect's engine ran."""
    future.wait()  # at once; without it Prefect asks the server for the state
    state = future.state
    result: Any = state.result(raise_on_failure=False)
    if state.is_completed() and isinstance(result, StepResult):
        return Performed(result)
    message = result.message if isinstance(result, StepwellError) else str(state.message)
    return Performed(cancelled=state.is_cancelled(), message=message)


def _record_there(lookup: CacheLookup) -> StepRecord | None:
    """Return the record that is there by now, since somebody else has performed the call, or was about to."""
    store = lookup.context.store
    if not store.shares and store.read_record(lookup.call.key) == Miss():
        return None
    try:
        return lookup.look_up("").record
    except Exception:  # noqa: BLE001  (as Prefect does: whatever it is, there is none)
        return None
