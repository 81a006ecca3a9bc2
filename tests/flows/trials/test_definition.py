"""What a trial runs: the step's own script, its inputs as they were bound, with further arguments."""

from __future__ import annotations

from stepwell.flows.trials.definition import run_definition, trial_step, trial_values
from stepwell.model.definitions import (
    DatasetSource,
    DataSource,
    Driver,
    InputPort,
    OutputPort,
    OutputSource,
    ParameterDefinition,
    ParameterSource,
    Piece,
    StepDefinition,
)
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.records import Artifact, StepCall


def text(words):
    return (Piece("text", words),)


def call(**more):
    inputs = (
        InputPort("made", OutputSource("first", "out"), "made"),
        InputPort("read", OutputSource("first", "out"), "read", "direct", reading="{}"),
        InputPort("chosen", ParameterSource("path"), "chosen"),
        InputPort("table", ParameterSource("table"), "table", "direct"),
    )
    parameters = (
        ParameterDefinition("path", "data", DataSource("d", "p")),
        ParameterDefinition("table", "dataset", DatasetSource("{}")),
        ParameterDefinition("rate", "float", 0.1),
        ParameterDefinition("names", "list", (), item_type="str"),
    )
    own = StepDefinition(
        **{
            "id": "search",
            "name": "search",
            "type": "HyperDriveStep",
            "source_directory": "/src",
            "script": "train.py",
            "arguments": (text("--rate"), (Piece("parameter", "rate"),), (Piece("parameter", "path"),)),
            "inputs": inputs,
            "outputs": (
                OutputPort("model", "M"),
                OutputPort("own", "own", destination="x/{run-id}", pipeline_output="p"),
            ),
            "parameters": parameters,
            "retries": 3,
            "driver": Driver("hyperdrive", on_host=True),
            **more,
        }
    )
    dataset = DatasetSource('{"kind": "tabular"}', id="1")
    bound = {
        "made": Artifact("store", "azureml/1/out", "0" * 64, 1, kept=True),
        "read": Artifact("store", "azureml/1/out", "0" * 64, 1, kept=True, dataset=dataset),
        "chosen": Artifact("other", "raw/a.txt", "1" * 64, 1, kept=False),
        "table": Artifact("", "t", "2" * 64, 1, kept=False, dataset=dataset),
    }
    texts = {"path": "other/raw/a.txt", "table": "t", "rate": "0.5", "names": '["a", "b"]'}
    return StepCall(own, "s", bound, texts, Fingerprint(()), ())


def test_a_trial_has_the_steps_inputs_as_they_were_bound_and_further_arguments():
    made = call()
    step = trial_step(made, ["--x", "1"], ["own"], 60.0)
    assert [port.source for port in step.inputs] == [
        DataSource("store", "azureml/1/out"), DataSource("store", "azureml/1/out"), DataSource("other", "raw/a.txt"),
        DatasetSource('{"kind": "tabular"}', id="1"),
    ]  # fmt: skip
    assert step.arguments == (
        text("--rate"), (Piece("parameter", "rate"),), text("other/raw/a.txt"), text("--x"), text("1")
    )  # fmt: skip
    assert (step.type, step.name, step.driver, step.retries, step.timeout_seconds) == (
        "PythonScriptStep",
        "train.py",
        None,
        0,
        60.0,
    )
    assert [(port.name, port.destination, port.pipeline_output) for port in step.outputs] == [("own", None, None)]
    assert trial_values(step, made) == {"rate": 0.5, "names": ("a", "b")}


def test_a_line_for_a_shell_has_the_arguments_in_it():
    line = (Piece("text", "run "), Piece("input", "made"))
    step = trial_step(call(script=None, shell=True, arguments=(line,)), ["--x", "a b"], [], None)
    assert step.arguments == ((*line, Piece("text", " --x 'a b'")),) and step.type == "CommandStep"


def test_what_a_run_was_asked_to_run_is_told_by_v1s_names():
    facts = {"pipeline": {"steps": [trial_step(call(), ["--x", "1"], [], None).to_json()]}}
    assert run_definition(facts) == {
        "script": "train.py", "command": None, "target": "local",
        "arguments": ["--rate", "$rate", "other/raw/a.txt", "--x", "1"],
    }  # fmt: skip
    assert run_definition({"pipeline": {"steps": 7}})["arguments"] == []
