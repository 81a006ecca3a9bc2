"""A step that runs the script of an estimator."""

from __future__ import annotations

import pytest

from stepwell import Estimator, EstimatorStep, OutputFileDatasetConfig, PipelineData, SKLearn
from stepwell.errors import UserErrorException


def test_the_script_of_an_estimator_runs_with_the_arguments_of_the_step_and_is_reused(project):
    project.script("train.py", "import os, sys\nopen(args[1] + '/m', 'w').write(os.environ['KIND'])")
    out = OutputFileDatasetConfig("model")
    estimator = SKLearn(project.source, entry_script="train.py", environment_variables={"KIND": "tree"})
    step = EstimatorStep("train", estimator, ["--out", out], outputs=[out])
    pipeline = project.pipeline(step)
    summary = project.run(pipeline)
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    [place] = [project.workspace.path_of(pipeline()["train"]["model"])]
    assert (place / "m").read_text() == "tree"
    assert project.executions["train.py"] == 1


def test_the_step_is_as_the_estimator_says_unless_it_says_otherwise():
    estimator = Estimator(
        "src", entry_script="a.py", compute_target="cpu", pip_packages=["six==1.16"], max_run_duration_seconds=60
    )
    step = EstimatorStep(estimator=estimator, estimator_entry_script_arguments=[], version=2)
    definition = step.define(step_id="a", producers={}, ids={})
    assert (step.name, definition.script, definition.compute_target, definition.version) == ("a.py", "a.py", "cpu", "2")
    assert definition.environment.requirements == ("six==1.16",) and definition.timeout_seconds == 60
    assert definition.driver is None and definition.source_directory.endswith("/src")
    assert EstimatorStep("b", estimator, [], compute_target="local").compute_target == "local"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EstimatorStep("a"), "needs an estimator"),
        (lambda: EstimatorStep("a", Estimator("src", entry_script="a.py")), "needs the arguments of its script"),
        (
            lambda: EstimatorStep("a", Estimator("src", entry_script="a.py", script_params={"-x": 1}), []),
            "has no `script_params` of its own",
        ),
        (
            lambda: EstimatorStep("a", Estimator("src", entry_script="a.py", inputs=[PipelineData("p")]), []),
            "has no `inputs` of its own",
        ),
    ],
)
def test_what_can_not_be_used_is_refused(make, words):
    with pytest.raises(UserErrorException, match=words):
        make()
