"""Steps mapped over lists that a run tells: their items' steps, what joins them, reuse one by one, and plans."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import prefect_api
from keeping import open_store
from waiting import eventually

from stepwell import PipelineData, PipelineParameter
from stepwell.conditions import Finding
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.mapped_steps import MOST_ITEMS, unfold
from stepwell.model.definitions import (
    Each,
    InputPort,
    OutputPort,
    OutputSource,
    ParameterDefinition,
    Registration,
    StepDefinition,
)
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.records import Artifact, StepRecord
from stepwell.model.tree import scan


@pytest.fixture
def mapped(project):
    """A pipeline that splits a text into files, counts each, and adds the counts; the text is what `split.py` has."""
    parts, counts, total = PipelineData("parts"), PipelineData("counts"), PipelineData("total")
    split = project.step("split.py", "", name="split", arguments=[parts], outputs=[parts])
    count = project.step("count.py", f"""
        import os
        assert open(args[0]).read() == open(os.environ['AZUREML_DATAREFERENCE_parts']).read()
        assert os.listdir(os.path.dirname(args[0])) == [os.path.basename(args[0])]
        open(args[1], 'w').write(os.path.basename(args[0]) + str(len(open(args[0]).read())))
    """, name="count", arguments=[parts, counts], inputs=[parts], outputs=[counts])  # fmt: skip
    add = project.step("add.py", """
        import os
        names = sorted(os.listdir(args[0]))
        open(args[1], 'w').write(' '.join(n + '=' + open(os.path.join(args[0], n)).read() for n in names))
    """, name="add", arguments=[counts, total], inputs=[counts], outputs=[total])  # fmt: skip
    pipeline = project.pipeline(split, count.map(parts), add)

    def write(**texts):
        project.script("split.py", f"""
            import os
            os.mkdir(args[0])
            for name, text in {texts!r}.items():
                open(os.path.join(args[0], name + '.txt'), 'w').write(text)
        """)  # fmt: skip
        return pipeline

    return write


def edges(server, summary):
    """Return which step waits for which in Prefect's graph of the run, None until that is complete."""
    graph = prefect_api.get(f"{server}/flow_runs/{summary.run_id}/graph-v2").json()
    nodes = dict(graph["nodes"])
    labels = {node: facts["label"] for node, facts in nodes.items()}
    if len(labels) < len(summary.steps):
        return None
    return {(labels[parent["id"]], labels[node]) for node, facts in nodes.items() for parent in facts["parents"]}


def actions(pipeline):
    return {decision.step: decision.action for decision in pipeline.plan()}


def test_a_mapped_step_runs_once_for_each_file_and_again_for_those_that_are_new(project, mapped, server):
    pipeline = mapped(a="one", b="three")
    assert actions(pipeline) == {"split": "run", "count": "depends", "add": "run"}
    result = pipeline()
    assert set(result) == {"split", "count[a.txt]", "count[b.txt]", "count", "add"}
    store = project.workspace.store
    assert store.tree_path(result["add"]["total"].digest).read_text() == "a.txt=a.txt3 b.txt=b.txt5"
    assert project.executions["count.py"] == 2
    assert set(actions(pipeline).values()) == {"reuse"}
    summary = project.run(pipeline)
    assert {step.happened for step in summary.steps} == {"reused"}
    assert eventually(lambda: edges(server, summary)) == {
        ("split", "count[a.txt]"), ("split", "count[b.txt]"), ("count[a.txt]", "count"), ("count[b.txt]", "count"), ("count", "add"),
    }  # fmt: skip
    mapped(a="one", b="three", c="seven")
    assert actions(pipeline) == {"split": "run", "count": "depends", "add": "depends"}
    assert project.happened(pipeline) == {
        "split": "ran", "count": "ran", "add": "ran", "count[a.txt]": "reused", "count[b.txt]": "reused", "count[c.txt]": "ran",
    }  # fmt: skip
    assert project.executions["count.py"] == 3
    count = project.source / "count.py"
    count.write_text(count.read_text() + "# counts again\n")
    assert actions(pipeline) == {
        "split": "reuse", "count[a.txt]": "run", "count[b.txt]": "run", "count[c.txt]": "run", "count": "depends", "add": "depends",
    }  # fmt: skip
    [first, *_] = [decision for decision in pipeline.plan() if decision.step == "count[a.txt]"]
    assert first.why == ("script count.py changed",)


