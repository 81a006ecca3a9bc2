"""Steps whose results are served leave in Prefect what its engine would have left, and ask the server a few times for all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import postgres_server
import pytest
import server_processes
import task_run_rows
from ports import port_for_later
from waiting import PATIENCE, ended_with_us, eventually

from prefect.client.orchestration import SyncPrefectClient

from stepwell import OutputFileDatasetConfig
from stepwell.blocks.server import patience
from stepwell.blocks.server.connection import named_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.serve.runs.untold_runs import UntoldRuns
from stepwell.errors import DatastoreException
from stepwell.flows.engine import scheduler, tasks
from stepwell.flows.task_runs import served
from stepwell.flows.task_runs.events import ROUTE


def test_the_rows_are_those_that_prefects_engine_writes(project):
    found = task_run_rows.both_ways(project)
    assert _lines(found["past it"]) == _lines(found["engine"])
    assert [len(found["engine"][kind]) for kind in ("task runs", "events", "lines", "graph")] == [3, 3, 3, 3]


@pytest.mark.skipif(postgres_server.programs() is None, reason="no PostgreSQL server is installed")
def test_the_rows_are_the_same_on_postgresql(tmp_path):
    database, port = port_for_later(), port_for_later()
    password, url = postgres_server.PASSWORD, f"http://127.0.0.1:{port}/api"
    variables = server_processes.environment(tmp_path, DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://me:{password}@127.0.0.1:{database}/postgres",
        PREFECT_API_URL=url, PYTHONPATH=str(Path(task_run_rows.__file__).parent), PREFECT_LOGGING_LEVEL="INFO")  # fmt: skip
    with postgres_server.postgres(database):
        app = "prefect.server.api.server:create_app"
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(tmp_path), "--factory", app, "--port", str(port)]
        server = subprocess.Popen(
            command, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with ended_with_us(server.pid):
            eventually(lambda: _is_healthy(url))
            program = [sys.executable, task_run_rows.__file__, str(tmp_path / "project")]
            done = subprocess.run(
                program, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout.splitlines()[-1])
            for steps in ("reused", "executed"):
                assert _lines(task_run_rows.alike(found[steps]["past it"])) == _lines(
                    task_run_rows.alike(found[steps]["engine"])
                )
            server.terminate()
            server.wait()


def _lines(found):
    return json.dumps(found, indent=1, sort_keys=True).splitlines()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def count_of(monkeypatch):
    """Return what counts the requests that are sent to each path of the server from here."""
    counts: dict[str, int] = {}
    handle = patience.PatientTransport.handle_request

    def counted(self, request):
        counts[request.url.path] = counts.get(request.url.path, 0) + 1
        return handle(self, request)

    monkeypatch.setattr(patience.PatientTransport, "handle_request", counted)
    return counts


@pytest.fixture
def many(project):
    """A pipeline of 30 steps that ran, in a row, and nothing of Prefect's engine to run them again."""
    steps = [project.step("a.py", "", name=f"s{number}") for number in range(30)]
    for before, step in zip(steps, steps[1:], strict=False):
        step.run_after(before)
    pipeline = project.pipeline(*steps)
    project.run(pipeline)
    return pipeline


def states_of(run_id, count):
    def ended():
        with client() as api:
            body = {"task_runs": {"flow_run_id": {"any_": [run_id]}}}
            found = [one["state_name"] for one in api.request("POST", "/task_runs/filter", json=body).json()]
        return found if len(found) == count and set(found) == {"Cached"} else None

    return eventually(ended)


def test_no_step_that_is_reused_needs_prefects_engine_or_a_request_of_its_own(project, many, monkeypatch):
    counts = count_of(monkeypatch)
    monkeypatch.setattr(scheduler, "make_task", None)
    summary = project.run(many)
    assert {step.happened for step in summary.steps} == {"reused"}
    assert [count for path, count in counts.items() if path.endswith("/events")] == [1] and sum(counts.values()) < 30
    assert len(states_of(summary.run_id, 30)) == 30


def test_steps_go_to_prefects_engine_where_it_alone_can_do_what_is_asked_for(project, many, monkeypatch):
    made = []
    monkeypatch.setattr(
        scheduler, "make_task", lambda *args, **more: made.append(args) or tasks.make_task(*args, **more)
    )
    for name, value in (("_engines_way", None), ("get_current_settings", lambda: SETTINGS)):
        with monkeypatch.context() as patch:
            patch.setattr(served, name, value)
            assert {step.happened for step in project.run(many).steps} == {"reused"}
    assert len(made) == 60


