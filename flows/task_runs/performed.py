"""The task run of a step that runs past Prefect's engine: the states, times and lines that the engine would tell of."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State, StateType
from prefect.states import format_exception

from stepwell.flows.task_runs.events import Entered
from stepwell.flows.task_runs.served import ServedTaskRuns
from stepwell.model.definitions import StepDefinition

_RUNNING, _SCHEDULED = "RUNNING", "SCHEDULED"
_FINAL = ("COMPLETED", "FAILED", "CANCELLED")
_MOMENT = timedelta(microseconds=1)


class PerformedTaskRun:
    """One task run, from the moment when its turn has come. The server knows of each change within a moment."""

    def __init__(
        self, task_runs: ServedTaskRuns, task_run_id: str, step: StepDefinition, upstream: Sequence[str]
    ) -> None:
        self.id = task_run_id
        self._task_runs, self._step = task_runs, step
        self._before: Entered | None = None
        self._at = datetime.now(UTC)
        self._running = timedelta()
        self._facts = task_runs.facts(step, upstream, self._at)
        self._enter("PENDING", "Pending")

    @property
    def attempts(self) -> int:
        """How often it has begun."""
        return int(self._facts["run_count"])

    def begin(self) -> None:
        """Begin an attempt."""
        if not self.attempts:
            self._enter(_RUNNING, "Running", first=True)
        elif self._before is None or self._before.kind != _RUNNING:
            self._enter(_RUNNING, "Retrying")

    def retry(self, error: Exception) -> None:
        """Let another attempt follow one that failed: at once, or after the pause that its step makes."""
        seconds = self._step.retry_delay_seconds
        start = f"{seconds} second(s) from now" if seconds else "immediately"
        self.log(
            f"Task run failed with exception: {error!r} - Retry {self.attempts}/{self._step.retries} will start {start}"
        )
        if seconds:
            due = datetime.now(UTC) + timedelta(seconds=seconds)
            self._enter(_SCHEDULED, "AwaitingRetry", details={"scheduled_time": _text(due)})
        else:
            self._enter(_RUNNING, "Retrying")

    def complete(self, words: str, metadata: Mapping[str, Any], *, cached: bool = False) -> None:
        """End with a result; `metadata` is what Prefect finds it by."""
        self._enter("COMPLETED", "Cached" if cached else "Completed", words, data=metadata)

    def cancel(self, words: str) -> None:
        """End as cancelled."""
        self._enter("CANCELLED", "Cancelled", words)

    def fail(self, error: Exception, metadata: Mapping[str, Any], *, exhausted: bool = True) -> None:
        """End as failed; `exhausted`: it is tried no more since it was tried often enough."""
        if exhausted:
            more = " - Retries are exhausted" if self._step.retries else ""
            self.log(f"Task run failed with exception: {error!r}{more}", logging.ERROR, error)
        words = f"Task run encountered an exception {format_exception(error)}"
        self._enter("FAILED", "Failed", words, details={"retriable": False}, data=metadata)

    def log(self, words: str, level: int = logging.INFO, error: BaseException | None = None) -> None:
        """Log a line of the task run, with the traceback of the error if there is one."""
        self._tell(None, self._task_runs.lines(self.id, self._step, level, words, error))

    def _enter(
        self,
        kind: str,
        name: str,
        words: str = "",
        *,
        first: bool = False,
        details: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        now = max(datetime.now(UTC), self._at + _MOMENT) if self._before else self._at
        facts = self._facts = dict(self._facts)  # those of the event before stay as they were
        if self._before is not None and self._before.kind == _RUNNING:
            self._running += now - self._at
            facts["total_run_time"] = self._running.total_seconds()
        if kind == _RUNNING:
            facts["run_count"] += 1
        if first:
            facts |= {"start_time": _text(now), "flow_run_run_count": self._task_runs.flow_run_run_count}
        lines: list[dict[str, Any]] = []
        if kind in _FINAL:
            facts["end_time"] = _text(now)
            told = State(type=StateType(kind), name=name, message=words or None)  # type: ignore[var-annotated]
            level = logging.INFO if kind == "COMPLETED" else logging.ERROR
            lines = self._task_runs.lines(self.id, self._step, level, f"Finished in state {told}")
        entered = Entered(kind, name, _text(now), words, details or {}, data)
        self._tell(self._task_runs.event(self.id, facts, entered, self._before), lines)
        self._before, self._at = entered, now

    def _tell(self, event: dict[str, Any] | None, lines: list[dict[str, Any]]) -> None:
        self._task_runs.tell_of(event, lines)
        self._task_runs.soon()


def _text(at: datetime) -> str:
    return at.isoformat()
