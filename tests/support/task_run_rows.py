"""What Prefect's server has of the task runs of steps, reused and executed: by Prefect's engine, and past it.

As a program, `task_run_rows.py FOLDER` prints both as JSON, of the server in force: that of the user's environment.
"""

from __future__ import annotations

import json
import logging
import re
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
CANCELLED = "cancelled.py"
"""A step that is cancelled. Prefect's engine rolls it back, and then calls it completed: there the ways differ."""

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


def executed_both_ways(project: Project) -> dict[str, dict[str, Any]]:
    """Return all that is known of steps that ran, failed, were tried again, took too long or were cancelled, in both ways."""
    from stepwell import PipelineData
    from stepwell.errors import StepCancelledException
    from stepwell.flows.engine import tasks
    from stepwell.flows.task_runs import served

    first, second = PipelineData("first"), PipelineData("second")
    again = project.folder / "again"
    once = f"import os\nif not os.path.exists({str(again)!r}):\n    open({str(again)!r}, 'w')\n    sys.exit(3)"
    steps = [
        project.step("a.py", "print('one')\nopen(args[-1], 'w').write('a')", arguments=[first], outputs=[first]),
        project.step("b.py", "open(args[-1], 'w').write('a')", arguments=[first, second], inputs=[first], outputs=[second]),
        project.step("again.py", once, retries=2),
        project.step("fails.py", "sys.exit(3)"),
        project.step("still.py", "print('x')\nsys.exit(3)", retries=1, retry_delay_seconds=0.1),
        project.step("late.py", "import time\ntime.sleep(60)", timeout_seconds=0.5),
        project.step(CANCELLED, ""),
    ]  # fmt: skip
    pipeline, found, perform = project.pipeline(*steps, name="p"), {}, tasks.perform

    def or_cancelled(context: Any, call: Any, *more: Any) -> Any:
        if call.definition.id == CANCELLED:
            raise StepCancelledException("The step was cancelled")
        return perform(context, call, *more)

    logger = logging.getLogger("prefect.task_runs")
    for way, door in (("engine", None), ("past it", served._engines_way)):
        again.unlink(missing_ok=True)
        with (
            _set(served, "_engines_way", door),
            _set(tasks, "perform", or_cancelled),
            _set(logger, "level", logging.INFO),
        ):
            logger.manager._clear_cache()  # of what is logged
            summary = project.run(pipeline, regenerate_outputs=True, continue_on_step_failure=True)
        found[way] = histories(summary.run_id, len(steps))
    logger.manager._clear_cache()
    return found


def alike(found: dict[str, Any]) -> dict[str, Any]:
    """Return what both ways have in common."""
    return {kind: rows for kind, rows in found.items() if kind != CANCELLED}


