"""A task run's state as the event by which Prefect's own engine would have told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

ROUTE = "/events"
"""Where the server takes events, any number in a request."""

TASK_KEY = "stepwell.flows.engine.tasks.StepBody"
"""What Prefect calls the task of every step."""

_LONGEST_MESSAGE = 100_000

Event = dict[str, Any]


def state_event(
    related: Sequence[Mapping[str, str]],
    task_run_id: str,
    facts: Mapping[str, Any],
    state: tuple[str, str],
    at: str,
    words: str = "",
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Return the event that a task run entered a state, a type and a name, at that time.

    `facts` are the task run's own, as the server keeps them; `related` is what the event is about besides.
    """
    kind, name = state
    words = words[:_LONGEST_MESSAGE]
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{task_run_id} {name} {at}")),  # told twice, it is recorded once
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
            "intended": {"from": None, "to": kind},
            "initial_state": None,
            "validated_state": {"type": kind, "name": name, "message": words, "state_details": {}, "data": data},
            "task_run": facts,
        },
    }


def artifact_event(related: Sequence[Mapping[str, str]], artifact: Mapping[str, Any], at: str) -> Event:
    """Return the event that an artifact, as the server returned it, was created at that time."""
    named = {"prefect.resource.name": artifact["key"]} if artifact.get("key") else {}
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{artifact['id']} created")),
        "occurred": at,
        "event": "prefect.artifact.created",
        "resource": {"prefect.resource.id": f"prefect.artifact.{artifact['id']}", **named},
        "related": related,
        "payload": {name: artifact.get(name) for name in ("key", "type", "description")},
    }


def waits_for(task_run_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return a step's inputs as Prefect draws its graph from them: the task runs that it waited for."""
    edges = [{"input_type": "task_run", "id": before} for before in task_run_ids]
    return {"bindings": [], **({"wait_for": edges} if edges else {})}
