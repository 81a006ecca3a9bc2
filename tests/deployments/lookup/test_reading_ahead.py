"""What is refused of a pipeline's file before a server is started, and what is left to the loading."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from stepwell.blocks.server import connection
from stepwell.deployments.cli.main import app
from stepwell.deployments.lookup.reading_ahead import may_define, refuse_mistakes
from stepwell.errors import UserErrorException

PIPELINE = """\
from stepwell import Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace
ws = Workspace.create("never-made", exist_ok=True)
rate, out = PipelineParameter("rate", 10), PipelineData("out")
train = PythonScriptStep("train.py", arguments=[rate, out], outputs=[out])
pipeline = Pipeline(ws, steps=[train])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "train.py").write_text("")
    return tmp_path


@pytest.fixture
def no_server(monkeypatch):
    """Lets every start of a server fail."""

    def refuse(*_):
        raise AssertionError("a server was asked for")

    monkeypatch.setattr(connection, "ensure_server", refuse)


@pytest.mark.parametrize("command", ["run", "plan", "publish"])
@pytest.mark.parametrize(
    ("edit", "words", "title"),
    [
        (None, ["nowhere.py"], "There is no file nowhere.py"),
        (("notes.txt", "hello"), ["notes.txt"], "notes.txt is no Python file"),
        (("pipeline.py", "x = (\n"), ["pipeline.py"], "pipeline.py can't be loaded: SyntaxError"),
        (
            ("pipeline.py", PIPELINE.replace("train.py", "trian.py")),
            ["pipeline.py"],
            "Step [trian.py]: script not found at:",
        ),
        (
            ("train.py", "import argparse, sys\nfrom stepwell import Run\nsys.exit(2)"),
            ["train.py"],
            "train.py ended this program",
        ),
        (("train.py", "print('x')"), ["train.py"], "There is no pipeline in train.py"),
    ],
)
def test_mistakes_are_told_before_a_server_is_started(folder, no_server, command, edit, words, title):
    if edit:
        (folder / edit[0]).write_text(edit[1])
    error = CliRunner().invoke(app, [command, *words]).exception
    assert isinstance(error, UserErrorException) and error.title.startswith(title), error
    assert error.hint


@pytest.mark.parametrize(
    ("assignment", "title", "hint"),
    [
        ("rat=3", "The pipeline has no parameter 'rat'", "Write `rate`."),
        ("rate", "'rate' assigns nothing", "Write -p name=value."),
    ],
)
def test_so_are_parameters_that_there_are_not(folder, no_server, assignment, title, hint):
    error = CliRunner().invoke(app, ["run", "pipeline.py", "-p", assignment]).exception
    assert isinstance(error, UserErrorException) and (error.title, error.hint) == (title, hint)


@pytest.mark.parametrize(
    "text",
    [
        PIPELINE,
        PIPELINE.replace("train.py", "made.py").replace("ws =", "open('made.py', 'w').close()\nws ="),
        PIPELINE.replace("train.py", "made.py").replace(
            "ws =", "from pathlib import Path\nPath('made.py').write_text('')\nws ="
        ),
        PIPELINE.replace("train.py", "made.py").replace("ws =", "import makes_scripts\nws ="),
        PIPELINE.replace("train.py", "made.py").replace(
            "steps=[train]", "steps=[train], default_source_directory='there'"
        ),
        PIPELINE.replace("pipeline =", "unused = PythonScriptStep('later.py')\npipeline ="),
        PIPELINE.replace('"train.py",', '"train.py", source_directory=".",'),
        PIPELINE.replace('"rate", 10', "NAME, 10"),
        PIPELINE.replace('"rate", 10', '"ra" + "te", 10'),
        "from stepwell import *\npipeline = whatever()\n",
        "def pipeline():\n    return Pipeline(1, [PythonScriptStep('gone.py')])\n",
        "",
    ],
)
def test_what_might_be_well_is_not_refused(folder, text):
    (folder / "pipeline.py").write_text(text)
    refuse_mistakes(folder / "pipeline.py", ["rate=3"])


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("from stepwell import Run\nimport argparse", False),
        ("import numpy", False),
        ("import stepwell", True),
        ("from azureml.core import Run", True),
        ("from . import x", True),
        ("import pipeline", True),
        ("from prefect import flow", True),
    ],
)
def test_a_file_that_imports_nothing_of_ours_is_loaded_without_a_server(folder, text, may):
    (folder / "x.py").write_text(text)
    assert may_define(folder / "x.py") is may
