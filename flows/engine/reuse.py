"""The rule of reuse: which steps run, which have an earlier result used again, and why. Plan and run both decide here.

A result is used again if the store holds an intact record under the call's key (`Store.lookup`), which is the digest of its
fingerprint: code, arguments, parameters, inputs by content, packages and all else that `flows/keys/binding.py` makes rows of.
A step runs all the same with `regenerate_outputs`, with `allow_reuse=False`, if it is strict and known to read an undeclared
file, or if what ran in an earlier run said that its result is incomplete.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stepwell.blocks.store.sharing import LostBytes
from stepwell.flows.dynamic.mapped_steps import MOST_ITEMS, unfold
from stepwell.flows.dynamic.run_conditions import unknown, why_skipped
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.command_code import uncovered_programs
from stepwell.flows.keys.earlier import empty_folder
from stepwell.flows.keys.foretelling import foretold
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.flows.step_requests.run_state import PlannedRun
from stepwell.model.definitions import OutputSource, PipelineDefinition, StepDefinition
from stepwell.model.fingerprint import CONTENT, UNKNOWN, Fingerprint, Row
from stepwell.model.records import BESIDE, Artifact, Decision, StepCall, StepRecord, with_files_beside

_SEEN = ("read", "imported", "look")
_LATE = ("input", "beside", "look", "reading", "order")
NEVER_RAN = "no earlier result of this step is known"


@dataclass(frozen=True, slots=True)
class CacheDecision:
    """A decision, and the checked record if it is to reuse one."""

    decision: Decision
    record: StepRecord | None = None


def decide(context: RunContext, call: StepCall) -> CacheDecision:
    """Decide whether a call whose inputs are all known runs or has an earlier result used again, and why."""
    reason = _reason_to_run(context, call.definition, call.fingerprint)
    if reason:
        return _run(call.definition, reason)
    found = context.store.lookup(call.key)
    if isinstance(found, StepRecord):
        if found.incomplete and found.run_id != context.run.run_id:
            return _run(call.definition, f"its result {_when(context, found)} is incomplete: {found.incomplete}")
        return CacheDecision(Decision(call.definition.id, "reuse", (f"the same as {_when(context, found)}",)), found)
    if found.reason:
        return _run(call.definition, found.reason)
    return _run(call.definition, *_changes(context, call), *foretold(context.store, call))


def _reason_to_run(context: RunContext, step: StepDefinition, fingerprint: Fingerprint) -> str:
    if context.regenerate:
        return "regenerate_outputs is set"
    if not step.allow_reuse:
        return "allow_reuse is False"
    undeclared = (
        [row.name for row in fingerprint.rows if row.kind == "read" and _is_content(row)] if step.strict else []
    )
    return f"it is strict and read {undeclared[0]}, which nothing declares" if undeclared else ""


def _is_content(row: Row) -> bool:
    return row.value.startswith(CONTENT) and not row.name.endswith("/")


def foresee(context: RunContext, pipeline: PipelineDefinition) -> None:
    """Let the store know what is going to be looked up: a step that is mapped stands for many."""
    mapped = any(step.each for step in pipeline.steps)
    context.store.foresee(pipeline.name, MOST_ITEMS if mapped else len(pipeline.steps))


def plan(context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value]) -> tuple[Decision, ...]:
    """Return a decision for every step, in order, and run none of them."""
    foresee(context, pipeline)
    planned = context.planned = PlannedRun(pipeline, partial(_facts, context, pipeline, values))
    try:
        return _plan(context, pipeline, values, planned)
    finally:
        context.planned = None


def _facts(context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the facts that a run would have, as far as they decide anything."""
    shown = {p.name: "***" if p.secret else as_text(values[p.name]) for p in pipeline.parameters}
    return {"properties": context.expected_properties(), **context.run.facts(), "parameters": shown}


def _plan(
    context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value], planned: PlannedRun
) -> tuple[Decision, ...]:
    records: dict[str, StepRecord] = {}
    skipped, unsure = set[str](), set[str]()
    decided: dict[object, str] = {}
    decisions = []
    steps, known = deque(pipeline.steps), {step.id for step in pipeline.steps}
    while steps:
        step = steps.popleft()
        if foreseen := _foreseen(context, step, records, skipped, unsure):
            decisions.append(foreseen)
            planned.decided(step.id, None)
            continue
        if step.each:
            *found, joining = unfold(context.store, step, records, known)
            steps.extendleft(reversed((*found, joining)))
            known.update(child.id for child in found)
            continue
        inputs, waiting = _known_inputs(context, step, records, skipped)
        call = context.call(step, values, inputs, early=True)
        if missing := [p.name for p in step.inputs if p.name not in call.inputs and p.name not in waiting]:
            decisions.append(Decision(step.id, "depends", (f"the data of its input {missing[0]!r} have yet to come",)))
            planned.decided(step.id, None)
            continue
        duplicate = decided.get(_identity(call, waiting))
        if duplicate is not None and not _reason_to_run(context, step, call.fingerprint):
            decisions.append(
                Decision(step.id, "depends" if waiting else "reuse", (f"the same as step {duplicate} of this run",))
            )
            planned.decided(step.id, None)
            continue
        late = waiting or _unknown_looks(call.fingerprint)
        found_now = CacheDecision(_decide_waiting(context, call, waiting)) if late else decide(context, call)
        planned.decided(step.id, found_now.record)
        if found_now.record:
            records[step.id] = found_now.record
        else:
            decided.setdefault(_identity(call, waiting), step.id)
        decisions.append(_with_uncovered(context, step, found_now.decision))
    return tuple(decisions)


