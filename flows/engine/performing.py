"""Steps performed past Prefect's task engine, in threads: attempts, pauses between them, locks, and how they ended."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import NamedTuple
from uuid import uuid4

from stepwell.blocks.store.sharing import WAITER
from stepwell.blocks.store.store import Miss
from stepwell.blocks.workspace.results import result_path
from stepwell.errors import StepwellError
from stepwell.flows.engine.tasks import CacheLookup, Serving, attempt
from stepwell.flows.task_runs.performed import PerformedTaskRun
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import StepRecord, StepResult


class Performed(NamedTuple):
    """How a step ended: with a result, cancelled, or failed with a message."""

    result: StepResult | None = None
    cancelled: bool = False
    message: str = ""


class Performing:
    """Performs steps of the run that `serving` serves results in; Prefect's server is told of them as of those."""

    def __init__(self, serving: Serving, most_at_once: int) -> None:
        self._serving = serving
        self._context = serving.context
        self._threads = ThreadPoolExecutor(max(1, most_at_once), thread_name_prefix="stepwell-step")
        self._begun: dict[str, Future[Performed]] = {}

    def takes(self, step: StepDefinition) -> bool:
        """Return whether the step needs nothing that Prefect's engine alone has.

        That are limits by tag, and the context of a task for targets that are not our own.
        """
        target = type(self._context.compute(step.as_job.compute_target))
        return not self._serving.task_runs.has_tags and target.__module__.startswith("stepwell.")

    def begin(self, lookup: CacheLookup, upstream: Sequence[str], *, always: bool) -> None:
        """Perform the lookup's call in a thread; `take` has how it ended then. `always`: though a result is there."""
        step, task_runs = lookup.call.definition, self._serving.task_runs
        lookup.task_run_id = self._serving.task_run_ids[step.id] = task_runs.new_id()
        task_run = PerformedTaskRun(task_runs, lookup.task_run_id, step, upstream)
        lookup.log = task_run.log
        ended = self._threads.submit(copy_context().run, self._perform, lookup, task_run, always)
        self._begun[step.id] = ended
        ended.add_done_callback(lambda _: self._serving.ended(step.id))

    def has(self, step: str) -> bool:
        """Return whether the step was begun here, and not yet taken."""
        return step in self._begun

    def take(self, step: str) -> Performed:
        """Return how a step ended that did."""
        return self._begun.pop(step).result()

    def close(self) -> None:
        """Wait until no step is at work."""
        self._threads.shutdown()

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


def _record_there(lookup: CacheLookup) -> StepRecord | None:
    """Return the record that is there by now, since somebody else has performed the call, or was about to."""
    store = lookup.context.store
    if not store.shares and store.read_record(lookup.call.key) == Miss():
        return None
    try:
        return lookup.look_up("").record
    except Exception:  # noqa: BLE001  (as Prefect does: whatever it is, there is none)
        return None
