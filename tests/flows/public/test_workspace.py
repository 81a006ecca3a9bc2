"""The workspace as v1's users ask for it: found by its names in Azure, changed, written down, set up."""

from __future__ import annotations

import json
import uuid

import pytest

from stepwell import Environment, Workspace
from stepwell.blocks.environments.environment import Environment as SameEnvironment
from stepwell.deployments.client.credentials import ServicePrincipalAuthentication
from stepwell.errors import WorkspaceException


def test_it_is_found_by_the_names_that_azure_has_for_it(shared_workspace):
    name = shared_workspace.name
    auth = ServicePrincipalAuthentication("tenant", "id", "password")
    found = Workspace(subscription_id="s", resource_group="g", workspace_name=name, auth=auth)
    assert found.name == Workspace("s", "g", name).name == name and found.is_here
    with pytest.raises(WorkspaceException, match="`stepwell workspaces create no-such-workspace`"):
        Workspace("s", "g", "no-such-workspace")


def test_what_create_was_given_is_shown_and_changed(server):
    name = f"w-{uuid.uuid4().hex[:12]}"
    made = Workspace.create(
        name, None, "s", "g", "westeurope", True, "enterprise", {"a": "b"}, "Friendly", "storage", show_output=False
    )
    assert (made.sku, made.friendly_name, made.tags, made.location) == (
        "enterprise",
        "Friendly",
        {"a": "b"},
        "westeurope",
    )
    details = made.update(description="for\nall", tags={"n": 1, "yes": True})
    assert json.loads(json.dumps(details)) == details
    found = Workspace.get(name, None, "s", "g", "l", "AzureCloud")
    assert found.tags == {"n": "1", "yes": "True"} and found.friendly_name == "Friendly"
    assert {"id", "name", "location", "sku", "discoveryUrl", "creationTime"} <= found.get_details().keys()
    assert found.discovery_url.startswith("http") and not found.webservices
    assert "key" not in "".join(found.get_details())
    found.delete()
    assert name not in Workspace.list("s")


def test_what_create_was_not_given_is_learned_from_the_code_that_opens_it(server, tmp_path):
    name = f"w-{uuid.uuid4().hex[:12]}"
    made = Workspace.create(name)
    assert made.subscription_id + made.resource_group + made.location == ""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"subscription_id": "s", "resource_group": "g", "workspace_name": name}))
    assert Workspace.from_config(config).resource_group == "g"
    Workspace(None, "other", name, _location="westeurope")
    found = Workspace.get(name)
    assert (found.subscription_id, found.resource_group, found.location) == ("s", "g", "westeurope")
    assert found.get_details()["resource_group"] == "g"
    found.delete()


def test_its_config_is_found_by_the_name_that_it_was_written_under(shared_workspace, tmp_path, monkeypatch):
    shared_workspace.write_config(path=tmp_path, file_name="ws_config.json")
    monkeypatch.chdir(tmp_path)
    assert Workspace.from_config(path=tmp_path / ".azureml" / "ws_config.json").name == shared_workspace.name
    assert Workspace.from_config(_file_name="ws_config.json").name == shared_workspace.name


def test_setup_finds_or_makes_one(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Workspace.setup()
    assert (tmp_path / ".azureml" / "config.json").is_file() and Workspace.setup().name == made.name == "default"


def test_it_knows_environments_targets_and_where_mlflow_tracks(workspace):
    environment = Environment("sk")
    environment.register(workspace)
    assert set(workspace.environments) == {"sk"} and isinstance(workspace.environments["sk"], SameEnvironment)
    assert workspace.get_default_compute_target("CPU").name == "local"
    assert workspace.get_default_compute_target("other") is None
    uri = workspace.get_mlflow_tracking_uri()
    assert uri == (workspace.folder / "mlflow").as_uri() and (workspace.folder / "mlflow").is_dir()