def histories(run_id: str, steps: int) -> dict[str, Any]:
    """Return the task runs of a run that has ended, each with its states, events and lines, without what is each run's own."""
    from stepwell.blocks.server.documents import client

    with client() as api:

        def ask(path: str, **body: Any) -> Any:
            return api.request("POST", path, json=body).json()

        def ended() -> Any:
            found = ask("/task_runs/filter", task_runs={"flow_run_id": {"any_": [run_id]}})
            final = ("COMPLETED", "FAILED", "CANCELLED")
            ended = [one for one in found if one["state_type"] in final and one["state"]]
            return found if len(ended) == len(found) == steps else None

        task_runs = eventually(ended)
        names = {one["id"]: one["name"] for one in task_runs} | {run_id: "the run"}
        mine = {"id": [f"prefect.task-run.{one['id']}" for one in task_runs]}
        told = [state for one in task_runs for state in _states(api, one["id"])]

        def all_events() -> Any:
            found = ask("/events/filter", filter={"resource": mine}, limit=50)["events"]
            return found if len(found) >= len(told) else None

        def all_lines() -> Any:
            found = ask("/logs/filter", logs={"task_run_id": {"any_": list(names)}})
            finished = {line["task_run_id"] for line in found if line["message"].startswith("Finished")}
            return found if finished >= {one["id"] for one in task_runs} else None

        events, lines = eventually(all_events), eventually(all_lines)
        graph = api.request("GET", f"/flow_runs/{run_id}/graph-v2").json()["nodes"]
        flow_run = api.request("GET", f"/flow_runs/{run_id}").json()
    names[flow_run["name"]] = "the run's name"
    for one in task_runs:
        _check_times(one, paused=one["name"] == "still.py")
    label = {one["id"]: one["name"] for one in task_runs}
    cancelled = [task_run for task_run, name in label.items() if name == CANCELLED]
    plain = {
        CANCELLED: [state[2:] for state in told if state[0] in cancelled],
        "task runs": sorted((_without(one, *_OWN) for one in task_runs if one["id"] not in cancelled),
                            key=lambda one: one["name"]),
        "states": sorted((names[task_run], *more) for task_run, *more in told if task_run not in cancelled),
        "events": [_whole_event(one, label) for one in events if _task_run(one) not in cancelled],
        "lines": [[names[line["task_run_id"]], line["level"], line["name"], line["message"].split("\nTraceback")[0]]
                  for line in lines if "while serializing" not in line["message"]],
        "graph": sorted((_without(node, "id", "start_time", "end_time", *(["state_type"] if node["id"] in cancelled else []))
                         for _, node in graph), key=lambda node: node["label"]),
    }  # fmt: skip
    text = _named(json.dumps(plain, sort_keys=True), names)
    text = re.sub(r"/runs/the run/steps/[^/]*/", "/runs/the run/steps/STEP/", text)
    text = re.sub(r'"scheduled_time": "[^"]*"', '"scheduled_time": "ITS OWN"', text)
    text = re.sub(r'"storage_key": "[0-9a-f]{32}"', '"storage_key": "ITS OWN"', text)
    return _sorted(json.loads(text))


def _states(api: Any, task_run: str) -> list[tuple[str, int, str, str, str]]:
    found = api.request("GET", "/task_run_states/", params={"task_run_id": task_run}).json()
    found.sort(key=lambda state: state["timestamp"])
    return [(task_run, number, one["type"], one["name"], one["message"]) for number, one in enumerate(found)]


def _whole_event(event: dict[str, Any], label: dict[str, str]) -> dict[str, Any]:
    """Return all of an event but for what is its own, and the name that Prefect gives to a task run before it has one."""
    kept = _event(event)
    kept["payload"] |= {name: event["payload"][name] for name in ("intended", "initial_state")}
    kept["resource"]["prefect.resource.name"] = kept["payload"]["task_run"]["name"] = label[_task_run(event)]
    return kept


def _task_run(event: dict[str, Any]) -> str:
    return str(event["resource"]["prefect.resource.id"]).removeprefix("prefect.task-run.")


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
        "events": [_event(one) for one in told],
        "lines": [{name: line[name] for name in ("name", "level", "message", "task_run_id", "flow_run_id")} for line in lines],
        "graph": sorted((_without(node, "id", "start_time", "end_time") for _, node in graph), key=lambda node: node["label"]),
    }  # fmt: skip
    return _sorted(json.loads(_named(json.dumps(plain, sort_keys=True), names)))


def _check_times(task_run: dict[str, Any], *, paused: bool = False) -> None:
    from datetime import datetime

    expected, start, end = (datetime.fromisoformat(task_run[name]) for name in _TIMES[:3])
    assert expected <= start <= end <= datetime.fromisoformat(task_run["state"]["timestamp"])
    outside = (end - start).total_seconds() - task_run["total_run_time"]
    assert abs(outside - (0.1 if paused else 0.0)) < (0.1 if paused else 0.001)


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


def _sorted(found: dict[str, Any]) -> dict[str, Any]:
    """Return what was found, its events and lines in an order that does not depend on ids, which are others each time."""
    ordered: dict[str, Any] = _in_order(found)
    return ordered | {
        kind: sorted(ordered[kind], key=lambda one: json.dumps(one, sort_keys=True)) for kind in ("events", "lines")
    }


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
    project = Project(folder, Workspace.create("rows"))
    print(json.dumps({"reused": both_ways(project), "executed": executed_both_ways(project)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
