"""The SDK's rules: what the namespace hands out sets them, and they travel with all that is made of a pipeline."""

from __future__ import annotations

import copy
import inspect
import pickle

import azureml.core
import azureml.pipeline.core
import azureml.pipeline.steps
import pytest
from azureml.pipeline.core.pipeline import Pipeline as FromModule

import stepwell
from stepwell.errors import UserErrorException
from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline
from stepwell.flows.steps.step import Step

Theirs, TheirStep = azureml.pipeline.core.Pipeline, azureml.pipeline.steps.PythonScriptStep


def test_classes_of_the_namespace_have_the_sdks_rules_and_stepwells_own_theirs() -> None:
    for theirs, ours in (
        (Theirs, stepwell.Pipeline),
        (TheirStep, stepwell.PythonScriptStep),
        (azureml.pipeline.steps.CommandStep, stepwell.CommandStep),
        (azureml.pipeline.core.PipelineStep, Step),
        (azureml.core.ScriptRunConfig, stepwell.ScriptRunConfig),
    ):
        assert (theirs.default_rules, ours.default_rules) == ("v1", "stepwell")
        assert issubclass(theirs, ours) and issubclass(ours, theirs)
        assert inspect.signature(theirs) == inspect.signature(ours)
        assert inspect.getfullargspec(theirs.__init__) == inspect.getfullargspec(ours.__init__)
        assert pickle.loads(pickle.dumps(theirs)) is theirs
    assert FromModule is Theirs


def test_whoever_made_an_object_it_is_one_of_both_classes(project) -> None:
    ours = project.step("a.py", "pass")
    theirs = TheirStep("a.py", source_directory=str(project.source))
    assert isinstance(ours, TheirStep) and isinstance(theirs, stepwell.PythonScriptStep)
    assert isinstance(ours, azureml.pipeline.core.PipelineStep)
    assert not isinstance(ours, azureml.pipeline.steps.CommandStep) and not isinstance(None, TheirStep)

    class Own(TheirStep):
        pass

    assert not isinstance(theirs, Own) and issubclass(Own, stepwell.PythonScriptStep) and Own.default_rules == "v1"
    assert copy.copy(theirs).name == "a.py"


def test_a_pipeline_decides_for_its_steps_and_keeps_its_rules_when_it_is_moved_published_and_run(project) -> None:
    theirs = Theirs(project.workspace, [project.step("a.py", "pass")], description="p")
    assert {theirs.definition.rules, *(step.rules for step in theirs.definition.steps)} == {"v1"}
    assert theirs.on("local").definition.rules == "v1"
    ours = project.pipeline(TheirStep("a.py", source_directory=str(project.source)))
    assert {ours.definition.rules, *(step.rules for step in ours.definition.steps)} == {"stepwell"}
    assert project.pipeline(project.step("a.py"), rules="v1").definition.rules == "v1"
    with pytest.raises(UserErrorException, match="`rules` of Pipeline must be"):
        project.pipeline(project.step("a.py"), rules="v3")
    published = theirs.publish()
    frozen = FrozenPipeline.get(published.id).definition
    assert published.rules == frozen.rules == frozen.steps[0].rules == "v1" and published.lenient
    run = published.submit(project.workspace, "e")
    run.wait_for_completion(show_output=False)
    again = run.publish_pipeline("again", "", "1")
    assert again.rules == FrozenPipeline.get(again.id).definition.rules == "v1"


def test_rules_alone_make_no_other_key(project) -> None:
    step = project.step("a.py", "pass")
    assert project.happened(project.pipeline(step)) == {"a.py": "ran"}
    assert project.happened(Theirs(project.workspace, [step])) == {"a.py": "reused"}
