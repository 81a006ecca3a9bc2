"""`stepwell init`: what it makes, and what it leaves alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from shells import Shell
from typer.testing import CliRunner

from stepwell.deployments.cli.first_steps.project import WHAT, files_of, workspace_name
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException

ROOT = Path(__file__).parents[4]


def init(*words):
    return CliRunner().invoke(app, ["init", *map(str, words)])


def test_the_project_runs_as_printed_and_the_second_time_all_is_reused(tmp_path, server, monkeypatch, capfd):
    name = f"i-{uuid.uuid4().hex[:10]}"
    made = init(tmp_path / name)
    assert made.exit_code == 0, made.output
    assert {file for file in WHAT if (tmp_path / name / file).is_file()} == set(WHAT)
    assert json.loads((tmp_path / name / ".azureml/config.json").read_text())["workspace_name"] == name
    shell = Shell(tmp_path / name, name, monkeypatch, capfd)
    assert "Finished: 2 ran" in shell.good("run", "pipeline.py")
    assert "Finished: 2 reused" in shell.good("run", "pipeline.py")
    assert "pipeline#2" in shell.good("runs")
    assert "Finished" in shell.good("run", "pipeline.py", "-p", "rate=0.02,0.03", "--sweep")
    assert "0.03" in shell.good("compare", "--sort", "slope") and "stepwell compare" in made.output
    assert (
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path / name).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("page", "workspace", "names"),
    [
        ("README.md", "demo", ["pipeline.py"]),
        ("docs/tutorial.md", "tutorial", ["prepare.py", "train.py", "pipeline.py"]),
    ],
)
def test_the_pages_print_what_it_makes(page, workspace, names):
    printed = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert printed[: len(names)] == [files_of(workspace)[name] for name in names]


@pytest.mark.parametrize("name", ["train.py", ".azureml/config.json"])
def test_no_file_is_overwritten_and_then_none_is_written(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    error = init(tmp_path).exception
    assert isinstance(error, UserErrorException) and error.facts["files"] == name
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_link_to_nowhere_is_a_file_too(tmp_path):
    (tmp_path / "train.py").symlink_to(tmp_path / "nowhere")
    assert isinstance(init(tmp_path).exception, UserErrorException)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_can_not_be_is_told_of(tmp_path):
    (tmp_path / "file").write_text("")
    error = init(tmp_path / "file" / "project").exception
    assert isinstance(error, UserErrorException) and error.hint.startswith("Name a folder")


@pytest.mark.parametrize(
    ("folder", "name"), [("flats", "flats"), ("my flats (2)", "my-flats-2"), ("ä", "demo"), ("x" * 50, "x" * 33)]
)
def test_the_workspace_is_called_as_the_folder_as_far_as_it_can(tmp_path, folder, name):
    assert workspace_name(tmp_path / folder) == name


def test_a_name_that_no_workspace_can_have_is_refused(tmp_path):
    error = init(tmp_path / "p", "-w", "no name").exception
    assert isinstance(error, UserErrorException) and not (tmp_path / "p").exists()
