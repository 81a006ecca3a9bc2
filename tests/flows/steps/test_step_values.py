"""What steps will have told, as pipelines name it beforehand: metrics and outputs, conditions on them, mapped steps."""

from __future__ import annotations

import re

import pytest
from prefect import unmapped

from stepwell import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    StepValue,
    metric,
)
from stepwell.conditions import Condition, Finding
from stepwell.errors import UserErrorException
from stepwell.flows.steps.graph import Graph
from stepwell.model.definitions import Each, OutputSource, RunIf


def step(name, **more):
    return PythonScriptStep(f"{name}.py", name, source_directory="/", **more)


def defined(*steps):
    return {one.id: one for one in Graph(list(steps)).define(None)}


# Conditions -----------------------------------------------------------------------------------------------------------


def test_a_condition_is_a_text_or_a_comparison_and_orders_the_steps():
    out = PipelineData("out")
    train = step("train", outputs=[out], arguments=[out])
    accuracy = RunIf(Finding("train", "metric", "accuracy"), Condition("train/accuracy", ">", 0.9))
    last = step("last", run_if=["train/accuracy > 0.9", out.count("*.csv") >= 2])
    found = defined(last, train)
    count = Finding("train", "count", "out", "*.csv")
    assert list(found) == ["train", "last"] and found["last"].upstream == ("train",)
    assert found["last"].run_if == (accuracy, RunIf(count, Condition(str(count), ">=", 2.0)))
    for same in (train.metric("accuracy") > 0.9, metric("train", "accuracy") > 0.9, metric(train, "accuracy") > 0.9):
        assert defined(step("other", run_if=same), train)["other"].run_if == (accuracy,)


def test_a_metric_of_a_step_brings_that_into_the_pipeline():
    train = step("train")
    assert list(defined(step("last", run_if=train.metric("loss") < 1))) == ["train", "last"]


def test_names_of_steps_and_metrics_may_have_slashes():
    first, second = step("a/b.py"), step("last", run_if="a/b.py/test/accuracy == high")
    assert defined(first, second)["last"].run_if[0].finding == Finding("a/b.py", "metric", "test/accuracy")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: step("last", run_if="accuracy"), "is no condition"),
        (lambda: step("last", run_if=0.9), "`run_if` of PythonScriptStep must be a condition such as"),
        (lambda: metric("train", "a") > None, "compared with a number or a text only"),
        (lambda: metric(3, "a"), "`metric` takes a step, or the name of one"),
        (lambda: bool(metric("train", "a") > 1), "is known when the pipeline runs"),
        (lambda: defined(step("last", run_if="train/accuracy > 1")), "begins with the name of no step"),
        (lambda: defined(step("train"), step("train"), step("last", run_if="train/a > 1")), "2 steps are called so"),
        (lambda: step("last", run_if="train/a > 1")(), "is run if a step of a pipeline tells"),
    ],
)
def test_what_is_no_condition_is_refused_in_a_sentence(make, words):
    with pytest.raises(UserErrorException, match=re.escape(words)):
        make()


# Mapped steps ---------------------------------------------------------------------------------------------------------


def split():
    parts = PipelineData("parts")
    return parts, step("split", outputs=[parts], arguments=[parts])


def test_a_step_is_mapped_over_an_output_among_its_inputs_by_position():
    parts, before = split()
    model = PipelineData("model")
    train = step("train", arguments=[parts, model], inputs=[parts], outputs=[model]).map(parts.items("*.csv"))
    found = defined(step("last", inputs=[model]))  # which finds the mapped step by what it writes
    assert list(found) == ["split", "train", "last"] and before.name == "split" and train.is_mapped
    assert found["train"].each == (Each(Finding("split", "files", "parts", "*.csv"), "parts"),)
    assert found["train"].inputs[0].source == OutputSource("split", "parts")
    assert found["last"].inputs[0].source == OutputSource("train", "model")


def test_an_open_input_is_filled_by_the_items_and_other_data_can_be_the_same_for_each():
    parts, _ = split()
    table = OutputFileDatasetConfig("table")
    made = step("make", outputs=[table], arguments=[table])
    hole, other = PipelineData("part"), PipelineData("other")
    train = step("train", arguments=[hole, other], inputs=[hole, other])
    for mapped in (train.map(parts, other=unmapped(table)), train.map(other=unmapped(table), part=parts)):
        found = defined(mapped, made)["train"]
        assert {port.name: port.source for port in found.inputs} == {
            "part": OutputSource("split", "parts"), "other": OutputSource("make", "table"),
        }  # fmt: skip
        assert [each.input for each in found.each] == ["part"]


def test_a_parameter_gets_the_values_of_a_list_and_is_none_of_the_pipeline_any_more(workspace):
    parts, before = split()
    rate, depth = PipelineParameter("rate", 0.1), PipelineParameter("depth", 3)
    train = step("train", arguments=[rate, depth])
    for given, finding in {
        parts.items("rates.json"): Finding("split", "value", "parts", "rates.json"),
        parts: Finding("split", "value", "parts"),
        before.metric("rates"): Finding("split", "metric", "rates"),
        parts.value("all.json", "rates"): Finding("split", "value", "parts", "all.json", "rates"),
    }.items():
        graph = Graph(train.map(rate=given, depth=5))
        found = graph.define(None)[1]
        assert found.each == (Each(finding, parameter=rate.definition),) and graph.parameters() == ()
        assert found.values == {"rate": 0.1, "depth": 5}
    assert [one.name for one in Graph(train).parameters()] == ["depth", "rate"]


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (lambda train, parts: train.map(parts).map(parts), "is mapped already"),
        (lambda train, parts: train.map(nothing=parts), "has no input or parameter 'nothing' to map"),
        (lambda train, parts: defined(train.map(parts.count())), "can't be mapped over the number of files"),
        (lambda train, parts: train.map(parts)(), "is mapped over what a step of a pipeline tells"),
        (lambda train, parts: defined(train.map(parts), step("last", run_if="train/a > 1")), "which is mapped"),
    ],
)
def test_what_can_t_be_mapped_is_refused_in_a_sentence(over, words):
    parts, _ = split()
    train = step("train", inputs=[parts], arguments=[parts])
    with pytest.raises(UserErrorException, match=re.escape(words)):
        over(train, parts)


def test_values_of_steps_say_what_they_are():
    parts, _ = split()
    assert repr(parts.value("a.json", "b")) == "StepValue('parts', 'value', 'a.json', 'b')"
    assert (
        isinstance(metric("train", "loss"), StepValue)
        and repr(metric("train", "loss")) == "StepValue('train', 'metric', 'loss')"
    )


def test_mapped_steps_and_conditions_stay_as_they_are_in_a_published_pipeline(workspace, tmp_path):
    (tmp_path / "a.py").write_text("")
    parts = PipelineData("parts")
    before = PythonScriptStep("a.py", "split", [parts], outputs=[parts], source_directory=tmp_path)
    train = PythonScriptStep("a.py", "train", inputs=[parts], run_if="split/good > 0", source_directory=tmp_path)
    definition = Pipeline(workspace, [before, train.map(parts)]).definition
    assert type(definition).from_json(definition.to_json()) == definition
