"""A task run's state as the event by which Prefect's own engine would have told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

ROUTE = "/events"
"""Where the server takes events, any number in a request."""

TASK_KEY = "stepwell.flows.engine.tasks.StepBody"
"""What Prefect calls the task of every step."""

_LONGEST_MESSAGE = 100_000

Event = dict[str, Any]


class Entered(NamedTuple):
    """A state that a task run enters: its type and name, when that is, why, and what Prefect keeps besides."""

    kind: str
    name: str
    at: str
    words: str = ""
    details: Mapping[str, Any] = MappingProxyType({})
    data: Mapping[str, Any] | None = None


def state_event(
    related: Sequence[Mapping[str, str]],
    task_run_id: str,
    facts: Mapping[str, Any],
    state: Entered,
    before: Entered | None = None,
) -> Event:
    """Return the event that a task run entered a state, from the one `before`.

    `facts` are the task run's own, as the server keeps them; `related` is what the event is about besides.
    """
    kind, name, at, words, _, data = state
    words = words[:_LONGEST_MESSAGE]
    return {
        "id": _id(task_run_id, state),
        "occurred": at,
        "event": f"prefect.task-run.{name}",
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{task_run_id}",
            "prefect.resource.name": facts["name"],
            "prefect.run-count": str(facts["run_count"]),
            "prefect.state-message": words,
            "prefect.state-name": name,
            "prefect.state-timestamp": at,
            "prefect.state-type": kind,
            "prefect.orchestration": "client",
        },
        "related": related,
        "payload": {
            "intended": {"from": before.kind if before else None, "to": kind},
            "initial_state": _told(before) if before else None,
            "validated_state": {**_told(state), "data": data},
            "task_run": facts,
        },
        **({"follows": _id(task_run_id, before)} if before else {}),
    }


def _told(state: Entered) -> dict[str, Any]:
    words = state.words[:_LONGEST_MESSAGE]
    return {"type": state.kind, "name": state.name, "message": words, "state_details": dict(state.details)}


def _id(task_run_id: str, state: Entered) -> str:
    return str(uuid5(NAMESPACE_URL, f"{task_run_id} {state.name} {state.at}"))  # told twice, it is recorded once


def waits_for(task_run_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return a step's inputs as Prefect draws its graph from them: the task runs that it waited for."""
    edges = [{"input_type": "task_run", "id": before} for before in task_run_ids]
    return {"bindings": [], **({"wait_for": edges} if edges else {})}
