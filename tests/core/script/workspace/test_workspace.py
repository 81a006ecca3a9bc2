"""The workspace as a script has it: what the host says, asked once, and what no step may do refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stepwell.errors import (
    ComputeTargetException,
    DatastoreException,
    ModelPathNotFoundException,
    StepwellError,
    UserErrorException,
    WorkspaceException,
)
from stepwell.script import channel
from stepwell.script.run import Run, _OfflineRun
from stepwell.script.workspace.dataset import Dataset
from stepwell.script.workspace.datastore import DataPath, Datastore
from stepwell.script.workspace.experiment import Experiment
from stepwell.script.workspace.model import Model
from stepwell.script.workspace.step_run import StepRun
from stepwell.script.workspace.workspace import Workspace

ANSWERS: dict[str, Any] = {
    "workspace.details": {
        "name": "ws",
        "resource_group": "rg",
        "default_datastore": "blob",
        "discoveryUrl": "http://x",
    },
    "datastore.get": {"name": "blob", "type": "AzureBlob", "url": "", "is_default": True},
    "datastore.list": {"datastores": ["blob"], "default": "blob"},
    "dataset.list": {"datasets": ["towns"]},
    "run.details": {"experiment": "digits"},
    "run.children": {"steps": [{"step": "a", "name": "a.py", "status": "Finished", "id": "7"}]},
    "run.status": "Finished",
    "run.tags": {"tags": {"kind": "made"}},
    "run.properties": {"properties": {}},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer what is asked of the host, and return the operations."""
    found: list[str] = []

    def ask(operation: str, **arguments: Any) -> Any:
        found.append(operation)
        if operation not in ANSWERS:
            raise UserErrorException(f"no {operation}", {}, "Ask for something else.")
        return ANSWERS[operation]

    monkeypatch.setattr(channel, "ask", ask)
    return found


def test_facts_are_asked_for_once(asked: list[str]) -> None:
    workspace = Workspace.from_config()
    assert (workspace.name, workspace.resource_group, workspace.location) == ("ws", "rg", "")
    assert workspace.get_details()["name"] == "ws" and "default_datastore" not in workspace.get_details()
    assert asked == ["workspace.details"]
    assert list(workspace.datastores) == ["blob"] and list(workspace.experiments) == ["digits"]


def test_only_the_workspace_of_the_run_is_there(asked: list[str]) -> None:
    assert Workspace("sub", "rg", "ws") == Workspace.get("ws") == Workspace.list()["ws"]
    with pytest.raises(WorkspaceException, match="the workspace of its run only"):
        Workspace.get("other")


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda ws: ws.compute_targets, ComputeTargetException),
        (lambda ws: ws.delete(), WorkspaceException),
        (lambda ws: ws.set_default_datastore("x"), WorkspaceException),
        (lambda ws: Workspace.create("x"), WorkspaceException),
        (lambda ws: list(ws.environments), UserErrorException),
        (lambda ws: ws.get_default_keyvault().set_secret("a", "b"), UserErrorException),
        (lambda ws: ws.get_default_keyvault().list_secrets(), UserErrorException),
        (lambda ws: Experiment(ws, "x").submit(None), UserErrorException),
        (lambda ws: Experiment(ws, "x").get_runs(), UserErrorException),
        (lambda ws: Experiment(ws, "x").tag("a"), UserErrorException),
        (lambda ws: Datastore.register_azure_blob_container(ws, "x"), DatastoreException),
        (lambda ws: Datastore(ws).unregister(), DatastoreException),
        (lambda ws: Datastore(ws).upload("not there"), DatastoreException),
        (lambda ws: Datastore(ws).upload_files(["not there"]), DatastoreException),
        (lambda ws: Model.deploy(ws, "x"), UserErrorException),
        (lambda ws: Model.register(ws, "not there", "x"), ModelPathNotFoundException),
        (lambda ws: StepRun.found()[0].log("a", 1), UserErrorException),
        (lambda ws: Dataset.File.from_files("local/path"), UserErrorException),
        (lambda ws: Dataset.File.from_files("https://host/a?key=secret"), UserErrorException),
        (lambda ws: Dataset.File.from_files([]), UserErrorException),
        (lambda ws: Dataset.Tabular.from_sql_query("select"), UserErrorException),
        (lambda ws: DataPath(), UserErrorException),
    ],
)
def test_what_no_step_may_do_is_refused(use: Any, error: type[StepwellError], asked: list[str]) -> None:
    with pytest.raises(error) as caught:
        use(Workspace.from_config())
    assert "\n" not in caught.value.title and caught.value.hint[0].isupper()


def test_members_of_the_host_alone_are_told_to_be_so(asked: list[str]) -> None:
    workspace = Workspace.from_config()
    assert not hasattr(workspace, "linked_services")
    with pytest.raises(AttributeError, match="in a step; use it where the pipeline is submitted"):
        workspace.webservices  # noqa: B018


def test_a_name_of_no_dataset_is_no_key_and_other_trouble_is_told(asked: list[str]) -> None:
    datasets = Workspace.from_config().datasets
    assert "rivers" not in datasets and list(datasets) == ["towns"] and len(datasets) == 1
    with pytest.raises(UserErrorException):
        datasets["towns"]


def test_steps_of_the_run_are_chosen_by_tags_and_status(asked: list[str]) -> None:
    [step] = StepRun.found()
    assert (step.get_status(), step.status, step.tags) == ("Finished", "Completed", {"kind": "made"})


def test_a_script_by_hand_has_the_workspace_of_its_config_file(
    workspace: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    workspace.write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = Run.get_context()
    assert isinstance(run, _OfflineRun) and run.experiment.workspace.name == workspace.name
    assert run.experiment.name == "offline" and type(run.experiment.workspace) is type(workspace)
    run.register_model("model", "outputs/model.pkl")


@pytest.mark.parametrize(
    ("files", "version", "found"),
    [
        (["iris/1/model.pkl", "iris/10/model.pkl"], None, "iris/10/model.pkl"),
        (["iris/1/model.pkl", "iris/10/model.pkl"], 1, "iris/1/model.pkl"),
        (["iris/2/model/weights", "iris/2/model/code"], None, "iris/2/model"),
        (["iris/2/a", "iris/2/b"], "2", "iris/2"),
        (["iris/weights"], None, "iris"),
        (["iris"], None, "iris"),
    ],
)
def test_models_are_found_where_scoring_scripts_are_given_them(
    files: list[str], version: Any, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    assert Model.get_model_path("iris", version) == str(tmp_path / found)


def test_a_directory_of_one_version_is_that_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iris" / "3").mkdir(parents=True)
    (tmp_path / "iris" / "3" / "model.pkl").touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "iris" / "3"))
    assert os.path.basename(Model.get_model_path("iris")) == "model.pkl"
