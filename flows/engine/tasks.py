"""A step as a Prefect task: its cache key is the call's fingerprint, its result is a checked record of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, StateDetails, TaskRun
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.logging.loggers import task_run_logger
from prefect.states import Cancelled, Completed
from prefect.transactions import IsolationLevel
from prefect.utilities.engine import emit_task_run_state_change_event

from stepwell.blocks.store.run_folder import Event
from stepwell.blocks.store.sharing import WAITER, LostBytes
from stepwell.blocks.system.locks import KeyLocks
from stepwell.blocks.workspace.results import LOOKUP, CacheHit, ResultsBlock, StepResultSerializer, result_path
from stepwell.errors import StepCancelledException, StepwellError, StoreException
from stepwell.flows.engine.execution import Prepared, perform
from stepwell.flows.engine.materialization import materialize, only_links
from stepwell.flows.engine.reuse import CacheDecision, decide
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.task_runs.served import ServedTaskRuns
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import StepCall, StepRecord, StepResult

StepFuture = PrefectFuture[StepResult]
_MOST_MADE_AGAIN = 5
_LOST = "the bytes of its input can't be had: the step that makes them runs again"

_MOST_AT_ONCE = 64
"""How many results are put where they belong at once, if that takes more than a link."""


class CacheLookup:
    """The lookup that a Prefect task makes for one call: a hit is its record, a miss leaves the call to be performed.

    `decision` is what the scheduler decided already, if it did.
    """

    def __init__(self, context: RunContext, call: StepCall, decision: CacheDecision | None = None) -> None:
        self.context = context
        self.call = call
        self.why: tuple[str, ...] | None = decision.decision.why if decision else None
        self._decision = decision
        self._hit: CacheHit | None = None
        self.failure: StepwellError | None = None
        """Why the attempt before this one failed."""
        self.task_run_id = ""
        self.rewinds = False
        """Whether the step that made lost bytes can be run again for this one."""
        self.lost: LostBytes | None = None
        """What was to be read, and can't be had."""
        self.on_end: Callable[[], None] = lambda: None
        """Called once the step needs its target no more, though its result has yet to be kept."""
        self.log: Callable[[str], None] | None = None
        """Where the step's log is, if not in the task of Prefect's that runs now."""
        self.prepared: Prepared | None = None
        """What its first attempt needs, if that was made before its turn."""

    def look_up(self, _: str) -> CacheHit:
        """Return the checked record, its outputs materialized; raise StoreException if the call has to be performed.

        Prefect looks up twice per task; the second result is the first.
        """
        if self._hit is None:
            found = self._decided_record() or self._decide_now()
            if found is None:
                raise StoreException("There is no result to use again")
            materialize(self.context, self.call.definition, found, fresh=False)
            self.context.store.share(found)
            origin = self.context.store.origin(found.key)
            _tell_when_cached(self.words("reused"))
            self._hit = CacheHit(found)
            _served.setdefault(self.context, []).append(self)
            self.context.emit(
                {
                    "step": self.call.definition.id,
                    "status": "reused",
                    "from_run": found.run_id,
                    "step_run_id": found.step_run_id,
                    "task_run_id": self.task_run_id,
                    "saved": found.seconds,
                    "key": found.key,
                    **({"made_by": origin} if origin else {}),
                }
            )
        return self._hit

    def served(self, tree: str) -> bool:
        """Return whether the record that was found names the tree."""
        return self._hit is not None and any(a.digest == tree for a in self._hit.record.outputs.values())

    @property
    def stopped(self) -> bool:
        """Whether the run is to end: nobody waits for a result any longer."""
        return self.context.stop.stopped

    def tell(self, words: str) -> None:
        """Tell what the step waits for."""
        (self.log or get_run_logger().info)(words)
        self.context.emit({"step": self.call.definition.id, "progress": words})

    def words(self, happened: str) -> str:
        """Return what happens to the step and why, as Prefect is told: `reused: the same as in digits#12 of …`."""
        if self.why is None:
            self._decide_now()
        return self.context.redactor.redact(": ".join([happened, *filter(None, ["; ".join(self.why or ())])]))

    def _decide_now(self) -> StepRecord | None:
        found = decide(self.context, self.call)
        self.why, why = found.decision.why, list(found.decision.why)
        self.context.emit(starting(self.call, found.decision.action, why))
        return found.record

    def _decided_record(self) -> StepRecord | None:
        decision, self._decision = self._decision, None
        return decision.record if decision else None


def starting(call: StepCall, action: str, why: Iterable[str]) -> Event:
    """Return the event that a step starts, with the datasets that it reads."""
    event = {"step": call.definition.id, "status": "starting", "action": action, "why": list(why)}
    return {**event, "datasets": call.datasets} if call.datasets else event


