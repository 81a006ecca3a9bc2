"""Whether a step runs: the conditions that it was given, and the steps before it that were skipped."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stepwell.conditions import Finding, single
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.findings import Told, Trees, read_finding
from stepwell.model.definitions import RunIf, StepDefinition


def why_skipped(store: Trees, step: StepDefinition, records: Mapping[str, Told], skipped: Collection[str]) -> str:
    """Return why the step does not run, '' if it does. `records` are of the steps before it, as far as they have one.

    A condition on what nobody knows yet is taken to hold.
    """
    told = [condition.finding.step for condition in step.run_if]
    before = next((name for name in step.upstream if name in skipped), "")
    if before and not step.run_after_skipped:
        return f"{before} was skipped"
    if unmet := next((name for name in told if name in skipped), ""):
        return f"{unmet} was skipped, which its condition is on"
    for condition in step.run_if:
        record = records.get(condition.finding.step)
        if record is not None and (reason := _why_not(store, condition, record)):
            return reason
    return ""


def unknown(step: StepDefinition, records: Mapping[str, Told], skipped: Collection[str]) -> list[Finding]:
    """Return what decides about the step and is not known yet."""
    return [one for one in dict.fromkeys(step.findings) if one.step not in records and one.step not in skipped]


def _why_not(store: Trees, condition: RunIf, record: Told) -> str:
    value = single(read_finding(store, condition.finding, record))
    if value is None:
        raise UserErrorException(
            f"The condition {str(condition.condition)!r} is on a value that is no number, text or series of numbers",
            hint="Log a single number, and put the condition on that.",
        )
    if condition.condition.is_met_by(value):
        return ""
    shown = value if isinstance(value, str) else f"{value:.6g}"
    return f"it runs if {condition.condition}, and that is {shown}"
