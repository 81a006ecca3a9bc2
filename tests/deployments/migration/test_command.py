"""`stepwell migrate check`: a project of the Azure ML SDK v1 is read, not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stepwell.deployments.migration.command import app
from stepwell.deployments.migration.project import find_code
from stepwell.deployments.migration.usage import Use, uses_of
from stepwell.errors import UserErrorException


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["check", str(path), *options])


def uses(folder: Path, text: str) -> list[Use]:
    script = folder / "script.py"
    script.write_text(text)
    return uses_of(next(iter(find_code(script))))


def refused(folder: Path, text: str) -> dict[str, int]:
    return {use.name: use.line for use in uses(folder, text) if use.meaning == "refuses"}


def notebook(path: Path, *cells: str) -> None:
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}))


def test_a_project_is_read_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(
        "from azureml.core import Workspace\nfrom azureml.pipeline.core import Pipeline\n"
        "raise SystemExit('this must not run')\nws = Workspace.from_config()\n"
    )
    done = check(tmp_path)
    assert done.exit_code == 0, done.output
    assert "pipeline.py" in done.output and "Of 1 file that use the SDK: 1 as they are" in done.output


def test_what_is_refused_is_told_with_its_line_and_what_to_do_instead(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text("from azureml.core.webservice import AksWebservice\n\nAksWebservice('x')\n")
    done = check(tmp_path)
    line = next(line for line in done.output.splitlines() if "AksWebservice" in line)
    assert done.exit_code == 1
    assert line.split()[:2] == ["3", "refuses"] and "publish a pipeline for batch scoring" in line


def test_an_unused_import_of_what_is_refused_does_no_harm(tmp_path: Path) -> None:
    assert not refused(tmp_path, "from azureml.core.webservice import AksWebservice, Webservice\n")
    assert not refused(tmp_path, "try:\n    1\nexcept Exception:\n    from azureml.core import Webservice\n")


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("import azureml.core\nazureml.core.Webservice('x')", "Webservice", 2),
        ("import azureml.core as a\nfrom os import path\na.Webservice('x')", "Webservice", 3),
        ("from azureml import core\ncore.Webservice('x')", "Webservice", 2),
        ("from azureml.core import Webservice as W\ndef f():\n    return W('x')", "Webservice", 3),
        ("from azureml.core import *\nWebservice('x')", "Webservice", 2),
        ("import azureml.unheard.of", "azureml.unheard.of", 1),
        ("from azureml.core import Unheard", "azureml.core.Unheard", 1),
        ("from azureml.core import Workspace\nws = Workspace.from_config()\nws.fly()", "Workspace.fly", 3),
        ("from azureml.core import Workspace as W\nW.from_config().fly()", "Workspace.fly", 2),
        (
            "from azureml.core import Workspace\nds = Workspace.get('x').get_default_datastore()\nds.fly",
            "Datastore.fly",
            3,
        ),
        ("from azureml.core import Run\nwith Run.get_context() as run:\n    run.fly()", "Run.fly", 3),
        ("from azureml.core import Experiment\nExperiment('ws', 'x', wings=2)", "Experiment(wings=)", 2),
        (
            "from azureml.core import Datastore\nd = Datastore('ws')\nd.upload(\n 'a',\n wings=2)",
            "Datastore.upload(wings=)",
            5,
        ),
    ],
)
def test_uses_are_found_however_they_are_written(tmp_path: Path, text: str, name: str, line: int) -> None:
    assert refused(tmp_path, text).get(name) == line


@pytest.mark.parametrize(
    "text",
    [
        "from azureml.core import Workspace\nws = Workspace.from_config()\nws = object()\nws.fly()",
        "from azureml.core import Workspace\nws = Workspace.from_config()\ndef f(ws):\n    ws.fly()",
        "from azureml.core import Model\nfrom elsewhere import Model\nModel.fly()",
        "from azureml.core import Run\nrun = Run.get_context()\nrun.log('a', 1)\nrun.parent.log('b', 2)",
        "from azureml.pipeline.core import PipelineData\nd = PipelineData('x', datastore=None)\nd.name",
        "from azureml.exceptions import TrainingException\ntry:\n    1\nexcept TrainingException:\n    pass",
    ],
)
def test_what_works_or_is_not_known_is_not_refused(tmp_path: Path, text: str) -> None:
    assert not refused(tmp_path, text)


def test_cells_of_notebooks_are_read_with_their_magics_and_written_scripts(tmp_path: Path) -> None:
    notebook(
        tmp_path / "a.ipynb",
        "%matplotlib inline\n!pip install azureml-sdk\nfiles = !ls\nfrom azureml.core import Workspace\nws = Workspace('a')",
        "%%bash\nfrom azureml.core import Unheard",
        "%%writefile folder/train.py\nfrom azureml.core import Run\nRun.get_context().fly()",
        "ws.fly()",
    )
    done = check(tmp_path, "--json")
    (found,) = json.loads(done.output)
    told = {use["name"]: use["place"] for use in found["uses"] if use["meaning"] == "refuses"}
    assert told == {"Run.fly": "cell 3, line 3", "Workspace.fly": "cell 4, line 1"} and not found["unread"]


def test_a_file_that_cant_be_read_has_its_line_and_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("from azureml.core import Run\nprint 'two'\n")
    (tmp_path / "other.py").write_text("print 'two'\n")
    (tmp_path / "new.py").write_bytes(b"# -*- coding: latin-1 -*-\n# \xe4\nfrom azureml.core import Run\n")
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "hidden.py").write_text("from azureml.core import Unheard")
    found = {Path(one["file"]).name: one for one in json.loads(check(tmp_path, "--json").output)}
    assert {name: one["verdict"] for name, one in found.items()} == {
        "broken.ipynb": "unread",
        "new.py": "works",
        "old.py": "unread",
    }
    assert found["old.py"]["unread"][0]["place"] == "2"


def test_a_path_where_nothing_is_and_a_project_without_the_sdk_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="nothing to read"):
        list(find_code(tmp_path / "missing"))
    (tmp_path / "plain.py").write_text("import os")
    assert check(tmp_path).output == "Nothing here uses the Azure ML SDK\n"