SETTINGS = SimpleNamespace(tasks=SimpleNamespace(disable_caching=True))


def test_a_step_that_ran_knows_the_served_steps_that_it_waited_for(project, chain):
    pipeline, _ = chain("a.py", "b.py")
    project.run(pipeline)
    project.script("b.py", "open(args[-1], 'w').write('other')")
    summary = project.run(pipeline)
    assert [step.happened for step in summary.steps] == ["reused", "ran"]

    def edge():
        with client() as api:
            nodes = dict(api.request("GET", f"/flow_runs/{summary.run_id}/graph-v2").json()["nodes"])
        return {(nodes[p["id"]]["label"], n["label"]) for n in nodes.values() for p in n["parents"] if p["id"] in nodes}

    assert eventually(edge) == {("a.py", "b.py")}


def test_what_the_server_did_not_take_is_sent_again_and_once_it_is_silent_left_to_be_told(project, many, monkeypatch):
    request, fails = SyncPrefectClient.request, []

    def refused(self, method, path, **more):
        if path == ROUTE and len(fails) < failures:
            fails.append(path)
            raise httpx.ReadTimeout("slow")
        return request(self, method, path, **more)

    monkeypatch.setattr(SyncPrefectClient, "request", refused)
    missed = []
    monkeypatch.setattr(served, "note_missed", lambda: missed.append(1))
    add = served.ServedTaskRuns.add
    monkeypatch.setattr(
        served.ServedTaskRuns, "add", lambda self, *args: (add(self, *args), self.soon(0))
    )  # many small ones
    failures = 1
    summary = project.run(many)
    assert (summary.status, len(fails), missed) == ("Finished", 1, []) and len(states_of(summary.run_id, 30)) == 30
    failures = 10_000
    summary = project.run(many)
    assert summary.status == "Finished" and missed == [1]
    monkeypatch.setattr(SyncPrefectClient, "request", request)
    run = RunFolder(project.workspace.store.run_folder(summary.run_id))
    untold.note(run, named_server())
    UntoldRuns(str).tell_now()
    assert len(states_of(summary.run_id, 30)) == 30


def test_the_server_is_not_sent_more_than_its_recorder_keeps_up_with(project, many, monkeypatch):
    monkeypatch.setattr(served, "_AT_ONCE", 4)
    monkeypatch.setattr(served, "_MOST_ON_THEIR_WAY", 2)
    monkeypatch.setattr(served, "_PAUSE_SECONDS", 0.01)
    request, sent, recorded = SyncPrefectClient.request, [], []
    read = SyncPrefectClient.read_task_run
    monkeypatch.setattr(SyncPrefectClient, "request", lambda self, method, path, **more: (path == ROUTE and sent.append(len(sent) - len(recorded))) or request(self, method, path, **more))  # fmt: skip
    monkeypatch.setattr(SyncPrefectClient, "read_task_run", lambda self, name: (found := read(self, name)) and recorded.append(name) or found)  # fmt: skip
    summary = project.run(many)
    assert len(states_of(summary.run_id, 30)) == 30 and len(sent) == 8 and max(sent) <= 2


def test_a_step_whose_outputs_go_somewhere_is_served_in_a_thread_and_runs_if_they_cannot(project, monkeypatch):
    out = OutputFileDatasetConfig("out", (project.workspace.get_default_datastore(), "there/{run-id}"))
    step = project.step("a.py", "open(args[0] + '/x', 'w').write('a')", arguments=[out.as_upload()])
    pipeline, threads = project.pipeline(step, project.step("b.py", "")), []
    materialized = tasks.materialize
    monkeypatch.setattr(tasks, "materialize", lambda *args, **more: (threads.append(threading.current_thread().name), materialized(*args, **more)))  # fmt: skip
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "ran"}
    assert project.happened(pipeline) == {"a.py": "reused", "b.py": "reused"}
    assert sorted(name.startswith("stepwell-serving") for name in threads) == [False, True]

    def broken(context, definition, record, *, fresh):
        raise DatastoreException("no room there")

    monkeypatch.setattr(tasks, "materialize", broken)
    found = project.happened(pipeline)
    assert found == {"a.py": "ran", "b.py": "ran"}
    assert project.executions == {"a.py": 2, "b.py": 2}
