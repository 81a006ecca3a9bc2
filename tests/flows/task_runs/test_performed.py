"""Steps that run past Prefect's engine leave in Prefect what its engine would have left, and are seen while they run."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import task_run_rows
from prefect import tags
from waiting import eventually

from stepwell.blocks.server.documents import client
from stepwell.flows.engine import scheduler, tasks
from stepwell.flows.task_runs import served


def test_the_rows_states_events_and_lines_are_those_that_prefects_engine_writes(project):
    found = task_run_rows.executed_both_ways(project)
    assert _lines(task_run_rows.alike(found["past it"])) == _lines(task_run_rows.alike(found["engine"]))
    assert len(found["engine"]["task runs"]) == 6
    assert {name for _, _, _, name, _ in found["engine"]["states"]} == {
        *("Pending", "Running", "Retrying", "AwaitingRetry", "Completed", "Failed")
    }
    assert [name for _, name, _ in found["past it"][task_run_rows.CANCELLED]] == ["Pending", "Running", "Cancelled"]


def _lines(found):
    return json.dumps(found, indent=1, sort_keys=True).splitlines()


@pytest.fixture
def logged(monkeypatch):
    """Let what steps say be logged, which tests leave out."""
    logger = logging.getLogger("prefect.task_runs")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    yield
    monkeypatch.undo()
    logger.manager._clear_cache()


def test_a_step_is_seen_running_with_what_it_said_while_it_runs(project, logged):
    go = project.folder / "go"
    body = f"import os, time\nprint('so far', flush=True)\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)"
    pipeline = project.pipeline(project.step("a.py", body), name="seen")

    def seen():
        """Return the state and the lines of the step's task run while it runs, and let it end."""
        try:
            with client() as api:

                def ask(path, **body):
                    return api.request("POST", path, json=body).json()

                flow = {"name": {"any_": ["seen"]}}
                task_run = eventually(lambda: next(iter(ask("/task_runs/filter", flows=flow)), None))
                name = {"task_run_id": {"any_": [task_run["id"]]}}
                lines = eventually(
                    lambda: (
                        (found := [line["message"] for line in ask("/logs/filter", logs=name)])
                        and "so far" in found
                        and found
                    )
                )
                return ask("/task_runs/filter", flows=flow)[0]["state_name"], lines
        finally:
            go.touch()

    with ThreadPoolExecutor(1) as threads:
        looked = threads.submit(seen)
        assert project.happened(pipeline) == {"a.py": "ran"}
        assert looked.result()[0] == "Running"


@pytest.fixture
def made(monkeypatch):
    """Return the names of the steps that Prefect's engine gets to run."""
    found: list[str] = []
    make = tasks.make_task
    monkeypatch.setattr(scheduler, "make_task", lambda step, *more, **named: found.append(step.id) or make(step, *more, **named))  # fmt: skip
    return found


def test_steps_under_tags_whose_number_prefect_may_limit_are_its_engines(project, made):
    pipeline = project.pipeline(project.step("a.py", ""), project.step("b.py", ""))
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "ran"} and made == []
    with tags("limited"):
        assert project.happened(pipeline, regenerate_outputs=True) == {"a.py": "ran", "b.py": "ran"}
    assert sorted(made) == ["a.py", "b.py"]


def test_steps_of_both_ways_wait_for_one_another_and_are_shown_so(project, chain, made, monkeypatch):
    pipeline, _ = chain("a.py", "b.py", "c.py")
    takes = scheduler.Performing.takes
    monkeypatch.setattr(scheduler.Performing, "takes", lambda self, step: step.id != "b.py" and takes(self, step))
    summary = project.run(pipeline)
    assert [step.happened for step in summary.steps] == ["ran"] * 3 and made == ["b.py"]

    def edges():
        with client() as api:
            nodes = dict(api.request("GET", f"/flow_runs/{summary.run_id}/graph-v2").json()["nodes"])
        return {(nodes[p["id"]]["label"], n["label"]) for n in nodes.values() for p in n["parents"] if p["id"] in nodes}

    assert eventually(lambda: len(found := edges()) == 2 and found) == {("a.py", "b.py"), ("b.py", "c.py")}


def test_the_same_step_twice_is_performed_once(project):
    """Two pipelines at once, of which the second finds the result once it gets the lock."""
    body = "import time\ntime.sleep(0.5)"
    pipeline = project.pipeline(project.step("a.py", body, name="s"))
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: project.happened(pipeline), range(2)))
    assert sorted(one["s"] for one in found) == ["ran", "reused"] and project.executions == {"a.py": 1}


def test_a_long_line_is_cut_as_prefect_cuts_it(project, monkeypatch):
    assert served._shortened("short") == "short"
    cut = served._shortened("ä" * 2_000_000)
    assert cut.endswith("... [truncated]") and len(json.dumps(cut)) < 1_000_000