# Lists ----------------------------------------------------------------------------------------------------------------


def keep(store, written, step="split", output="parts", metrics=()):
    """Return the records of a step that wrote this: files by their paths, or one text."""
    place = store.scratch_folder() / "data"
    if isinstance(written, str):
        place.write_text(written)
    for path, text in () if isinstance(written, str) else written.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    tree = scan(place)
    store.add_tree(place, tree, move=True)
    outputs = {output: Artifact("", "", tree.digest, tree.size, kept=True)}
    return {
        step: StepRecord("key", step, Fingerprint(()), outputs, "run", f"{step} run", "", 0, metrics=tuple(metrics))
    }


def mapped_step(*each, **more):
    ports = tuple(
        InputPort(one.input, OutputSource(one.items.step, one.items.name), one.input) for one in each if one.input
    )
    return StepDefinition(
        "train", "train", "t", "", inputs=ports, outputs=(OutputPort("model", "M"),), each=each, **more
    )


FILES = Each(Finding("split", "files", "parts"), input="part")
RATE = ParameterDefinition("rate", "float", 1.0)


def over(path, parameter=RATE):
    return Each(Finding("split", "value", "parts", path), parameter=parameter)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def test_each_file_and_folder_at_the_top_is_an_item_or_each_file_that_fits(store):
    records = keep(store, {"b/x.csv": "", "a.csv": "", ".hidden": "", "b/y.txt": ""})
    *items, joining = unfold(store, mapped_step(FILES), records, ())
    assert [(one.id, one.name, one.inputs[0].entry) for one in items] == [
        ("train[a.csv]", "train[a.csv]", "a.csv"), ("train[b]", "train[b]", "b"),
    ]  # fmt: skip
    assert joining.id == "train" and [port.name for port in joining.inputs] == ["model/a.csv", "model/b"]
    fitting = Each(Finding("split", "files", "parts", "**/*.csv"), input="part")
    *items, _ = unfold(store, mapped_step(fitting), records, ())
    assert [one.id for one in items] == ["train[a.csv]", "train[b/x.csv]"]


def test_the_values_of_a_json_list_are_those_of_a_parameter_checked_and_named_by_their_texts(store):
    records = keep(store, {"rates.json": "[1, 0.5, 0.5]"})
    *items, joining = unfold(store, mapped_step(over("rates.json")), records, ())
    assert [(one.id, one.values) for one in items] == [
        ("train[1.0]", {"rate": 1.0}), ("train[0.5]", {"rate": 0.5}), ("train[0.5 (#3)]", {"rate": 0.5}),
    ]  # fmt: skip
    assert [port.name for port in joining.inputs] == ["model/1.0", "model/0.5", "model/0.5 (#3)"]
    assert joining.run_after == tuple(one.id for one in items) and items[0].upstream == ("split",)
    text = ParameterDefinition("rate", "str", "")
    *items, _ = unfold(store, mapped_step(over("", text)), keep(store, '[{"b": 1, "a": "x/y"}, "x/y"]'), ())
    assert [(one.id, one.values["rate"]) for one in items] == [
        ("train[#1]", '{"a": "x/y", "b": 1}'), ("train[x/y]", "x/y"),
    ]  # fmt: skip


def test_a_list_can_be_a_metric_or_name_files_of_the_output(store):
    rows = [{"type": "metric", "scope": "step", "name": "rates", "kind": "list", "value": [3, 4]}]
    metric = Each(Finding("split", "metric", "rates"), parameter=RATE)
    *items, _ = unfold(store, mapped_step(metric), keep(store, "", metrics=rows), ())
    assert [one.id for one in items] == ["train[3.0]", "train[4.0]"]
    listed = Each(Finding("split", "value", "parts", "l.json"), input="part")
    *items, _ = unfold(store, mapped_step(listed), keep(store, {"l.json": '["b", "a/x"]', "a/x": "", "b/y": ""}), ())
    assert [one.inputs[0].entry for one in items] == ["b", "a/x"]


