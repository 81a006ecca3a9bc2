"""`stepwell models`: the registered models with their origin, on the command line and in Prefect's UI."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from typer.testing import CliRunner

from stepwell import Model
from stepwell.blocks.server.documents import client
from stepwell.deployments.cli.main import app
from stepwell.errors import ModelNotFoundException
from stepwell.model.names import joined_name


def command(*words: str):
    return CliRunner().invoke(app, ["models", *words])


@pytest.fixture
def flats(workspace, tmp_path):
    (tmp_path / "flats.pkl").write_text("one")
    origin = {"step": "train", "inputs": {"table": "abc"}, "experiment": "prices"}
    data = SimpleNamespace(name="flats-2019", version=3)
    Model.register(workspace, tmp_path / "flats.pkl", "flats", datasets=[("training", data)], origin=origin)
    (tmp_path / "flats.pkl").write_text("two")
    return Model.register(workspace, tmp_path / "flats.pkl", "flats", tags={"area": "north"})


def test_versions_are_listed_with_the_steps_that_they_come_from(workspace, flats) -> None:
    lines = command("-w", workspace.name).stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["flats", "2"], ["flats", "1"]]
    assert "train" in lines[2]
    found = json.loads(command("-w", workspace.name, "--json").stdout)
    assert found[1]["lineage"] == {
        "experiment": "prices",
        "step": "train",
        "input table": "abc",
        "dataset training": "flats-2019:3",
    }


def test_a_version_is_shown_and_copied(workspace, flats, tmp_path) -> None:
    shown = command("show", "flats:1", "-w", workspace.name).stdout
    assert "flats-2019:3" in shown and "abc" in shown
    assert "north" in command("show", "flats", "-w", workspace.name).stdout
    place = command("download", "flats:1", str(tmp_path / "there"), "-w", workspace.name).stdout.strip()
    assert (tmp_path / "there" / "flats.pkl").read_text() == "one" and place.endswith("flats.pkl")
    assert isinstance(command("show", "flats:7", "-w", workspace.name).exception, ModelNotFoundException)


def test_prefects_ui_has_a_table_of_the_versions(workspace, flats) -> None:
    key = joined_name("model", workspace.name, "flats")
    with client() as api:
        found = api.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    newest = max(found, key=lambda one: one.created)
    assert [(row["version"], row.get("step")) for row in json.loads(newest.data)] == [(2, None), (1, "train")]


def test_a_workspace_without_models_says_so(workspace) -> None:
    assert command("-w", workspace.name).stdout == "There is no model yet\n"
