"""The scheduler: submits every step that is ready and takes what ended, until no step is left or the run is stopped."""

from __future__ import annotations

import heapq
import queue
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from prefect.exceptions import TerminationSignal

from stepwell.blocks.store.sharing import LostBytes
from stepwell.errors import StepwellError
from stepwell.flows.dynamic.mapped_steps import MOST_ITEMS, unfold
from stepwell.flows.dynamic.run_conditions import why_skipped
from stepwell.flows.engine.performing import Performing, Place, Places, performed_by_prefect
from stepwell.flows.engine.results.outcome import Outcome
from stepwell.flows.engine.reuse import CacheDecision, decide, foresee
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.engine.tasks import (
    CacheLookup,
    Serving,
    StepFuture,
    make_task,
    starting,
    without_lines_of_reused_steps,
)
from stepwell.flows.parameters.pipeline_parameter import Value
from stepwell.model.definitions import PipelineDefinition, StepDefinition
from stepwell.model.records import StepCall, StepResult

_MOST_REUSED_AT_ONCE = 64
"""Steps whose results Prefect's engine serves take no place of their target, only a thread each."""

_Queue = Place | None
"""What steps wait for; None is a thread for a result that is there."""

_MOST_REWOUND = 3
"""How often a step waits for lost bytes to be made again, before that fails it."""

_REST_SECONDS = 0.004  # then those that were begun have started their processes, and the engine is at rest
_START_SECONDS = 0.006  # what it takes from then to the start of a process
_FAILED = "another step failed"


