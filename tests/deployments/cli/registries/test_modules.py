"""`stepwell modules`: modules with their versions and ports, on the command line."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from stepwell import InputPortDef, Module, OutputPortDef
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException


def command(*words: str):
    return CliRunner().invoke(app, ["modules", *words])


def test_modules_are_listed_and_shown_with_versions_ports_and_parameters(workspace, tmp_path) -> None:
    assert command("-w", workspace.name).stdout == "There is no module yet\n"
    module = Module.create(workspace, "train", "Trains a model")
    (tmp_path / "train.py").write_text("")
    for rate in (1, 2):
        module.publish_python_script(
            "train.py",
            "first",
            [InputPortDef("rows"), InputPortDef("prior", is_optional=True)],
            [OutputPortDef("model")],
            {"rate": rate},
            source_directory=tmp_path,
        )
    module.set_default_version("1")
    lines = command("-w", workspace.name).stdout.splitlines()
    assert lines[1].split()[:4] == ["train", "Active", "1*", "2"] and "Trains a model" in lines[1]
    shown = command("show", "train", "-w", workspace.name).stdout.splitlines()
    assert shown[-2].split() == ["1*", "Active", "train.py", "rows", "[prior]", "model", "rate=1"]
    (found,) = json.loads(command("-w", workspace.name, "--json").stdout)
    assert [one["params"] for one in found["versions"]] == [{"rate": 1}, {"rate": 2}]
    assert isinstance(command("show", "nobody", "-w", workspace.name).exception, UserErrorException)
