"""Task runs that no engine of Prefect's runs: its server is told of them by us, of many at once.

That of a step whose result was served has one state, `Cached`: it was never pending, and never ran. Those of steps that run
are told of while they do, by `performed`. Their rows are those that Prefect's engine makes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from opentelemetry import trace
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, TaskRunPolicy
from prefect.context import FlowRunContext, TagsContext
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler
from prefect.settings import Settings, get_current_settings

from stepwell.blocks.server.connection import is_hung
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.guard.early_answers import AT_ONCE
from stepwell.blocks.server.patience import SECONDS_WITHOUT_ANSWER, note_missed
from stepwell.flows.task_runs.events import ROUTE, TASK_KEY, Entered, Event, artifact_event, state_event, waits_for
from stepwell.flows.task_runs.sending import at_end, send_lines, take
from stepwell.model.definitions import StepDefinition

try:  # the doors that are no public names of Prefect's
    from prefect._internal.uuid7 import uuid7
    from prefect.events.related import object_as_related_resource, tags_as_related_resources
    from prefect.utilities.engine import emit_task_run_state_change_event as _engines_way
except ImportError:
    _engines_way = None  # type: ignore[assignment]

_AT_ONCE = 1000
_MOST_ON_THEIR_WAY = 4
"""How many requests the server's recorder may be behind: what does not fit into its memory it drops, and says nothing."""

_PAUSE_SECONDS = 0.1
_SOON_SECONDS, _SECONDS_AFTER_FAILURE = 1.0, 5.0
"""How long what happens to a step that runs may wait: all that a short step goes through, the server then writes at once."""

_LOGGER = "prefect.task_runs"
_CUT, _AROUND, _LONGEST_CHARACTER = "... [truncated]", 500, 12
_MOST_LINES, _MOST_TEXT = 1000, 2_000_000
"""How many lines, and characters in them, go into one request."""


class _Named(NamedTuple):
    """What is known of an object of Prefect's without asking for it."""

    id: UUID
    name: str


@dataclass
class _Batch:
    """What the server has to be told next."""

    events: list[Event] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.logs)


