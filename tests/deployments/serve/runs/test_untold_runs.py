"""What a server missed of a run is told to it as the run's folder has it; that of a hung one, by `test_flow_run`."""

from __future__ import annotations

import pytest
from waiting import eventually

from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.deployments.serve.runs.untold_runs import UntoldRuns
from stepwell.flows.runs import launch
from stepwell.flows.runs.flow_run import RunOptions

NEVER = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def registered(project):
    """A registered run that never began, and its pipeline."""
    for other, _ in untold.untold():  # of tests before this one
        untold.forget(other.run_id)
    pipeline = project.pipeline(project.step("a.py", ""), project.step("b.py", ""), name="p")
    run = launch.register(pipeline, "e", pipeline.values({}), {}, RunOptions())
    untold.note(run, "")
    yield run
    untold.forget(run.run_id)


def append(run, at, **event):
    run.append({"at": f"2026-01-01T00:00:{at:02}.000+00:00", **event})


def tell(patience=0.0):
    said = []
    return UntoldRuns(said.append).tell_now(patience), said


def state_of(run_id):
    with client() as api:
        return api.read_flow_run(run_id).state


def task_runs(run_id):
    with client() as api:
        found = api.request("POST", "/task_runs/filter", json={"task_runs": {"flow_run_id": {"any_": [run_id]}}}).json()
    return {task["name"]: task for task in found}


def has_state(task_run):
    return task_run["state"] is not None


def test_a_run_whose_process_is_gone_has_crashed_in_prefect_too(registered):
    append(registered, 0, status="Running")
    append(registered, 1, step="a.py", status="running", step_run_id="01a21785-cb24-75a5-a8a3-a19b71a7cdcb")
    append(registered, 3, step="b.py", status="waiting", upstream=["a.py"])
    assert tell()[0] == 1
    assert state_of(registered.run_id).type.value == "CRASHED"
    found = eventually(lambda: task_runs(registered.run_id))
    assert {name: task["state_type"] for name, task in found.items()} == {"a.py": "CRASHED"}


def test_steps_are_told_at_their_own_times_with_what_they_waited_for(registered):
    append(registered, 0, status="Running")
    append(registered, 1, step="a.py", status="reused", from_run=NEVER, step_run_id=NEVER)
    append(registered, 2, step="b.py", status="running", step_run_id="01a21785-cb24-75a5-a8a3-a19b71a7cdcc", upstream=["a.py"])  # fmt: skip
    append(registered, 7, step="b.py", status="failed", error="no disk")
    append(registered, 8, status="Failed", problem="it failed")
    assert tell()[0] == 1
    found = eventually(lambda: len(known := task_runs(registered.run_id)) == 2 and all(map(has_state, known.values())) and known)  # fmt: skip
    a, b = found["a.py"], found["b.py"]
    assert (a["state_name"], b["state_name"], b["state"]["message"]) == ("Cached", "Failed", "no disk")
    assert (b["start_time"], b["end_time"]) == ("2026-01-01T00:00:02Z", "2026-01-01T00:00:07.001000Z")
    assert a["id"] != NEVER and [one["id"] for one in b["task_inputs"]["wait_for"]] == [a["id"]]
    assert (state_of(registered.run_id).type.value, state_of(registered.run_id).message) == ("FAILED", "it failed")
    assert tell() == (0, [])  # it is told once


def test_what_another_server_missed_is_not_told_to_this_one(registered):
    append(registered, 0, status="Finished")
    untold.note(registered, "http://elsewhere/api")
    assert tell()[0] == 0 and state_of(registered.run_id).type.value == "PENDING"
    assert registered.run_id in [run.run_id for run, _ in untold.untold()]


def test_a_run_at_work_or_just_ended_is_left_to_its_own_process(registered):
    append(registered, 0, status="Running")
    with registered.alive():
        assert tell()[0] == 0
    append(registered, 1, status="Finished")
    assert tell(patience=1e6)[0] == 0 and state_of(registered.run_id).type.value == "PENDING"
    append(registered, 2, server="lost")
    assert tell(patience=1e6)[0] == 1 and state_of(registered.run_id).type.value == "COMPLETED"


def test_a_run_that_prefect_does_not_know_is_forgotten(project, monkeypatch):
    run = launch.RunFolder(project.workspace.store.run_folder(NEVER))
    append(run, 0, status="Finished")
    untold.note(run, "")
    told, said = tell()
    assert told == 0 and [line for line in said if "unknown" in line]
    assert NEVER not in [run.run_id for run, _ in untold.untold()]


def test_the_command_tells_and_says_so(registered, capsys):
    from stepwell.deployments.cli.server import sync

    append(registered, 0, status="Finished")
    sync()
    assert registered.run_id[:8] in capsys.readouterr().out
    sync()
    assert "knows how" in capsys.readouterr().out


def test_a_run_that_can_not_be_told_of_is_in_no_others_way(registered, project, monkeypatch):
    append(registered, 0, status="Finished")
    broken = launch.RunFolder(project.workspace.store.run_folder("0"))
    append(broken, 0, status="Finished")
    monkeypatch.setattr(untold, "untold", lambda: [(broken, ""), (registered, "")])
    with pytest.raises(ValueError, match="UUID"):  # its name is no id
        tell()
    assert state_of(registered.run_id).type.value == "COMPLETED"