def _tell_when_cached(words: str) -> None:
    """Let the cached state that the task ends in say why: a hook follows it with the same state and these words."""
    current = TaskRunContext.get()
    if current is None:
        return
    ours = current.task_run.id

    def reason(_: object, task_run: TaskRun, state: State) -> None:
        if task_run.id == ours:
            told = state.model_copy(update={"id": uuid4(), "timestamp": datetime.now(UTC), "message": words})
            emit_task_run_state_change_event(task_run=task_run, initial_state=state, validated_state=told)
            task_run_logger(task_run).info(words)

    current.task.on_completion_hooks.append(reason)


Prepare = Callable[[Mapping[str, Any]], CacheLookup]
"""From a step's bindings, its parameters and inputs by name as Prefect resolved them, to the lookup of its call."""

_CURRENT: ContextVar[tuple[object, CacheLookup | StepwellError] | None] = ContextVar("stepwell_current", default=None)


_served: WeakKeyDictionary[RunContext, list[CacheLookup]] = WeakKeyDictionary()
"""What each run used again."""


@dataclass
class StepReuse(CachePolicy):
    """Prefect's cache key of a step: the workspace and the fingerprint's key."""

    prepare: Prepare | None = None

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str | None:
        """Return `<workspace>.<key>`, and let Prefect read the task's result through the call's own cache lookup.

        What can't be bound has no key; the task's body then raises the error.
        """
        lookup = _prepared(cast("Prepare", self.prepare), inputs["bindings"])
        _CURRENT.set((task_ctx.task_run.id, lookup))
        if isinstance(lookup, StepwellError):
            return None
        lookup.task_run_id = str(task_ctx.task_run.id)
        LOOKUP.set(lookup.look_up)
        WAITER.set(lookup)
        return result_path(lookup.context.workspace.name, lookup.call.key)


