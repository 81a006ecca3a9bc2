"""One run of a job in a Databricks workspace: submitted once, followed to its end, or cancelled."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepwell.blocks.compute.databricks.connection import Address, StoppableClock, Unanswered, connect, told
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Run

    from stepwell.blocks.compute.databricks.job_log import JobLog

_ENDED = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 1.0, 30.0, 1.5
_CANCEL_LOOKS, _CANCEL_RETRY_SECONDS = 20, 30
TASK = "step"
"""The name of the one task of a run."""


class TimeIsUp(Exception):
    """The step's time is up."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the job's own words of its error and where it happened, what it printed, what the notebook returned."""

    result: str
    error: str = ""
    trace: str = ""
    printed: str = ""
    returned: str = ""
    cluster: str = ""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.result in ("SUCCESS", "SUCCESS_WITH_FAILURES")


class JobRun:
    """A run that is submitted by `submit`; until then it has no id. `page` is its page in the workspace."""

    def __init__(self, address: Address, client: WorkspaceClient, clock: StoppableClock, log: JobLog) -> None:
        self._address, self._client, self._clock, self._log = address, client, clock, log
        self._request: dict[str, Any] = {}
        self._run: Run | None = None
        self.id = 0
        self.page = ""
        self._state = ""

    def submit(self, run_name: str, step_run_id: str, task: dict[str, Any], limit: float | None) -> None:
        """Start the job. However often its request is sent, the workspace starts one: it has a token of its own."""
        token = f"{step_run_id[:47]}-{secrets.token_hex(8)}"
        self._request = {"run_name": run_name, "idempotency_token": token, "timeout_seconds": _whole(limit)}
        self._request["tasks"] = [{"task_key": TASK, **task}]
        try:
            self.id = self._submitted(self._client)
        except ComputeTargetException as error:
            if not isinstance(error, Unanswered):  # it was refused: there is no run
                self._request = {}
            raise

    def _submitted(self, client: WorkspaceClient) -> int:
        from databricks.sdk.service.jobs import SubmitTask

        tasks = [SubmitTask.from_dict(task) for task in self._request["tasks"]]
        unknown = f"cluster {tasks[0].existing_cluster_id!r}" if tasks[0].existing_cluster_id else ""
        with told(self._address, "run jobs", unknown):
            started = client.jobs.submit(**{**self._request, "tasks": tasks})
        return int(started.run_id)

    def follow(self, deadline: float, look: Callable[[], None]) -> Run:
        """Wait for the end of the run, and return it; `look` is called each time that the workspace was asked."""
        pause = _FIRST_PAUSE
        while True:
            with told(self._address, "see the run of its job"):
                run = self._client.jobs.get_run(self.id)
            self._tell(run)
            look()
            if _life_cycle(run) in _ENDED:
                self._request = {}
                return run
            left = deadline - self._clock.time()
            if left <= 0:
                raise TimeIsUp
            self._clock.wait(min(pause, left))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def _tell(self, run: Run) -> None:
        if not self.page and run.run_page_url:
            self.page = run.run_page_url
            self._log.say(f"Databricks run {self.id}: {self.page}\n")
        message = (run.state.state_message if run.state else "") or ""
        state = f"{_life_cycle(run)}{f': {message}' if message else ''}"
        if state != self._state:
            self._state = state
            self._log.say(f"Databricks run {self.id} is {state}\n")

    def cancel(self) -> None:
        """Cancel the run if it goes on, also one of which only the request is known, and wait for some time for its end."""
        if not self._request:
            return
        clock = type(self._clock)()
        client = connect(self._address, clock, retry_seconds=_CANCEL_RETRY_SECONDS)
        try:
            self.id = self.id or self._submitted(client)  # the answer got lost: the same token tells which run it was
            with told(self._address, "cancel jobs"):
                client.jobs.cancel_run(self.id)
                for _ in range(_CANCEL_LOOKS):
                    if _life_cycle(client.jobs.get_run(self.id)) in _ENDED:
                        break
                    clock.wait(_FIRST_PAUSE)
            self._log.say(f"Cancelled the Databricks run {self.id}\n")
        except Exception as error:  # noqa: BLE001  (the step ends anyway)
            title = str(error).partition("\n")[0]
            self._log.say_error(f"The Databricks run {self.id or '?'} may go on, as it can't be cancelled: {title}\n")

    def outcome(self, run: Run) -> Outcome:
        """Return how the run that has ended did so."""
        task = run.tasks[0] if run.tasks else None
        state = run.state
        cluster = task.cluster_instance.cluster_id if task and task.cluster_instance else ""
        result = _life_cycle(run)
        if result == "TERMINATED" and state and state.result_state:
            result = state.result_state.value
        message = (state.state_message if state else "") or ""
        if task is None or task.run_id is None:
            return Outcome(result, message, cluster=cluster or "")
        output: Any = None
        with contextlib.suppress(OSError):  # the SDK's errors are some; a run that never began has no output
            output = self._client.jobs.get_run_output(task.run_id)
        if output is None:
            return Outcome(result, message, cluster=cluster or "")
        returned = (output.notebook_output.result if output.notebook_output else "") or ""
        error = output.error or message
        return Outcome(result, error, output.error_trace or "", output.logs or "", returned, cluster or "")

    def notebook_page(self, run: Run) -> tuple[str, str] | None:
        """Return the notebook as it ran, its name and HTML, None if Databricks has none."""
        from databricks.sdk.service.jobs import ViewsToExport

        task = run.tasks[0] if run.tasks else None
        with contextlib.suppress(OSError):
            views = self._client.jobs.export_run(task.run_id, views_to_export=ViewsToExport.CODE).views  # type: ignore[union-attr,arg-type]
            for view in views or ():
                if view.content:
                    return view.name or "notebook", view.content
        return None


def _whole(limit: float | None) -> int | None:
    return None if limit is None else max(1, -int(-limit // 1))


def _life_cycle(run: Run) -> str:
    return run.state.life_cycle_state.value if run.state and run.state.life_cycle_state else "PENDING"
