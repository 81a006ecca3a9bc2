"""The commands about workspaces: listed, created, used, taken over, and deleted only by who says so."""

from __future__ import annotations

import json
import uuid

import pytest
from prefect.exceptions import ObjectNotFound
from typer.testing import CliRunner

from stepwell import PublishedPipeline, Workspace
from stepwell.blocks.server.documents import client
from stepwell.blocks.datastores.datastore_files import DatastoreBlock
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.store_identity import set_default_workspace
from stepwell.deployments.cli.main import app
from stepwell.errors import WorkspaceException


def command(*words: str, say: str = ""):
    return CliRunner().invoke(app, [*words], input=say)


@pytest.fixture
def name(server):
    yield f"w-{uuid.uuid4().hex[:12]}"
    set_default_workspace("")


def test_workspaces_are_created_and_listed(name):
    assert command("workspaces", "create", name).exit_code == 0
    assert isinstance(command("workspaces", "create", name).exception, WorkspaceException)
    (line,) = [line for line in command("workspaces").stdout.splitlines() if line.startswith(name)]
    assert line.split() == [name, str(Workspace.get(name).folder)]
    (found,) = [one for one in json.loads(command("workspaces", "--json").stdout) if one["name"] == name]
    assert found == {"name": name, "here": True, "store": str(Workspace.get(name).folder)}


def test_a_datastore_is_laid_on_a_folder(shared_workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = shared_workspace.name
    assert command("workspaces", "lay", name, "account/box", "data").exit_code == 0
    assert Workspace.get(name).datastore_places == {"account/box": str(tmp_path / "data")}
    assert "where it was" in command("workspaces", "lay", name, "account/box").stdout
    assert Workspace.get(name).datastore_places == {}


def test_what_stands_in_for_what_is_missing_is_chosen(shared_workspace):
    name = shared_workspace.name
    chosen = ("--environment", "as-installed", "--gpu", "cpu", "--databricks", "local")
    told = command("workspaces", "stand-ins", name, *chosen).stdout
    assert told.split() == ["environment", "as-installed", "gpu", "cpu", "databricks", "local"]
    assert Workspace.get(name).stand_ins == {"environment": "as-installed", "gpu": "cpu", "databricks": "local"}
    assert "--gpu can't be" in str(command("workspaces", "stand-ins", name, "--gpu", "tpu").exception)
    chosen = ("--environment", "as-asked", "--gpu", "gpu", "--databricks", "workspace")
    told = command("workspaces", "stand-ins", name, *chosen).stdout
    assert told.split() == ["environment", "as-asked", "gpu", "gpu", "databricks", "workspace"]


def test_a_workspace_is_deleted_with_all_that_prefect_knows_of_it_when_that_is_confirmed(project):
    name, published = project.workspace.name, project.pipeline(project.step("a.py", "")).publish()
    assert command("workspaces", "delete", name, say="n\n").exit_code == 1
    assert PublishedPipeline.list(Workspace.get(name))
    done = command("workspaces", "delete", name, say="y\n")
    assert done.exit_code == 0 and str(project.workspace.folder) in done.stdout
    assert project.workspace.folder.is_dir()
    assert documents.load_all(DatastoreBlock, workspace=name) == []
    with pytest.raises(WorkspaceException):
        Workspace.get(name)
    with client() as api, pytest.raises(ObjectNotFound):
        api.read_deployment(published.block.deployment_id)
    assert Workspace.create(name).store.root == project.workspace.store.root


def test_the_workspace_in_use_is_that_of_commands_that_name_none(project, name, monkeypatch):
    monkeypatch.chdir(project.folder)
    other = Workspace.create(name)
    for workspace in (project.workspace, other):
        run = project.pipeline(project.step("a.py", ""), name=name)
        run.workspace = workspace
        project.workspace, kept = workspace, project.workspace
        project.run(run)
        project.workspace = kept
    listed = command("runs", "-n", "2").stdout.splitlines()
    assert {line.split()[2] for line in listed} == {name, project.workspace.name}
    assert command("use", name).stdout == f"Commands use the workspace {name}\n"
    assert [line.split()[1] for line in command("runs").stdout.splitlines()] == [f"{name}#1"]
    assert json.loads(command("show", f"{name}#1", "--json").stdout)["workspace"] == name
    assert isinstance(command("use", "no-such").exception, WorkspaceException)
    assert command("use").stdout == f"Commands use the workspace {name}\n"
    assert command("use", "--clear").stdout == "Commands use all workspaces\n"


def test_a_workspace_that_only_another_server_knows_is_named(name, server):
    workspace = Workspace.create(name)
    command("workspaces", "delete", name, "--yes")
    with pytest.raises(WorkspaceException, match="PREFECT_API_URL") as error:
        Workspace.get(name)
    assert name in error.value.facts["with data in this home, but not known to this Prefect server"]
    assert workspace.folder.exists()