def test_lists_side_by_side_belong_together_by_their_files_names_or_by_their_places(store):
    records = keep(store, {"a": "", "b": ""}) | keep(store, {"a": "", "b": ""}, "other", "labels")
    both = mapped_step(FILES, Each(Finding("other", "files", "labels"), input="label"))
    *items, _ = unfold(store, both, records, ())
    assert [[port.entry for port in one.inputs] for one in items] == [["a", "a"], ["b", "b"]]
    with pytest.raises(UserErrorException, match="do not belong together"):
        unfold(store, both, records | keep(store, {"a": "", "c": ""}, "other", "labels"), ())
    second = Each(Finding("other", "value", "labels"), parameter=ParameterDefinition("count", "int", 0))
    records = keep(store, "[1.5, 2.5]") | keep(store, "[8, 9]", "other", "labels")
    *items, _ = unfold(store, mapped_step(over(""), second), records, ())
    assert [one.values for one in items] == [{"rate": 1.5, "count": 8}, {"rate": 2.5, "count": 9}]


def test_of_an_empty_list_there_is_only_what_joins_nothing(store):
    [joining] = unfold(store, mapped_step(over("")), keep(store, "[]"), ())
    assert joining.joins and joining.inputs == () and joining.upstream == ()


def test_destinations_and_registrations_are_those_of_what_is_joined(store):
    port = OutputPort("model", "model", destination="models", pipeline_output="models", register=Registration("models"))
    *items, joining = unfold(store, replace(mapped_step(FILES), outputs=(port,)), keep(store, {"a": ""}), ())
    assert items[0].outputs == (OutputPort("model", "model"),) and joining.outputs == (port,)


@pytest.mark.parametrize(
    ("each", "written", "words"),
    [
        (over("rates.json"), {"other.json": ""}, "has no 'rates.json' in it"),
        (over(""), {"a": ""}, "is a folder, and no file with a list"),
        (over(""), "no JSON", "no JSON that can be read"),
        (over(""), "3", "which is no list"),
        (over(""), '["high"]', "rate"),
        (Each(Finding("split", "value", "parts", "l.json"), input="part"), {"l.json": '["../x"]'}, "lists '../x'"),
        (Each(Finding("split", "metric", "rates"), parameter=RATE), "", "logged no metric 'rates'"),
        (over(""), str(list(range(MOST_ITEMS + 1))), "10001 times"),
    ],
)  # fmt: skip
def test_what_is_no_list_fails_the_step_in_a_sentence(store, each, written, words):
    with pytest.raises(UserErrorException, match=re.escape(words)):
        unfold(store, mapped_step(each), keep(store, written), ())


def test_an_item_whose_step_would_be_called_as_another_one_is_refused(store):
    with pytest.raises(UserErrorException, match=re.escape("'train[a]'")):
        unfold(store, mapped_step(FILES), keep(store, {"a": ""}), {"train[a]"})


# Runs ---------------------------------------------------------------------------------------------------------------


def test_a_failed_item_leaves_the_others_and_skips_what_reads_them_together(project):
    rates, model = PipelineData("rates"), PipelineData("model")
    rate = PipelineParameter("rate", 1)
    split = project.step(
        "split.py", "open(args[0], 'w').write('[0, 2, 4]')", name="split", arguments=[rates], outputs=[rates]
    )
    train = project.step("train.py", """
        import os
        assert os.environ['AML_PARAMETER_rate'] == args[0]
        open(args[1], 'w').write(str(8 / int(args[0])))
    """, name="train", arguments=[rate, model], outputs=[model])  # fmt: skip
    read = project.step("read.py", "print(args)", name="read", arguments=[model], inputs=[model])
    pipeline = project.pipeline(split, train.map(rate=rates), read)
    summary = project.run(pipeline, continue_on_step_failure=True)
    happened = {step.id: step.happened for step in summary.steps}
    assert (summary.status, happened) == ("Failed", {
        "split": "ran", "train[0]": "failed", "train[2]": "ran", "train[4]": "ran", "train": "skipped", "read": "skipped",
    })  # fmt: skip
    assert "ZeroDivisionError" in next(step.error for step in summary.steps if step.id == "train[0]")
