from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from uuid import UUID

import pytest
from prefect.client.schemas.objects import State, StateType
from published import work

from stepwell.blocks.datastores.datastore_files import DatastoreBlock
from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system import living
from stepwell.deployments.serve.runs import orphaned_runs
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns, worker_name
from stepwell.flows.publishing.submission import RunRequest, submit_run


@pytest.fixture
def orphaned(project, monkeypatch):
    """A run that this machine's worker had taken, whose process is gone; and how to look for such runs."""
    monkeypatch.setattr(orphaned_runs, "_SECONDS_DEAD", 0.0)
    published = project.pipeline(project.step("a.py", "pass"), name="p").publish()
    run_id = submit_run(published.block, RunRequest("e"), project.workspace).run_id
    logged = []

    def orphan(kind=StateType.RUNNING, worker=None):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        with client() as api:
            api.update_flow_run_labels(UUID(run_id), {"prefect.worker.name": worker or worker_name()})
            api.set_flow_run_state(UUID(run_id), State(type=kind), force=True)
            api.request(
                "PATCH",
                f"/flow_runs/{run_id}",
                json={"infrastructure_pid": f"{socket.gethostname()}:{gone.pid}"},
            )

    def state():
        with client() as api:
            return api.read_flow_run(UUID(run_id)).state.name

    return run_id, orphan, OrphanedRuns(logged.append), state, logged


def test_a_run_without_process_is_scheduled_again_but_not_for_ever(orphaned, monkeypatch):
    _, orphan, runs, state, logged = orphaned
    orphan()
    runs.reconcile()
    assert state() == "Scheduled"
    monkeypatch.setattr(orphaned_runs, "MOST_RESTARTS", -1)
    orphan()
    runs.reconcile()
    assert state() == "Crashed"
    assert len(logged) == 2


def test_what_had_not_begun_is_scheduled_again_and_runs(orphaned):
    run_id, orphan, runs, state, _ = orphaned
    orphan(StateType.PENDING)
    runs.reconcile()
    assert state() == "Scheduled"
    assert work(run_id) == "Completed"


def test_what_was_being_cancelled_is(orphaned):
    _, orphan, runs, state, _ = orphaned
    orphan(StateType.CANCELLING)
    runs.reconcile()
    assert state() == "Cancelled"


@pytest.mark.parametrize("place", ["elsewhere", f"{socket.gethostname()}+1"])
def test_other_machines_runs_are_left_alone(orphaned, place):
    """As are those of another home in another PID namespace, whose processes can't be seen though the host is the same."""
    _, orphan, runs, state, _ = orphaned
    orphan(worker=f"stepwell-abcdef@{place}")
    runs.reconcile()
    assert state() == "Running"


@pytest.mark.parametrize("earlier", [False, True])
def test_runs_of_this_homes_earlier_worker_are_settled(orphaned, earlier):
    """It may have been in a container that is gone, or of an earlier release."""
    _, orphan, runs, state, _ = orphaned
    orphan(worker=worker_name().partition("+")[0] + ("" if earlier else "+1"))
    runs.reconcile()
    assert state() == "Scheduled"


def test_a_run_whose_workspace_has_lost_its_datastore_is_settled_too(orphaned, project):
    _, orphan, runs, state, _ = orphaned
    orphan()
    documents.delete_named(DatastoreBlock, project.workspace.name, project.workspace.default_datastore_name)
    runs.reconcile()
    assert state() == "Scheduled"


def test_a_run_that_can_not_be_settled_is_in_no_others_way(orphaned, project, monkeypatch):
    run_id, orphan, runs, state, _ = orphaned
    orphan()
    broken = type("Broken", (), {"id": UUID(int=0), "state": State(type=StateType.RUNNING), "labels": None})
    found = orphaned_runs._unfinished
    monkeypatch.setattr(orphaned_runs, "_unfinished", lambda: [broken, *found()])
    with pytest.raises(AttributeError):
        runs.reconcile()
    assert state() == "Scheduled"


def test_a_machine_of_the_same_name_is_another_one(orphaned):
    """Its home is at the same path, and its processes have numbers in a namespace that is called as this one."""
    _, orphan, runs, state, _ = orphaned
    place = worker_name().partition("@")[2]
    orphan(worker=f"stepwell-abcdef@{place.rpartition('.')[0]}.00000000")
    runs.reconcile()
    assert state() == "Running"


def test_a_run_that_is_alive_elsewhere_is_left_alone_though_its_lock_looks_free(orphaned, project, monkeypatch):
    """All that can be seen here is its folder, and the number of a process without the name of a machine."""
    run_id, orphan, runs, state, _ = orphaned
    orphan(worker="theirs")
    with client() as api:
        api.request("PATCH", f"/flow_runs/{run_id}", json={"infrastructure_pid": "999999"})
    folder = RunFolder(project.workspace.store.run_folder(run_id))
    with folder.alive():
        folder.append({"at": "2026-01-01T00:00:00+00:00", "status": "Running"})
    lock = folder.path / "alive.lock"
    lock.write_text(json.dumps({"id": "1" * 16, "kernel": "2" * 16, "name": "anne@far"}))
    monkeypatch.setattr(living, "locks_travel", lambda _: False)
    runs.reconcile()
    assert state() == "Running"
    os.utime(lock, (0, 0))
    runs.reconcile()
    assert state() == "Scheduled"
