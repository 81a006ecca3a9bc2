"""Why a run failed of which no step did: who waits for it is told."""

from __future__ import annotations

import pytest
from prefect.states import Crashed

from stepwell import DataReference, Experiment, PipelineRun
from stepwell.blocks.server.documents import client
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ActivityFailedException
from stepwell.flows.runs import flow_run, launch
from stepwell.flows.runs.flow_run import RunOptions


def failure(project, run_id):
    run = PipelineRun(Experiment(project.workspace, "e"), run_id)
    with pytest.raises(ActivityFailedException) as caught:
        run.wait_for_completion(show_output=False)
    assert caught.value.facts["run"] == run_id
    return caught.value


def test_missing_data_are_named(project):
    data = DataReference(project.workspace.get_default_datastore(), "raw", "no/such")
    step = project.step("a.py", "", arguments=[data], inputs=[data])
    error = failure(project, project.run(project.pipeline(step)).run_id)
    assert error.title == "There is no data at a path that a step reads"
    assert error.facts["path"] == "no/such" and error.hint.startswith("Upload the data first")


def test_a_target_that_can_not_run_the_step_is_named(project):
    step = project.step("a.py", "", compute_target="gpu", resources={"gpus": 1})
    error = failure(project, project.run(project.pipeline(step)).run_id)
    assert "ComputeTargetNotFound" in error.title and error.facts["workspace"] == project.workspace.name


def test_an_error_that_nobody_expected_is_told(project, monkeypatch):
    def fail(*_):
        raise RuntimeError("no room")

    monkeypatch.setattr(flow_run, "check_ready", fail)
    error = failure(project, project.run(project.pipeline(project.step("a.py", ""))).run_id)
    assert error.title.endswith("RuntimeError: no room") and "stepwell show" in error.hint


def test_what_prefect_says_of_a_run_that_never_began_is_told(project):
    pipeline = project.pipeline(project.step("a.py", ""))
    run = launch.register(pipeline, "e", {}, {}, RunOptions())
    with client() as api:
        api.set_flow_run_state(run.run_id, Crashed(message="The worker was out of memory"), force=True)
    assert failure(project, run.run_id).title == "The worker was out of memory"


def test_the_message_of_an_error_is_taken_apart_as_it_was_put_together(project):
    said = ActivityFailedException("It is so", {"one": "a\nb", "the other": "c", "none": ""}, "Mend it.")
    run = RunFolder(project.workspace.store.run_folder("11111111-1111-4111-8111-111111111111"))
    run.append({"at": "2026-01-01T00:00:00.000+00:00", "status": "Failed", "problem": said.message})
    error = failure(project, run.run_id)
    assert (error.title, error.hint) == (said.title, said.hint)
    assert error.facts == {"run": run.run_id, "one": "a\nb", "the other": "c"}