class _Freed(NamedTuple):
    """A step whose target has done its part: the result has yet to be kept, while the next step is at work."""

    id: str


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
        self._context, self._pipeline = context, pipeline
        self._steps = {step.id: step for step in pipeline.steps}
        self._order = {step: number for number, step in enumerate(self._steps)}
        self._values = values
        self._continue = continue_on_failure
        self._waiting = {step.id: set(step.upstream) for step in pipeline.steps}
        self._ready = deque(step for step, upstream in self._waiting.items() if not upstream)
        self._dependants: dict[str, list[str]] = defaultdict(list)
        for step in pipeline.steps:
            for before in step.upstream:
                self._dependants[before].append(step.id)
        self._futures: dict[str, StepFuture] = {}
        self._lookups: dict[str, CacheLookup] = {}
        self._rewound: Counter[str] = Counter()
        self._running: dict[str, StepCall] = {}
        self._keys: Counter[str] = Counter()
        self._same: dict[str, list[str]] = defaultdict(list)
        self._settled: set[str] = set()
        self._dispatched: dict[str, _Queue] = {}
        self._postponed: dict[str, tuple[StepCall, CacheDecision]] = {}
        self._queues: dict[_Queue, list[tuple[int, str]]] = defaultdict(list)
        self._places = Places(context)
        self._ended: queue.SimpleQueue[str | _Freed] = queue.SimpleQueue()
        self._outcome = Outcome()
        self._serving = Serving.of_current_flow(context, self._ended.put)
        self._performing = Performing(self._serving, max(len(self._steps), MOST_ITEMS)) if self._serving else None

    def run(self) -> Outcome:
        """Run every step and return the outcome. Ctrl-C and SIGTERM stop the steps, then count as a cancelled run."""
        foresee(self._context, self._pipeline)
        steps = self._steps.values()
        self._context.emit(*({"step": s.id, "status": "waiting", "upstream": list(s.upstream)} for s in steps))
        with without_lines_of_reused_steps():
            self._loop()
        self._outcome.cancelled = self._context.stop.stopped and self._context.stop.reason != _FAILED
        return self._outcome

    @property
    def tell_of_artifact(self) -> Callable[[Mapping[str, Any]], None] | None:
        """What tells Prefect's server with the steps that an artifact was created, None if nothing does."""
        return self._serving.tell_of_artifact if self._serving else None

    def tell_rest(self) -> None:
        """Tell Prefect's server of the steps of which it does not know yet. To be called at the end, if the server answers."""
        if self._performing:
            self._performing.close()
        if self._serving:
            self._serving.close()

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
        self._fill_places()
        while self._ready and self._ended.empty() and not self._context.stop.stopped:
            step = self._ready.popleft()
            if self._waiting.get(step) == set():
                self._try_launch(self._steps[step])
                self._fill_places()
        if self._context.stop.stopped:
            self._ready.clear()
            for step in list(self._waiting):
                self._give_up(step, "cancelled")

    def _try_launch(self, step: StepDefinition) -> None:
        """Use a result again, or queue the step for a place of its target; one that fails before it starts has failed."""
        try:
            if self._is_left_out(step) or self._is_unfolded(step):
                return
            call = self._context.call(step, self._values, self._outcome.inputs_of(step, self._context.store))
            decided = decide(self._context, call)
            queued_for = None if decided.record else self._places.of(step.as_job)
        except StepwellError as error:
            if isinstance(error, LostBytes) and self._rewound[step.id] < _MOST_REWOUND:
                self._rewind(step.id, error)
                return
            del self._waiting[step.id]
            self._fail(step.id, error.message)
            return
        if self._is_at_work(step, call):
            return
        if decided.record and self._serving:
            self._serve(self._serving, call, decided)
            return
        self._postponed[step.id] = call, decided
        heapq.heappush(self._queues[queued_for], (self._order[step.id], step.id))

    def _is_left_out(self, step: StepDefinition) -> bool:
        """Pass by a step that is not to run, and return whether it was; what depends on it sees to itself."""
        if reason := why_skipped(self._context.store, step, self._outcome.records_before(step), self._outcome.unmet):
            del self._waiting[step.id]
            self._outcome.unmet.add(step.id)
            self._context.emit({"step": step.id, "status": "skipped", "why": [reason]})
            self._let_go_on(step.id)
        return bool(reason)

    def _is_unfolded(self, step: StepDefinition) -> bool:
        """Put the steps of a mapped step's items, and the one that joins them, in its place; return whether it was one."""
        records = self._outcome.records_before(step)
        for one in unfold(self._context.store, step, records, self._steps) if step.each else ():
            self._steps[one.id], self._order[one.id] = one, self._order[step.id]
            self._waiting[one.id] = {before for before in one.upstream if before in self._waiting}
            for before in one.upstream:
                self._dependants[before].append(one.id)
            told = {} if one.id == step.id else {"item_of": step.id}
            self._context.emit({"step": one.id, "status": "waiting", "upstream": list(one.upstream), **told})
            self._ready.extend([] if self._waiting[one.id] else [one.id])
        return bool(step.each)

    def _is_at_work(self, step: StepDefinition, call: StepCall) -> bool:
        """Return whether the same step is at work, so that this one waits for its result."""
        if self._forced(step) or not self._keys[call.key]:
            return False
        self._same[call.key].append(step.id)
        return True

    def _fill_places(self) -> None:
        """Launch steps that are queued, in their order, for as long as there is room for one of them."""
        while not self._context.stop.stopped:
            heads = [(steps[0], name) for name, steps in self._queues.items() if steps and self._has_room(name)]
            if not heads:
                return
            (_, step_id), name = min(heads, key=lambda head: head[0])
            heapq.heappop(self._queues[name])
            launched = self._postponed.pop(step_id, None)
            if launched and step_id in self._waiting:  # it may wait again for what was lost
                self._launch(name, self._steps[step_id], *launched)

    def _has_room(self, name: _Queue) -> bool:
        if name is None:
            return len(self._running.keys() - self._dispatched) < _MOST_REUSED_AT_ONCE
        return self._places.has_room(name)

    def _launch(self, queued_for: _Queue, step: StepDefinition, call: StepCall, decided: CacheDecision) -> None:
        if self._is_at_work(step, call):
            return
        if call.key in self._settled and not decided.record and not self._forced(step):
            self._settled.discard(call.key)
            self._ready.append(step.id)  # the same step has ended well since: its result is there
            return
        self._start(call, decided)
        if not decided.record:
            self._dispatched[step.id] = queued_for
            self._places.take(queued_for, 1)
        self._perform(call, decided)

    def _start(self, call: StepCall, decided: CacheDecision) -> None:
        self._context.emit(starting(call, decided.decision.action, decided.decision.why))
        del self._waiting[call.definition.id]
        self._running[call.definition.id] = call
        self._keys[call.key] += 1

    def _serve(self, serving: Serving, call: StepCall, decided: CacheDecision) -> None:
        """Serve the step's result past Prefect's engine, or leave it to that if it can't be put where it belongs."""
        step = call.definition
        upstream = [self._task_run_id(before) for before in self._outcome.ran_before(step)]
        self._start(call, decided)
        if serving.takes_long(call):
            serving.begin(call, decided, upstream)
        elif (result := serving.serve(call, decided, upstream)) is not None:  # one without outputs is empty
            self._take_result(step.id, result)
        else:
            self._perform(call, decided)

    def _task_run_id(self, step: str) -> str:
        return str(self._futures[step].task_run_id) if step in self._futures else self._served.task_run_ids[step]

    @property
    def _served(self) -> Serving:
        assert self._serving is not None
        return self._serving

    def _perform(self, call: StepCall, decided: CacheDecision) -> None:
        """Perform the step, or use its result again: past Prefect's engine, or let that do it."""
        step = call.definition
        lookup = self._lookups[step.id] = CacheLookup(self._context, call, decided)
        lookup.rewinds = self._rewound[step.id] < _MOST_REWOUND
        lookup.on_end = partial(self._free, step.id)
        always = decided.decision.action == "run" and self._forced(step)
        if self._performing and self._performing.takes(step):
            upstream = [self._task_run_id(before) for before in self._outcome.ran_before(step)]
            self._performing.begin(lookup, upstream, always=always)
            return
        task = make_task(step, lambda _: lookup, self._context.store.locks, self._context.results, always=always)
        ended = [self._futures.get(before) or self._served.state(before) for before in self._outcome.ran_before(step)]
        future = task.submit(bindings={}, wait_for=ended)
        self._futures[step.id] = future
        future.add_done_callback(lambda _: self._ended.put(step.id))

    def _free(self, step: str) -> None:
        """Let another step have the place. In one Python both hold each other up: the other one's start comes first."""
        awaited = bool(self._queues.get(self._dispatched.get(step)))
        self._ended.put(_Freed(step))
        if awaited and not self._context.stop.stopped:
            time.sleep(_START_SECONDS)

    def _forced(self, step: StepDefinition) -> bool:
        return self._context.regenerate or not step.allow_reuse

    # Taking what ended ----------------------------------------------------------------------------------------------

    def _take_ended(self) -> None:
        if not self._running or (self._ready and self._ended.empty()):
            return
        if self._serving and self._ended.empty():
            self._serving.tell()
        try:
            self._settle(self._ended.get(timeout=_REST_SECONDS))
        except queue.Empty:
            if self._performing:
                self._prepare_next(self._performing)
            self._settle(self._ended.get())
        while not self._ended.empty():
            self._settle(self._ended.get())

    def _prepare_next(self, performing: Performing) -> None:
        """Prepare steps that wait for a place, as many as are at work for the same."""
        at_work = Counter(self._dispatched.values())
        for name, steps in self._queues.items():
            for _, step in heapq.nsmallest(at_work[name], steps):
                if step in self._postponed:
                    performing.prepare(self._postponed[step][0])

    def _settle(self, step: str | _Freed) -> None:
        if isinstance(step, _Freed):
            self._places.take(self._dispatched.pop(step.id, None), -1)
        else:
            self._settle_ended(step)

    def _settle_ended(self, step_id: str) -> None:
        if step_id in self._futures:
            ended = performed_by_prefect(self._futures[step_id])
        elif self._performing and self._performing.has(step_id):
            ended = self._performing.take(step_id)
        else:
            self._settle_served(step_id)
            return
        self._places.take(self._dispatched.pop(step_id, None), -1)
        if ended.result is not None:
            self._take_result(step_id, ended.result)
            return
        self._has_ended(step_id)
        if (lost := self._lookups[step_id].lost) and not self._context.stop.stopped:
            self._rewind(step_id, lost)
        elif ended.cancelled:
            self._context.emit({"step": step_id, "status": "cancelled"})
            self._outcome.skipped.append(step_id)
            if self._continue:  # it was cancelled alone
                self._skip_after(step_id)
            else:
                self._context.stop.stop()
        else:
            self._fail(step_id, ended.message)

    def _settle_served(self, step_id: str) -> None:
        result, decided = self._served.take(step_id)
        if result is None:
            self._perform(self._running[step_id], decided)
        else:
            self._take_result(step_id, result)

    def _take_result(self, step_id: str, result: StepResult) -> None:
        self._settled.add(self._has_ended(step_id).key)
        self._outcome.results[step_id] = result
        self._let_go_on(step_id)

    def _let_go_on(self, step_id: str) -> None:
        """Let those that wait for nothing but this step be launched."""
        for later in self._dependants[step_id]:
            if later in self._waiting:
                self._waiting[later].discard(step_id)
                if not self._waiting[later]:
                    self._ready.append(later)

    def _has_ended(self, step_id: str) -> StepCall:
        call = self._running.pop(step_id)
        self._keys[call.key] -= 1
        self._ready.extend(self._same.pop(call.key, ()))
        return call

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
                self._ready.append(before)
                self._futures.pop(before, None)
                self._settled.discard(result.record.key)
                for later in self._dependants[before]:
                    if later in self._waiting:
                        self._waiting[later].add(before)
                        self._postponed.pop(later, None)
        if not waits:
            self._fail(step_id, lost.message)
            return
        self._rewound[step_id] += 1
        self._waiting[step_id] = waits
        self._futures.pop(step_id, None)

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