def _foreseen(
    context: RunContext,
    step: StepDefinition,
    records: Mapping[str, StepRecord],
    skipped: set[str],
    unsure: set[str],
) -> Decision | None:
    """Return the decision on a step that does not run, or of which nobody knows yet whether, or for what; else None.

    It joins those that are skipped, or that may be.
    """
    with suppress(LostBytes):  # the step that makes them will run
        if reason := why_skipped(context.store, step, records, skipped):
            skipped.add(step.id)
            return Decision(step.id, "skip", (reason,))
    told = unknown(step, records, skipped)
    may_be = next((before for before in step.upstream if before in unsure), "")
    conditions = [str(one.condition) for one in step.run_if if one.finding in told]
    words = [f"{may_be} may be skipped"] if may_be and not step.run_after_skipped else []
    words += [f"it runs if {condition}, which is not known yet" for condition in conditions]
    if words:
        unsure.add(step.id)
    lists = dict.fromkeys(str(each.items) for each in step.each if each.items in told)
    words += [f"it runs once for each of {one}, which is not known yet" for one in lists]
    return Decision(step.id, "depends", tuple(words)) if words else None


def _with_uncovered(context: RunContext, step: StepDefinition, decision: Decision) -> Decision:
    """Return the decision, which says last what of the step decides its result and is in no key."""
    programs = uncovered_programs(step, context.source(step.source_directory))
    words = (f"not covered: which {program} is installed",) if (program := ", ".join(programs)) else ()
    return replace(decision, why=(*decision.why, *words))


def _decide_waiting(context: RunContext, call: StepCall, waiting: Mapping[str, OutputSource]) -> Decision:
    step = call.definition
    reason = _reason_to_run(context, step, call.fingerprint)
    if reason:
        return Decision(step.id, "run", (reason,))
    looks = _unknown_looks(call.fingerprint)
    unknown = {*waiting, *(row.name for row in looks)}
    if any(
        _known_rows(record.fingerprint, unknown) == _known_rows(call.fingerprint, unknown)
        for record in _similar(context, call)
    ):
        words = (f"{source.step} has yet to write {source.output}" for source in waiting.values())
        before = ", ".join(context.run_state().unknown)
        more = (f"{before} may yet set {row.label}" for row in looks)
        return Decision(step.id, "depends", tuple(dict.fromkeys((*words, *more))))
    return Decision(step.id, "run", _changes(context, call, unknown))


def _similar(context: RunContext, call: StepCall) -> Iterable[StepRecord]:
    return context.store.alike(call.fingerprint)


def _known_rows(fingerprint: Fingerprint, unknown: set[str]) -> set[tuple[str, str, str]]:
    return {row for row in fingerprint.rows if not (row.is_absence or (row.kind in _LATE and row.name in unknown))}


def _unknown_looks(fingerprint: Fingerprint) -> list[Row]:
    """Return what the script will ask of its run, as far as steps before it have yet to say it."""
    return [row for row in fingerprint.rows if row.kind == "look" and row.value == UNKNOWN]


def _known_inputs(
    context: RunContext, step: StepDefinition, records: Mapping[str, StepRecord], skipped: Container[str]
) -> tuple[dict[str, Artifact], dict[str, OutputSource]]:
    known, waiting = {}, {}
    for port in step.inputs:
        if isinstance(port.source, OutputSource):
            if port.source.step in skipped:
                known[port.name] = empty_folder(context.store)
            elif record := records.get(port.source.step):
                known[port.name] = record.outputs[port.source.output]
            else:
                waiting[port.name] = port.source

    def written_beside(before: str) -> Artifact | None:
        return records[before].outputs.get(BESIDE) if before in records else None

    return with_files_beside(step, known, written_beside), waiting


def _identity(call: StepCall, waiting: Mapping[str, OutputSource]) -> object:
    return call.key, tuple(sorted((name, source.step, source.output) for name, source in waiting.items()))


def _changes(context: RunContext, call: StepCall, unknown: Iterable[str] = ()) -> tuple[str, ...]:
    fingerprint = call.fingerprint
    nearest = context.store.nearest(call.definition.name, fingerprint)
    if nearest is None:
        return (f"it joins what {len(call.inputs)} items have",) if call.definition.joins else (NEVER_RAN,)
    hidden, seen = set(unknown), {(row.kind, row.name) for row in fingerprint.rows if row.kind in _SEEN}
    now, then = (
        Fingerprint(
            tuple(
                row
                for row in rows
                if not (row.kind in _LATE and row.name in hidden)
                and not (
                    row.kind in _SEEN and (row.kind, row.name) not in seen
                )  # what new code will do is not known yet
            )
        )
        for rows in (fingerprint.rows, nearest.fingerprint.rows)
    )
    words = now.diff(then, context.store.explain_trees)
    lone = {f"input {name} changed": os.path.basename(call.inputs[name].path) for name in call.datasets}
    named = (f"{line} ({lone[line]} changed)" if line in lone else line for line in words)
    return tuple(named) or (f"the result of {_when(context, nearest)} is gone",)


def _run(step: StepDefinition, *why: str) -> CacheDecision:
    return CacheDecision(Decision(step.id, "run", why))


def _when(context: RunContext, record: StepRecord) -> str:
    elsewhere = context.store.label_of(record)
    label = elsewhere or context.label_of(record.run_id)
    run = f"run {label}" if label == record.run_id else label
    return f"in {run} of {record.started[:19].replace('T', ' ')}"
