"""Runs of another machine are found, shown and waited for: through a shared datastore, or as far as Prefect knows them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest
from two_homes import machine, shared
from typer.testing import CliRunner
from waiting import eventually

from stepwell import PipelineData, Workspace
from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.cli import runs as commands
from stepwell.deployments.cli.main import app
from stepwell.deployments.lookup.runs import find_run
from stepwell.errors import StepwellError
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs
from stepwell.flows.runs.elsewhere.finding import known_runs

SCRIPT = """
from stepwell import Run
print("said by the script")
Run.get_context().log("accuracy", 0.5)
open(args[0], "w").write("made")
"""


def ran(project, script=SCRIPT):
    out = PipelineData("told")
    step = project.step("say.py", script, arguments=[out], outputs=[out])
    return project.run(project.pipeline(step, name="digits"))


def at_work(workspace, machine):
    run = RunFolder(workspace.store.run_folder("00000000-0000-4000-8000-000000000007"))
    known = {"number": 1, "created": time.time(), "workspace": workspace.name, "machine": {"name": machine}}
    run.describe({"id": run.run_id, **known})
    run.append({"at": "2026-01-01T00:00:00.000+00:00", "status": "Running"})
    return run


def listed(workspace, *words):
    return CliRunner().invoke(app, ["runs", "-w", workspace.name, *words]).stdout


def plainly_listed(workspace):
    return json.loads(listed(workspace, "--json"))


def test_a_run_of_another_machine_is_shown_like_one_of_this(shared, machine, capsys, tmp_path):
    here = ran(shared)
    assert here.status == "Finished"
    machine("you@there")
    workspace = Workspace.get(shared.workspace.name)
    (found,) = all_runs(workspace)
    assert (found.id, found.name, found.get_status()) == (here.run_id, here.label, "Finished")
    for word in (here.run_id, here.run_id[:8], "digits#1", "#1", "last"):
        assert find_run(word, workspace.name).id == here.run_id
    (step,) = found.get_steps()
    assert "said by the script" in step.get_job_log()
    assert step.get_metrics() == {"accuracy": 0.5} == found.get_metrics(recursive=True)["say.py"]
    assert [run["machine"] for run in plainly_listed(workspace)] == ["me@here"]
    assert found.download(tmp_path / "copies") == 1
    assert (tmp_path / "copies" / "say.py" / "told").read_text() == "made"
    commands.show(here.run_id, workspace.name, False)
    assert "Machine: me@here" in capsys.readouterr().out


def test_runs_are_listed_by_two_listings_and_a_head_each_and_ended_ones_once(shared, machine):
    for text in "abc":
        ran(shared, SCRIPT.replace("made", text))
    machine("you@there")
    workspace = Workspace.get(shared.workspace.name)
    known = known_runs(workspace, 2)
    assert [run.number for run in known] == [3, 2]
    traffic = workspace.shared_runs.objects.traffic
    before = traffic.received
    assert [run.number for run in known_runs(workspace, 2)] == [3, 2]
    assert traffic.received == before
    assert [run.number for run in known_runs(workspace)] == [3, 2, 1]


def test_both_machines_runs_are_listed_by_time_with_their_machines(shared, machine):
    first = ran(shared)
    machine("you@there")
    workspace = Workspace.get(shared.workspace.name)
    second = at_work(workspace, "you@there")
    assert [(run["id"], run["machine"]) for run in plainly_listed(workspace)] == [
        (second.run_id, "you@there"),
        (first.run_id, "me@here"),
    ]
    assert find_run("#1", workspace.name).id == second.run_id, "a number is meant as it counts here"
    assert "me@here" in listed(workspace)


def test_a_run_at_work_is_running_and_a_silent_one_says_so(shared, machine):
    workspace = shared.workspace
    run = at_work(workspace, "me@here")
    workspace.shared_runs.tell(run, [])
    workspace.shared_runs.announce(run)
    machine("you@there")
    there = Workspace.get(workspace.name)
    (found,) = all_runs(there)
    assert found.get_status() == "Running" and found.summary().warnings == ()
    found.folder.note_heard("me@here", "Running", 600.0)
    there.shared_runs.bring = lambda _: True
    assert found.get_status() == "Running", "only who looks after it ends it"
    assert "Nothing was heard of me@here for 10 minutes" in found.summary().warnings[0]


def test_the_datastore_away_costs_other_machines_runs_only(shared, machine, monkeypatch):
    ran(shared)
    monkeypatch.setattr(shared.workspace.shared_runs, "newest", _fails)
    with pytest.warns(UserWarning, match="left out: away"):
        assert len(known_runs(shared.workspace)) == 1


def _fails(_):
    from stepwell.errors import DatastoreException

    raise DatastoreException("It fails", {"reason": "away"})


def test_without_a_shared_datastore_what_prefect_knows_is_shown_and_where_the_rest_is(project, machine, capsys):
    here = ran(project)
    machine("you@there")
    workspace = Workspace.list()[project.workspace.name]
    assert not workspace.is_here
    assert [(run["id"], run["machine"], run["status"]) for run in plainly_listed(workspace)] == [
        (here.run_id, "me@here", "Finished")
    ]
    found = find_run("#1", workspace.name)
    assert (found.id, found.get_status(), found.experiment_name) == (here.run_id, "Finished", "digits")
    eventually(lambda: [(step.name, step.get_status()) for step in found.get_steps()] == [("say.py", "Finished")])
    (step,) = found.get_steps()
    said = {"name": "prefect", "level": 20, "message": "said by the script", "timestamp": datetime.now(UTC).isoformat()}
    with client() as api:  # tests let Prefect's handler send errors only
        api.request("POST", "/logs/", json=[{**said, "flow_run_id": found.id, "task_run_id": step.id}])
    eventually(lambda: step.get_job_log() == "said by the script\n")
    with pytest.raises(StepwellError, match="belongs to another Stepwell home"):
        found.get_outputs()


def test_the_ui_knows_workspace_and_machine(project, machine):
    run = ran(project)
    with client() as api:
        tags = api.read_flow_run(UUID(run.run_id)).tags
    assert {f"workspace:{project.workspace.name}", "machine:me@here"} <= set(tags)


def test_a_run_elsewhere_is_cancelled_by_way_of_prefect(shared, machine, monkeypatch):
    from prefect.client.schemas.objects import State, StateType

    monkeypatch.setattr("stepwell.flows.runs.cancel._WAIT_SECONDS", 0.0)
    run = ran(shared)
    with client() as api:
        api.set_flow_run_state(UUID(run.run_id), State(type=StateType.RUNNING), force=True)
    folder = RunFolder(shared.workspace.store.run_folder(run.run_id))
    folder.append({"at": "2026-01-01T00:00:00.000+00:00", "status": "Running"})
    shared.workspace.shared_runs.tell(folder, [])
    machine("you@there")
    found = PipelineRun.get(Workspace.get(shared.workspace.name), run.run_id)
    assert found.get_status() == "Running"
    found.cancel()
    with client() as api:
        assert api.read_flow_run(UUID(run.run_id)).state.type == StateType.CANCELLING
    assert found.get_status() == "Running"