class StepBody:
    """The body of a step's task. It is no function, since Prefect looks for a function's source, a millisecond each."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare

    def __call__(self, bindings: dict[str, Any]) -> Any:
        """Run the step; return the state that it ends in, which holds its result, if there is one, and says why it ran."""
        return _run(self._prepare, bindings)


def make_task(
    definition: StepDefinition, prepare: Prepare, locks: KeyLocks, results: ResultsBlock, *, always: bool = False
) -> Task[..., StepResult]:
    """Return the Prefect task of a step. `always`: it runs even if its result is known."""
    return Task(
        fn=StepBody(prepare),
        name=definition.name,
        description=f"{definition.type} of Stepwell",
        task_run_name=definition.id.replace("{", "{{").replace("}", "}}"),
        cache_policy=StepReuse(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=locks, prepare=prepare),
        persist_result=True,
        result_storage=results,
        result_serializer=StepResultSerializer(),
        refresh_cache=always or not definition.allow_reuse,
        retries=definition.retries,
        retry_delay_seconds=definition.retry_delay_seconds,
        retry_condition_fn=_may_retry,
    )


def _may_retry(*_: object) -> bool:
    current = _CURRENT.get()
    return not (current and isinstance(current[1], CacheLookup) and current[1].context.stop.stopped)


def _run(prepare: Prepare, bindings: Mapping[str, Any]) -> Any:
    task_context = TaskRunContext.get()
    assert task_context is not None
    current = _CURRENT.get()
    lookup = current[1] if current and current[0] == task_context.task_run.id else _prepared(prepare, bindings)
    if isinstance(lookup, StepwellError):
        raise lookup
    task_run = task_context.task_run
    ended = attempt(
        lookup, str(task_run.id), get_run_logger().info, last=task_run.run_count > lookup.call.definition.retries
    )
    if ended.record is None:
        return Cancelled(message=ended.words)
    return Completed(message=ended.words, data=StepResult(ended.record, lookup.context.workspace.name))


class Ended(NamedTuple):
    """How an attempt ended: with a record, or cancelled; and what Prefect is told of that."""

    words: str
    record: StepRecord | None = None


def attempt(lookup: CacheLookup, step_run_id: str, tell: Callable[[str], None], *, last: bool) -> Ended:
    """Run the step, `tell` what its log gets, and return how it ended; what failed is raised. `last`: it is not tried again."""
    context, call = lookup.context, lookup.call
    step = call.definition.id
    if lookup.failure and context.stop.stopped:  # it failed by itself, and won't be tried again
        raise lookup.failure
    words = lookup.words("ran")
    tell(f"runs: {words.partition(': ')[2]}")
    context.emit({"step": step, "status": "running", "step_run_id": step_run_id})
    try:
        record = _performed(
            lookup, step_run_id, lambda text: tell(text.rstrip("\n")), lookup.on_end if last else lambda: None
        )
    except LostBytes as error:
        if not lookup.rewinds:
            raise
        lookup.lost = error
        context.emit({"step": step, "status": "waiting", "why": [_LOST]})
        return Ended(_LOST)
    except StepCancelledException as error:
        context.emit({"step": step, "status": "cancelled"})
        return Ended(error.title)
    except StepwellError as error:
        lookup.failure = error
        ends = last or context.stop.stopped
        context.emit({"step": step, "status": "failed" if ends else "retrying", "error": error.message})
        raise
    context.emit({"step": step, "status": "done", "seconds": record.seconds, "key": record.key})
    return Ended(words, record)


def _performed(
    lookup: CacheLookup, step_run_id: str, on_output: Callable[[str], None], on_end: Callable[[], None] = lambda: None
) -> StepRecord:
    """Perform the call. Where no engine does it, steps whose bytes are lost are performed once more before it."""
    context = lookup.context
    for left in reversed(range(_MOST_MADE_AGAIN)):
        try:
            prepared, lookup.prepared = lookup.prepared, None
            return perform(context, lookup.call, step_run_id, on_output, on_end, prepared)
        except LostBytes as error:
            maker = next((one for one in _served.get(context, ()) if one.served(error.tree)), None)
            if lookup.rewinds or maker is None or not left:
                raise
            step, again = maker.call.definition.id, str(uuid4())
            context.emit({"step": step, "status": "running", "step_run_id": again})
            made = _performed(maker, again, on_output)
            context.emit({"step": step, "status": "done", "seconds": made.seconds, "key": made.key})
    raise AssertionError


def _prepared(prepare: Prepare, bindings: Mapping[str, Any]) -> CacheLookup | StepwellError:
    try:
        return prepare(bindings)
    except StepwellError as error:
        return error


@contextmanager
def without_lines_of_reused_steps() -> Iterator[None]:
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


# Served past Prefect's engine -------------------------------------------------------------------------------------------


class Serving:
    """Serves results without Prefect's engine, and has Prefect's server told of that. `ended` gets the ids of what `begin` began."""

    def __init__(self, context: RunContext, task_runs: ServedTaskRuns, ended: Callable[[str], None]) -> None:
        self.context = context
        self.task_runs = task_runs
        self.ended = ended
        self.tell_of_artifact = task_runs.add_artifact
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="stepwell-serving")
        self._begun: dict[str, tuple[Future[StepResult | None], CacheDecision]] = {}
        self.task_run_ids: dict[str, str] = {}
        """The task runs of the steps that were served."""

    @classmethod
    def of_current_flow(cls, context: RunContext, ended: Callable[[str], None]) -> Serving | None:
        """Return what serves the steps of the current flow run, None if Prefect's engine has to."""
        task_runs = ServedTaskRuns.of_current_flow()
        return None if task_runs is None else cls(context, task_runs, ended)

    def takes_long(self, call: StepCall) -> bool:
        """Return whether more is to be done than to link outputs, so that other steps had better not wait for it."""
        return self.context.store.shares or not only_links(self.context, call.definition)

    def serve(self, call: StepCall, decided: CacheDecision, upstream: Sequence[str]) -> StepResult | None:
        """Return the decided result, its outputs at their places; None if they can't be put there."""
        began, lookup = datetime.now(UTC), CacheLookup(self.context, call, decided)
        lookup.task_run_id = self.task_runs.new_id()
        try:
            record = lookup.look_up("").record
        except Exception:  # noqa: BLE001  (Prefect's engine takes it for a miss, whatever it is)
            return None
        workspace = self.context.workspace.name
        metadata = self.context.results.plain_metadata(result_path(workspace, call.key))
        self.task_runs.add(lookup.task_run_id, call.definition, metadata, lookup.words("reused"), upstream, began)
        self.task_run_ids[call.definition.id] = lookup.task_run_id
        return StepResult(record, workspace)

    def begin(self, call: StepCall, decided: CacheDecision, upstream: Sequence[str]) -> None:
        """Serve the result in a thread; `take` has it then."""
        step = call.definition.id
        found = self._threads.submit(copy_context().run, self.serve, call, decided, upstream)
        self._begun[step] = found, decided
        found.add_done_callback(lambda _: self.ended(step))

    def take(self, step: str) -> tuple[StepResult | None, CacheDecision]:
        """Return what `serve` returned, and on which decision."""
        found, decided = self._begun.pop(step)
        return found.result(), decided

    def state(self, step: str) -> State[bool]:
        """Return the state of a step that was served, for tasks that waited for it."""
        ids = {"task_run_id": self.task_run_ids[step], "flow_run_id": self.context.run.run_id}
        return Completed(name="Cached", data=True, state_details=StateDetails.model_validate(ids))

    def tell(self) -> None:
        """Have Prefect's server told, in the background, of what was served."""
        self.task_runs.soon()

    def close(self) -> None:
        """Have Prefect's server told of the rest, if it answers."""
        self._threads.shutdown()
        self.task_runs.close()
