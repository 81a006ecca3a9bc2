"""What runs are compared by: their parameters in their own types, their tags, and their metrics with whose they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stepwell.blocks.store.run_folder import Event
from stepwell.conditions import MetricName
from stepwell.flows.runs.summary import RunSummary
from stepwell.script.metrics import metrics_of

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope


def events_of(summary: RunSummary) -> list[Event]:
    """Return what was logged for the run and by its steps, the oldest first."""
    found = [*summary.events, *(event for step in summary.steps for event in step.events)]
    return sorted(found, key=lambda event: float(event["time"]))


def tags_of(summary: RunSummary) -> dict[str, str | None]:
    """Return the run's tags as they are now."""
    found: dict[str, str | None] = dict(summary.facts.get("tags", {}))
    for event in events_of(summary):
        if event["scope"] == "parent" and event["type"] == "tag":
            found[event["name"]] = event["value"]
        elif event["scope"] == "parent" and event["type"] == "untag":
            found.pop(event["name"], None)
    return found


def note_of(summary: RunSummary) -> str:
    """Return what somebody said of the run, '' if nobody did."""
    return str(summary.facts.get("description") or "")


def all_metrics(summary: RunSummary) -> dict[MetricName, Any]:
    """Return the metrics of the run and its steps, but for pictures."""
    found = {MetricName("", name): value for name, value in _metrics(events_of(summary), "parent")}
    for step in summary.steps:
        found |= {MetricName(step.id, name): value for name, value in _metrics(step.events, "step")}
    return found


def _metrics(events: Iterable[Event], scope: Scope) -> Iterable[tuple[str, Any]]:
    return metrics_of((event for event in events if event["type"] == "metric"), scope).items()


def is_number(value: Any) -> bool:
    """Return whether the value is a number, and one that can be compared."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def seconds_of(summary: RunSummary) -> float | None:
    """Return how long the run took; None if it has not ended."""
    with suppress(ValueError):
        taken = datetime.fromisoformat(summary.ended) - datetime.fromisoformat(summary.started)
        return round(taken.total_seconds(), 3)
    return None
