"""A file of parameters: its keys as pipeline parameters, and as what a step's script reads itself."""

from __future__ import annotations

import pytest
from stepwell import ParameterFile, PipelineParameter, PythonScriptStep
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import merge
from stepwell.model.definitions import ParameterKeys, Piece

TEXT = """\
seed: 3
train: {rate: 0.1, learning-steps: [1, 2], layers: [{size: 3}], kind: svc, max_tokens: 4096, since: 2026-01-02, none: }
db: {password: hunter22}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TEXT)
    (tmp_path / "train.py").write_text("")
    return tmp_path


def defined(step, folder=None):
    return step.define(step_id="a", producers={}, ids={}, source_directory=folder)


def test_a_key_is_a_parameter_with_the_value_of_the_file_as_its_default(folder):
    settings = ParameterFile()
    rate, steps = settings["train.rate"], settings["train.learning-steps"]
    assert isinstance(rate, PipelineParameter) and (rate.name, rate.default_value) == ("train.rate", 0.1)
    assert (rate.definition.type, rate.definition.variable, str(rate)) == (
        "float",
        "train_rate",
        "$AML_PARAMETER_train_rate",
    )
    assert (steps.definition.type, steps.definition.default) == ("list", (1, 2))
    assert settings["train.since"].definition.default == "2026-01-02" and settings["train.none"].definition.nullable
    assert not settings["train.max_tokens"].definition.secret and settings["db.password"].definition.secret
    assert "seed" in settings.names and "train" not in settings.names
    step = PythonScriptStep("train.py", arguments=["--rate", rate, f"--again={rate}"])
    assert defined(step).arguments[1:] == ((Piece("parameter", "train.rate"),), (Piece("text", "--again="), Piece("parameter", "train.rate")))  # fmt: skip
    assert merge([rate.definition, ParameterFile()["train.rate"].definition]) == (rate.definition,)


@pytest.mark.parametrize(
    ("key", "words"),
    [("train.rat", "has no key 'train.rat'"), ("train", "is a section"), ("", "is a section"), ("train.layers", "can be no parameter")],
)  # fmt: skip
def test_what_is_no_parameter_is_said_so(folder, key, words):
    with pytest.raises(UserErrorException, match=words):
        ParameterFile()[key]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.yaml", None, "There is no file of parameters"),
        ("a.yaml", "a: [1", "can't be read as YAML"),
        ("a.json", "[1]", "no names and values"),
        ("a.txt", "a", "is no file of parameters"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_named(folder, name, text, words):
    if text is not None:
        (folder / name).write_text(text)
    for made in (lambda: ParameterFile(name), lambda: PythonScriptStep("train.py", params=[f"{name}:a"])):
        with pytest.raises(UserErrorException, match=words):
            made()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (["train.rate", "seed"], [("params.yaml", ("train.rate", "seed"))]),
        (["train"], [("params.yaml", ("train",))]),
        (["params.yaml:seed", "more.toml:a.b"], [("params.yaml", ("seed",)), ("more.toml", ("a.b",))]),
        (["more.toml:"], [("more.toml", ("",))]),
        ([{"n": 3}, "seed", "seed"], [("params.yaml", ("seed",))]),
    ],
)
def test_params_name_keys_of_files_in_the_source_directory(folder, params, expected):
    (folder / "more.toml").write_text("[a]\nb = 1\n")
    step = PythonScriptStep("train.py", params=params)
    found = defined(step)
    assert found.parameter_files == tuple(ParameterKeys(*one) for one in expected)
    assert type(found).from_json(found.to_json()) == found
    names = {parameter.name for parameter in step.parameters}
    assert names <= {"train.rate", "train.learning-steps", "train.kind", "train.max_tokens", "train.since", "train.none", "seed", "a.b"}  # fmt: skip
    assert found.parameters == step.parameters and names


def test_keys_are_named_by_a_file_or_a_parameter_too(folder):
    settings = ParameterFile(folder / "params.yaml")
    found = defined(PythonScriptStep("train.py", params=[settings["train.rate"], "seed"]))
    assert found.parameter_files == (ParameterKeys("params.yaml", ("train.rate", "seed")),)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (["train.rat"], "has no key"),
        (["db"], "sounds secret"),
        ([""], "names a key that is none"),
        ([PipelineParameter("rate", 1)], "names a key that is none"),
        (["none.yaml:a"], "There is no file"),
    ],
)
def test_keys_that_can_not_be_tracked_are_refused_before_anything_runs(folder, params, words):
    with pytest.raises(UserErrorException, match=words):
        PythonScriptStep("train.py", params=params)


def test_a_file_outside_of_the_source_directory_is_refused(folder):
    (folder / "src").mkdir()
    (folder / "src" / "train.py").write_text("")
    with pytest.raises(UserErrorException, match="not in the source directory") as error:
        defined(PythonScriptStep("train.py", source_directory="src", params=[ParameterFile()["seed"]]))
    assert "arguments" in error.value.hint


def test_two_parameters_that_would_be_one_variable_are_refused(folder):
    with pytest.raises(UserErrorException, match="would be one variable"):
        PythonScriptStep("train.py", arguments=[ParameterFile()["train.rate"], PipelineParameter("train_rate", 1)])


def test_a_lone_key_is_told_to_be_written_as_a_list(folder):
    with pytest.raises(UserErrorException, match="`params` of PythonScriptStep must be a dict or a list") as error:
        PythonScriptStep("train.py", params="train.rate")
    assert error.value.hint == "Write ['train.rate']."
