"""The rule of reuse: which steps run, which have an earlier result used again, and why. Plan and run both decide here.

A result is used again if the store holds an intact record under the call's key, which is the digest of its fingerprint:
code, arguments, parameters, inputs by content, packages and all else that `binding` makes rows of. A step runs all the
same with `regenerate_outputs`, with `allow_reuse=False`, if it is strict and known to read an undeclared file, or if what ran
in an earlier run said that its result is incomplete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.command_code import uncovered_programs
from stepwell.flows.keys.earlier import foretold
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


def plan(context: RunContext, pipeline: PipelineDefinition, values: Mapping[str, Value]) -> tuple[Decision, ...]:
    """Return a decision for every step, in order, and run none of them."""
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
    written: dict[tuple[str, str], Artifact] = {}
    decided: dict[object, str] = {}
    decisions = []
    for step in pipeline.steps:
        inputs, waiting = _known_inputs(step, written)
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
        unknown = waiting or _unknown_looks(call.fingerprint)
        found = CacheDecision(_decide_waiting(context, call, waiting)) if unknown else decide(context, call)
        planned.decided(step.id, found.record)
        if found.record:
            written.update({(step.id, name): artifact for name, artifact in found.record.outputs.items()})
        else:
            decided.setdefault(_identity(call, waiting), step.id)
        decisions.append(_with_uncovered(context, step, found.decision))
    return tuple(decisions)


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
    step: StepDefinition, written: Mapping[tuple[str, str], Artifact]
) -> tuple[dict[str, Artifact], dict[str, OutputSource]]:
    known, waiting = {}, {}
    for port in step.inputs:
        if isinstance(port.source, OutputSource):
            artifact = written.get((port.source.step, port.source.output))
            if artifact:
                known[port.name] = artifact
            else:
                waiting[port.name] = port.source
    return with_files_beside(step, known, lambda before: written.get((before, BESIDE))), waiting


def _identity(call: StepCall, waiting: Mapping[str, OutputSource]) -> object:
    return call.key, tuple(sorted((name, source.step, source.output) for name, source in waiting.items()))


def _changes(context: RunContext, call: StepCall, unknown: Iterable[str] = ()) -> tuple[str, ...]:
    fingerprint = call.fingerprint
    nearest = context.store.nearest(call.definition.name, fingerprint)
    if nearest is None:
        return (NEVER_RAN,)
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
    label = elsewhere or RunFolder(context.store.run_folder(record.run_id)).label
    run = f"run {label}" if label == record.run_id else label
    return f"in {run} of {record.started[:19].replace('T', ' ')}"
