"""A cancelled run is listed and shown like every other, also if it had not begun."""

from __future__ import annotations

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import ExperimentExecutionException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.runs.cancel import cancel_step
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import register


def test_a_run_that_has_not_begun_is_cancelled_and_read(project):
    pipeline = project.pipeline(project.step("a.py", ""))
    folder = register(pipeline, "e", {}, {}, RunOptions())
    run = PipelineRun(Experiment(project.workspace, "e"), folder.run_id)
    run.cancel()
    summary = run.summary()
    assert (run.get_status(), summary.started) == ("Canceled", "")
    assert summary.ended > ""
    assert all("at" in event for event in folder.journal())


def test_a_step_of_a_users_own_flow_is_cancelled_with_its_flow(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.describe({"id": "run", "kind": "flow"})
    run.append({"step": "a", "status": "done"})
    run.append({"step": "b", "status": "running"})
    cancel_step(run, "a")  # it has ended
    with pytest.raises(ExperimentExecutionException, match="is cancelled with its flow"):
        cancel_step(run, "b")
