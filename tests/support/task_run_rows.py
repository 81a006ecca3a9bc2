"""What Prefect's server has of the task runs of steps whose results were served: by Prefect's engine, and past it.

As a program, `task_run_rows.py FOLDER` prints both as JSON, of the server in force: that of the user's environment.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from projects import Project
from waiting import eventually

_TIMES = (
    "expected_start_time",
    "start_time",
    "end_time",
    "total_run_time",
    "estimated_run_time",
    "estimated_start_time_delta",
)
_OWN = ("id", "created", "updated", "dynamic_key", "state_id", "flow_run_id", *_TIMES)
_SETS = ("wait_for", "parents", "children", "tags")
_OF_EVENT = ("id", "occurred", "received", "follows")


def both_ways(project: Project) -> dict[str, dict[str, Any]]:
    """Return the rows of three steps as they are once Prefect's engine served them, and once it did not."""
    from prefect import tags

    from stepwell import PipelineData
    from stepwell.flows.task_runs import served

    first, second = PipelineData("first"), PipelineData("second")
    write = "open(args[-1], 'w').write('a')"
    steps = [
        project.step("a.py", write, arguments=[first], outputs=[first], retries=2, retry_delay_seconds=3),
        project.step("b.py", write, arguments=[first, second], inputs=[first], outputs=[second]),
        project.step("c.py", "", inputs=[first, second]),
    ]
    pipeline, found = project.pipeline(*steps, name="p"), {}
    project.run(pipeline)
    logger = logging.getLogger("prefect.task_runs")
    for way, door in (("engine", None), ("past it", served._engines_way)):
        with _set(served, "_engines_way", door), _set(logger, "level", logging.INFO), tags("one", "two"):
            logger.manager._clear_cache()  # of what is logged
            summary = project.run(pipeline)
        assert [step.happened for step in summary.steps] == ["reused"] * 3, summary
        found[way] = rows(summary.run_id)
    logger.manager._clear_cache()
    return found


@contextmanager
def _set(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def rows(run_id: str, steps: int = 3) -> dict[str, Any]:
    """Return all that the server says of the task runs of a run that has ended, without what is each run's own."""
    from stepwell.blocks.server.documents import client

    with client() as api:

        def ask(path: str, **body: Any) -> Any:
            return api.request("POST", path, json=body).json()

        of_run = {"flow_run_id": {"any_": [run_id]}}

        def ended() -> Any:
            found = ask("/task_runs/filter", task_runs=of_run)
            told = [one for one in found if one["state_name"] == "Cached" and (one["state"] or {}).get("message")]
            return found if len(told) == steps else None

        task_runs = eventually(ended)
        names = {one["id"]: one["name"] for one in task_runs} | {run_id: "the run"}
        kinds = {"prefix": ["prefect.task-run.Cached"]}

        def events() -> Any:
            mine = {"id": [f"prefect.task-run.{one['id']}" for one in task_runs]}
            found = ask("/events/filter", filter={"event": kinds, "resource": mine}, limit=50)["events"]
            told = [one for one in found if one["resource"]["prefect.state-message"]]
            return told if len(told) == steps else None

        told = eventually(events)
        lines = eventually(
            lambda: len(found := ask("/logs/filter", logs={"task_run_id": {"any_": list(names)}})) >= steps and found
        )
        graph = api.request("GET", f"/flow_runs/{run_id}/graph-v2").json()["nodes"]
        flow_run = api.request("GET", f"/flow_runs/{run_id}").json()
    names[flow_run["name"]] = "the run's name"
    for one in task_runs:
        _check_times(one)
    plain = {
        "task runs": sorted((_without(one, *_OWN) for one in task_runs), key=lambda one: one["name"]),
        "events": sorted((_event(one) for one in told), key=lambda one: one["resource"]["prefect.resource.name"]),
        "lines": sorted(({name: line[name] for name in ("name", "level", "message", "task_run_id", "flow_run_id")} for line in lines), key=str),
        "graph": sorted((_without(node, "id", "start_time", "end_time") for _, node in graph), key=lambda node: node["label"]),
    }  # fmt: skip
    return _in_order(json.loads(_named(json.dumps(plain, sort_keys=True), names)))


def _check_times(task_run: dict[str, Any]) -> None:
    from datetime import datetime

    expected, start, end = (datetime.fromisoformat(task_run[name]) for name in _TIMES[:3])
    assert expected <= start <= end <= datetime.fromisoformat(task_run["state"]["timestamp"])
    assert abs((end - start).total_seconds() - task_run["total_run_time"]) < 0.001


def _without(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    kept = {name: value for name, value in facts.items() if name not in names}
    if isinstance(kept.get("state"), dict):
        kept["state"] = _without(kept["state"], "id", "timestamp", "created", "updated")
    return kept


def _event(event: dict[str, Any]) -> dict[str, Any]:
    kept = _without(event, *_OF_EVENT)
    kept["payload"] = _without(
        event["payload"], "intended", "initial_state"
    )  # the engine has been in other states before
    kept["payload"]["task_run"] = _without(event["payload"]["task_run"], *_OWN)
    kept["resource"] = _without(event["resource"], "prefect.state-timestamp")
    made_up = "prefect.resource.name"  # of the flow run, as it was when it began
    kept["related"] = [
        _without(one, *([made_up] if one["prefect.resource.role"] == "flow-run" else [])) for one in event["related"]
    ]
    return kept


def _in_order(value: Any) -> Any:
    """Return the same, sets that Prefect writes as lists in an order of their own."""
    if isinstance(value, dict):
        return {
            name: sorted(map(_in_order, one), key=str) if name in _SETS else _in_order(one)
            for name, one in value.items()
        }
    return [_in_order(one) for one in value] if isinstance(value, list) else value


def _named(text: str, names: dict[str, str]) -> str:
    for own, name in names.items():
        text = text.replace(own, name)
    return text


def main(folder: Path) -> None:
    from stepwell import Workspace

    folder.mkdir()
    print(json.dumps(both_ways(Project(folder, Workspace.create("rows")))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
