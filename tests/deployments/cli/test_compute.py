"""`stepwell compute`, and `--compute` of run and plan, as a user types them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shells import Shell
from typer.testing import CliRunner

from stepwell import ComputeTarget, DaskCompute, LocalCompute
from stepwell.blocks.compute.compute_target import all_kinds
from stepwell.deployments.cli.main import app
from stepwell.errors import StepwellError


@pytest.fixture
def compute(workspace):
    """What `stepwell compute WORDS` prints; its errors are raised."""
    return lambda *words: printed(workspace, *words)


def printed(workspace, *words):
    done = CliRunner().invoke(app, ["compute", *words, "-w", workspace.name], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_life_of_a_target(workspace, compute):
    assert compute("create", "workers", "dask", "max_nodes=4", "memory_per_node=2GB", 'cluster_options={"name": "x"}')
    found = workspace.compute_targets["workers"]
    assert type(found) is DaskCompute
    assert (found.max_nodes, found.memory_per_node, found.cluster_options) == (4, 2 * 10**9, {"name": "x"})
    line = next(line for line in compute("list").splitlines() if line.startswith("workers "))
    assert line.split()[1:5] == ["DaskCompute", "0", "to", "4"] and "max_nodes=4" in line and "address" not in line
    shown = compute("show", "workers")
    assert "DaskCompute" in shown and "2000000000" in shown and "_block" not in shown
    assert "deleted" in compute("delete", "workers")
    assert "workers" not in workspace.compute_targets


def test_a_size_is_read_as_its_setting_wants_it(workspace, compute):
    compute("create", "boxes", "docker", "image=python:3.11", "memory=2g")
    compute("create", "here", "local", "memory=2GB")
    targets = workspace.compute_targets
    assert (targets["boxes"].memory, targets["here"].memory) == ("2g", 2 * 10**9)


def test_lists_and_targets_can_be_read_by_programs(workspace, compute):
    ComputeTarget.attach(workspace, "box", LocalCompute(max_concurrent=3))
    listed = {target["name"]: target for target in json.loads(compute("list", "--json"))}
    assert {"local", "dask", "docker", "box"} <= set(listed)
    assert listed["box"]["properties"]["max_concurrent"] == 3
    assert json.loads(compute("show", "box", "--json"))["status"]["provisioningState"] == "Succeeded"


def test_secrets_among_settings_are_not_shown(workspace, compute):
    options = {"name": "x", "security": {"password": "hunter22hunter"}}
    ComputeTarget.attach(workspace, "far", DaskCompute(cluster_options=options))
    for shown in (compute("show", "far"), compute("show", "far", "--json"), compute("list"), compute("list", "--json")):
        assert "hunter22hunter" not in shown and "***" in shown
    assert workspace.compute_targets["far"].cluster_options == options


def test_a_databricks_workspace_is_attached_by_its_address_and_the_name_of_its_token(workspace, compute):
    said = compute("create", "bricks", "databricks", "host=https://bricks.example", "keyvault_entry=bricks-token")
    assert "DatabricksCompute" in said and "host=https://bricks.example" in said
    target = workspace.compute_targets["bricks"]
    assert (target.host, target.keyvault_entry) == ("https://bricks.example", "bricks-token")


def test_the_help_names_every_kind():
    said = CliRunner().invoke(app, ["compute", "create", "--help"]).stdout
    assert all(kind.default_name in said for kind in all_kinds())


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (("create", "ww", "k8s"), "no kind of compute target 'k8s'"),
        (("create", "ww", "dask", "max_nodes"), "sets nothing"),
        (("create", "ww", "dask", "max=4"), "A DaskCompute has no setting 'max'"),
        (("create", "ww", "dask", "name=4"), "has no setting 'name'"),
        (("create", "ww", "dask", "max_nodes=many"), "can't have max_nodes = 'many'"),
        (("create", "ww", "dask", "min_nodes=-1"), "can't have min_nodes = '-1'"),
        (("create", "ww", "dask", "cluster_options={x"), "is no JSON"),
        (("create", "ww", "dask", "cluster_options=x"), "can't have cluster_options = 'x'"),
        (("create", "ww", "dask", "memory_per_node=much"), "size of memory can't be read"),
        (("create", "local", "local"), "is reserved"),
        (("create", "box", "dask"), "of another type"),
        (("show", "nope"), "ComputeTargetNotFound"),
        (("delete", "nope"), "ComputeTargetNotFound"),
        (("delete", "dask"), "one that every workspace has"),
    ],
)
def test_mistakes_are_told_and_change_nothing(shared_workspace, words, title):
    ComputeTarget.attach(shared_workspace, "box", LocalCompute(max_concurrent=3))
    with pytest.raises(StepwellError, match=title) as raised:
        printed(shared_workspace, *words)
    assert raised.value.hint
    assert set(shared_workspace.compute_targets) - {kind.default_name for kind in all_kinds()} == {"box"}


@pytest.fixture
def stepwell(project, monkeypatch, capfd):
    """Runs the command line over a pipeline of one step."""
    project.script("a.py", "open(args[0], 'w').write('made')")
    (project.folder / "pipeline.py").write_text(
        "from stepwell import *\n"
        f"ws, out = Workspace.get({project.workspace.name!r}), PipelineData('out')\n"
        f"step = PythonScriptStep('a.py', arguments=[out], outputs=[out], source_directory={str(project.source)!r})\n"
        "pipeline = Pipeline(ws, [step])\n"
    )

    return Shell(project.folder, project.workspace.name, monkeypatch, capfd)


def test_a_pipeline_runs_where_the_command_says_and_its_results_serve_elsewhere(project, stepwell):
    ComputeTarget.attach(project.workspace, "box", LocalCompute(max_concurrent=1))
    done = stepwell.here("run", "pipeline.py", "--compute", "box", "--json")
    assert [step["happened"] for step in json.loads(done.stdout)["steps"]] == ["ran"], done.stderr
    planned = stepwell.here("plan", "pipeline.py", "--compute", "dask", "--json")
    assert [step["action"] for step in json.loads(planned.stdout)["steps"]] == ["reuse"], planned.stderr
    again = stepwell.here("run", "pipeline.py", "--compute", "dask", "--json")
    assert [step["happened"] for step in json.loads(again.stdout)["steps"]] == ["reused"], again.stderr
    assert project.executions == {"a.py": 1}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_unknown_target_is_told_before_anything_runs(project, stepwell, command):
    done = stepwell.here(command, "pipeline.py", "--compute", "nope")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: ComputeTargetNotFound: Compute Target with name nope not found")
    assert not project.executions and not (project.workspace.store.root / "runs").exists()


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs Dask")
def test_a_pipeline_runs_on_dask_by_command(project, stepwell):
    done = stepwell.here("run", "pipeline.py", "--compute", "dask", "--json")
    assert [step["happened"] for step in json.loads(done.stdout)["steps"]] == ["ran"], done.stderr
