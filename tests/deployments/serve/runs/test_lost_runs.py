"""A run whose machine died is ended, or started again, by one other machine; one that is heard of is left alone."""

from __future__ import annotations

from uuid import UUID

import pytest
from prefect.client.schemas.objects import State, StateType
from two_homes import machine, shared

from stepwell import Workspace
from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import shared_runs
from stepwell.deployments.serve.runs.lost_runs import LostRuns
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.publishing.submission import RunRequest, submit_run


def looked_for(logged):
    LostRuns(OrphanedRuns(logged.append)).settle()
    return logged


def begun(run_id, workspace, state=StateType.RUNNING):
    """Let this machine be at work on the run, as far as others can see."""
    folder = RunFolder(workspace.store.run_folder(run_id))
    folder.describe({"id": run_id, "number": 1, "workspace": workspace.name})
    folder.append({"at": "2026-01-01T00:00:00.000+00:00", "status": "Running"})
    folder.append({"at": "2026-01-01T00:00:00.000+00:00", "step": "a.py", "status": "running"})
    with client() as api:
        tags = [f"workspace:{workspace.name}", "machine:me@here"]
        api.update_flow_run(UUID(run_id), tags=tags)
        api.set_flow_run_state(UUID(run_id), State(type=state), force=True)
    workspace.shared_runs.tell(folder, [])
    return folder


def state_of(run_id):
    with client() as api:
        return api.read_flow_run(UUID(run_id)).state.type.value


@pytest.fixture
def silent(monkeypatch):
    """Lets the datastore's clock go on by two minutes and more."""
    clock = shared_runs.RemoteObjects.now
    return lambda: monkeypatch.setattr(shared_runs.RemoteObjects, "now", lambda objects: clock(objects) + 130.0)


def submitted(shared):
    published = shared.pipeline(shared.step("a.py", "pass"), name="p").publish()
    return submit_run(published.block, RunRequest("e"), shared.workspace).run_id


def test_a_silent_run_of_a_published_pipeline_starts_again_and_one_that_is_heard_of_goes_on(shared, machine, silent):
    run_id = submitted(shared)
    begun(run_id, shared.workspace)
    machine("you@there")
    assert looked_for([]) == [] and state_of(run_id) == "RUNNING"
    silent()
    (line,) = looked_for([])
    assert "starts again, 1 of 2 times" in line and state_of(run_id) == "SCHEDULED"
    assert looked_for([]) == []
    machine("third@place")
    found = PipelineRun.get(Workspace.get(shared.workspace.name), run_id)
    assert found.folder.facts()["restarts"] == 1 and found.folder.machine_name == "you@there"


def test_a_silent_run_that_nobody_published_ends(shared, machine, silent):
    run = shared.run(shared.pipeline(shared.step("a.py", "pass")))
    begun(run.run_id, shared.workspace)
    machine("you@there")
    silent()
    assert len(looked_for([])) == 1 and state_of(run.run_id) == "CRASHED"
    machine("me@here")
    again = PipelineRun.get(shared.workspace, run.run_id)
    assert again.get_status() == "Failed" and "me@here was not heard of" in again.summary().problem


def test_one_machine_settles_a_run(shared, machine, silent, monkeypatch):
    run_id = submitted(shared)
    begun(run_id, shared.workspace)
    machine("you@there")
    silent()
    there = Workspace.get(shared.workspace.name).shared_runs
    there.bring(run_id)
    assert there.claim(run_id, "2")
    machine("third@place")
    monkeypatch.setattr(shared_runs, "_CLAIMED_SECONDS", 1e6)
    assert looked_for([]) == [] and state_of(run_id) == "RUNNING"
    monkeypatch.setattr(shared_runs, "_CLAIMED_SECONDS", 60.0)
    assert len(looked_for([])) == 1, "who claimed it has died, too"


def test_a_run_whose_worker_prefect_hears_of_is_left_alone(shared, machine, silent, monkeypatch):
    run_id = submitted(shared)
    begun(run_id, shared.workspace)
    machine("you@there")
    silent()
    monkeypatch.setattr(LostRuns, "_is_away", lambda *_: False)
    assert looked_for([]) == [] and state_of(run_id) == "RUNNING"


def test_what_was_being_cancelled_is(shared, machine, silent):
    run_id = submitted(shared)
    begun(run_id, shared.workspace, StateType.CANCELLING)
    machine("you@there")
    silent()
    looked_for([])
    assert state_of(run_id) == "CANCELLED"