class ServedTaskRuns:
    """The task runs of one flow run of which the server is told here. Close it at the end."""

    def __init__(self, flow: FlowRunContext) -> None:
        assert flow.flow is not None
        assert flow.flow_run is not None
        self._flow_name, self._flow_run = flow.flow.name, flow.flow_run
        self._tags = sorted(TagsContext.get().current_tags)
        self._log_handlers = list(_handlers_for_the_server())
        self._policies: dict[str, Any] = {}
        self._related: list[dict[str, str]] = []
        self._related_to_flow: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._waiting, self._sent = _Batch(), list[tuple[str, int]]()
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stepwell-served")
        self._due, self._closing = False, threading.Event()

    @classmethod
    def of_current_flow(cls) -> ServedTaskRuns | None:
        """Return the task runs of the current flow run, None if Prefect's engine alone can do what is asked for here."""
        settings, flow = get_current_settings(), FlowRunContext.get()
        if _engines_way is None or flow is None or flow.flow is None or flow.flow_run is None:
            return None
        if settings.tasks.disable_caching or _is_traced(settings):
            return None
        return cls(flow)

    def new_id(self) -> str:
        """Return the id of a task run to be added."""
        return str(uuid7())

    def add(
        self,
        task_run_id: str,
        step: StepDefinition,
        metadata: Mapping[str, Any],
        words: str,
        upstream: Sequence[str],
        began: datetime,
    ) -> None:
        """Add the task run of a step whose result was served.

        `metadata` is what Prefect finds the result by, `words` say what happened and why, `upstream` are the ids of the task
        runs that the step waited for; its turn came when it `began`.
        """
        ended = datetime.now(UTC)
        at = ended.isoformat()
        facts = {
            **self.facts(step, upstream, began),
            "run_count": 1,
            "flow_run_run_count": self._flow_run.run_count,
            "start_time": began.isoformat(),
            "end_time": at,
            "total_run_time": (ended - began).total_seconds(),
        }
        cached = Entered("COMPLETED", "Cached", at, words, data=metadata)
        self.tell_of(self.event(task_run_id, facts, cached), self.lines(task_run_id, step, logging.INFO, words))

    def facts(self, step: StepDefinition, upstream: Sequence[str], began: datetime) -> dict[str, Any]:
        """Return what the server keeps of a task run whose turn came when it `began`."""
        return {
            "name": step.id,
            "task_key": TASK_KEY,
            "dynamic_key": str(uuid4()),
            "empirical_policy": self._policy(step),
            "tags": self._tags,
            "labels": {},
            "task_inputs": waits_for(upstream),
            "run_count": 0,
            "flow_run_run_count": 0,
            "expected_start_time": began.isoformat(),
            "total_run_time": 0.0,
        }

    def event(self, task_run_id: str, facts: Mapping[str, Any], state: Entered, before: Entered | None = None) -> Event:
        """Return the event that the task run entered a state."""
        return state_event(self._related, task_run_id, facts, state, before)

    def tell_of(self, event: Event | None, lines: Iterable[dict[str, Any]]) -> None:
        """Let the server be told of an event, and of lines that were logged, with what waits already."""
        new = [line for line in lines if not take(line)]
        with self._lock:
            self._waiting.logs += new
            if event is not None:
                self._waiting.events.append(event)

    def add_artifact(self, artifact: Mapping[str, Any]) -> None:
        """Add the event that an artifact of the flow run was created, of which the server said this."""
        event = artifact_event(self._related_to_flow, artifact, datetime.now(UTC).isoformat())
        with self._lock:
            self._waiting.events.append(event)

    @property
    def has_tags(self) -> bool:
        """Whether the task runs have tags: each may limit how many run at once, in all flows."""
        return bool(self._tags)

    @property
    def flow_run_run_count(self) -> int:
        """How often the flow run has been started."""
        return self._flow_run.run_count

    def soon(self, seconds: float = _SOON_SECONDS) -> None:
        """Tell the server, in the background and within a moment, of what was added since the last time."""
        with self._lock:
            if self._due or not self._waiting or self._closing.is_set():
                return
            self._due = True
            context = copy_context()
            self._sender.submit(lambda: context.run(self._tell_after, seconds))

    def _tell_after(self, seconds: float) -> None:
        self._closing.wait(seconds)
        with self._lock:
            self._due = False
        if not self._tell():
            self.soon(_SECONDS_AFTER_FAILURE)

    def close(self) -> None:
        """Tell the server of the rest, once it knows how the run ended; what it does not take, `stepwell server sync` tells it."""
        context = copy_context()
        if not at_end(lambda: context.run(self._tell_rest)):
            self._tell_rest()

    def _tell_rest(self) -> None:
        with self._lock:
            self._closing.set()
        self._sender.shutdown(wait=True)
        if self._waiting and not self._tell():
            note_missed()

    # Telling --------------------------------------------------------------------------------------------------------

    def _tell(self) -> bool:
        """Tell the server what waits, and return whether it took everything; what it did not take waits again."""
        if is_hung():
            return False
        with self._lock:
            batch, self._waiting = self._waiting, _Batch()
        try:
            with client() as api:
                if not self._related:
                    found = list(_objects(api, self._flow_run, self._flow_name))
                    self._related_to_flow += [*_resources(found), *_tags(found)]
                    self._related += [*_named(self._tags), *_resources(found), *_tags(found, but=self._tags)]
                while batch.events:
                    self._await_recorder(api)
                    events = batch.events[:_AT_ONCE]
                    api.request("POST", ROUTE, json=events, headers=AT_ONCE)  # type: ignore[arg-type]
                    self._note_sent(events)
                    del batch.events[:_AT_ONCE]
                while batch.logs:
                    lines = _first(batch.logs)
                    send_lines(api, lines)
                    del batch.logs[: len(lines)]
        except Exception:  # noqa: BLE001  (whatever keeps the server from it, the run goes on)
            with self._lock:
                self._waiting = replace(
                    batch, events=batch.events + self._waiting.events, logs=batch.logs + self._waiting.logs
                )
            return False
        return True

    def _note_sent(self, events: Sequence[Event]) -> None:
        count, last = len(events), self._sent[-1] if self._sent else ("", _AT_ONCE)
        if last[1] + count <= _AT_ONCE:  # many small ones count as one
            count += self._sent.pop()[1]
        self._sent.append((_task_run_of(events[-1]), count))

    def _await_recorder(self, api: SyncPrefectClient) -> None:
        """Wait, not for ever, until the server has recorded all but the latest of what it took."""
        deadline = time.monotonic() + SECONDS_WITHOUT_ANSWER
        while len(self._sent) > _MOST_ON_THEIR_WAY and time.monotonic() < deadline:
            try:
                api.read_task_run(UUID(self._sent[0][0]))
            except ObjectNotFound:
                time.sleep(_PAUSE_SECONDS)
            else:
                del self._sent[0]

    # Parts ----------------------------------------------------------------------------------------------------------

    def _policy(self, step: StepDefinition) -> dict[str, Any]:
        """Return how the step would be tried again, as Prefect words it."""
        delay = step.retry_delay_seconds
        known = f"{step.retries} {delay}"
        if known not in self._policies:
            policy = TaskRunPolicy(retries=step.retries, retry_delay=delay, retry_jitter_factor=None)
            self._policies[known] = policy.model_dump(mode="json", exclude_none=True)
        return dict(self._policies[known])

    def lines(
        self, task_run_id: str, step: StepDefinition, level: int, words: str, error: BaseException | None = None
    ) -> list[dict[str, Any]]:
        """Log the words, as Prefect's logger of the task run would, and return the lines that are for the server."""
        logger = logging.getLogger(_LOGGER)
        if not logger.isEnabledFor(level):
            return []
        flow_run_id = str(self._flow_run.id)
        trace = (type(error), error, error.__traceback__) if error else None
        record = logger.makeRecord(logger.name, level, __file__, 0, words, (), trace, extra={
            "task_run_id": task_run_id, "flow_run_id": flow_run_id, "task_run_name": step.id, "task_name": step.name,
            "flow_run_name": self._flow_run.name, "flow_name": self._flow_name, "send_to_api": False,
        })  # fmt: skip
        logger.handle(record)
        line = {
            "name": logger.name,
            "level": level,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        line |= {"flow_run_id": flow_run_id, "task_run_id": task_run_id}
        return [
            {**line, "message": _shortened(handler.format(record))}
            for handler in self._log_handlers
            if handler.level <= level
        ]


def _shortened(message: str) -> str:
    """Return the message, cut as Prefect cuts what is too long for its server."""
    most = get_current_settings().logging.to_api.max_log_size - _AROUND
    if len(message) * _LONGEST_CHARACTER <= most or (size := len(json.dumps(message))) <= most:
        return message
    return message[: max(len(message) - (size - most) - len(_CUT), 0)] + _CUT


def _is_traced(settings: Settings) -> bool:
    """Return whether somebody collects the spans in which Prefect's engine wraps each task."""
    nobody = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return settings.cloud.enable_orchestration_telemetry and not nobody


def _first(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first of the lines, as many as go into one request, and at least one."""
    sizes = accumulate(len(line["message"]) for line in lines[:_MOST_LINES])
    return list(lines[: max(1, sum(size <= _MOST_TEXT for size in sizes))])


def _task_run_of(event: Event) -> str:
    return str(event["resource"]["prefect.resource.id"]).removeprefix("prefect.task-run.")


def _handlers_for_the_server() -> Iterator[APILogHandler]:
    """Yield the handlers that would send lines of task runs to the server."""
    logger: logging.Logger | None = logging.getLogger(_LOGGER)
    while logger is not None and get_current_settings().logging.to_api.enabled:
        for handler in logger.handlers:
            if isinstance(handler, APILogHandler):
                yield handler
        logger = logger.parent if logger.propagate else None


def _objects(api: SyncPrefectClient, flow_run: FlowRun, flow_name: str) -> Iterator[tuple[str, Any]]:
    """Yield what Prefect's engine says that a flow run's events are about, with its kind: the run, and what started it."""
    yield "flow-run", flow_run
    yield "flow", _Named(flow_run.flow_id, flow_name)
    if flow_run.deployment_id:
        yield "deployment", api.read_deployment(flow_run.deployment_id)
    if flow_run.work_queue_id:
        yield "work-queue", _Named(flow_run.work_queue_id, str(flow_run.work_queue_name))
    if flow_run.work_pool_name:
        yield "work-pool", api.read_work_pool(flow_run.work_pool_name)


def _resources(objects: Iterable[tuple[str, Any]]) -> list[dict[str, str]]:
    return [object_as_related_resource(kind, kind, one).model_dump() for kind, one in objects]


def _tags(objects: Iterable[tuple[str, Any]], but: Iterable[str] = ()) -> list[dict[str, str]]:
    return _named({tag for _, one in objects for tag in getattr(one, "tags", ())}.difference(but))


def _named(tags: Iterable[str]) -> list[dict[str, str]]:
    return [resource.model_dump() for resource in tags_as_related_resources(tags)]
