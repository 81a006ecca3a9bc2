"""An endpoint tells of runs whose workers are on other machines what those tell."""

from __future__ import annotations

from published import endpoint, path_of, work
from two_homes import machine
from waiting import eventually

from stepwell import Datastore, PipelineData, Workspace
from stepwell.flows.publishing.submission import RunRequest, submit_run


def submitted_there_run_here(project, machine):
    """Return the id of a run that this endpoint's machine was asked for, and another one's worker has run."""
    out = PipelineData("told")
    step = project.step("tell.py", "open(args[0], 'w').write('told')", arguments=[out], outputs=[out])
    published = project.pipeline(step, name="p").publish()
    machine("you@there")
    run_id = submit_run(published.block, RunRequest("e"), Workspace.list()[project.workspace.name]).run_id
    assert endpoint().get(f"/runs/{run_id}").json()["status"] == "NotStarted"
    machine("me@here")
    assert work(run_id) == "Completed"
    machine("you@there")
    return run_id


def test_through_a_shared_datastore_an_endpoint_knows_all(project, machine):
    Datastore.register(project.workspace, "remote", f"memory://{project.workspace.name}").set_as_default()
    run_id = submitted_there_run_here(project, machine)
    shown = endpoint().get(f"/runs/{run_id}").json()
    assert (shown["status"], shown["machine"]) == ("Finished", "me@here")
    (step,) = shown["steps"]
    assert step["status"] == "ran"
    assert endpoint().get(path_of(step["outputs"][0]["url"])).text == "told"


def test_without_one_an_endpoint_says_what_prefect_knows_and_where_the_rest_is(project, machine):
    run_id = submitted_there_run_here(project, machine)
    eventually(lambda: [s["status"] for s in endpoint().get(f"/runs/{run_id}").json()["steps"]] == ["ran"])
    shown = endpoint().get(f"/runs/{run_id}").json()
    assert (shown["status"], shown["machine"], shown["steps"][0]["outputs"]) == ("Finished", "me@here", [])
    assert str(project.workspace.folder) in shown["warnings"][-1]
    gone = endpoint().get(f"/runs/{run_id}/outputs", params={"step": "tell.py", "output": "told"})
    assert gone.status_code == 404 and "out of this one's reach" in gone.text


def test_numbers_that_json_lacks_are_texts(project):
    body = "from stepwell import Run\nRun.get_context().log('loss', float('nan'))\nRun.get_context().parent.log('best', -float('inf'))"
    published = project.pipeline(project.step("odd.py", body), name="p").publish()
    run_id = submit_run(published.block, RunRequest("e"), project.workspace).run_id
    assert work(run_id) == "Completed"
    answered = endpoint().get(f"/runs/{run_id}")
    assert answered.status_code == 200
    assert (answered.json()["metrics"], answered.json()["steps"][0]["metrics"]) == (
        {"best": "-Infinity"},
        {"loss": "NaN"},
    )
