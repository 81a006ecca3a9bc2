"""`DatabricksCompute`: attached with v1's words, its token kept as a secret, its address known from outside of the code."""

import databricks_workspace
import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from stepwell import ComputeTarget, DatabricksCompute, PipelineParameter
from stepwell.blocks.server import documents
from stepwell.errors import ComputeTargetException, UserErrorException
from stepwell.model.definitions import Driver, EnvironmentDefinition, StepDefinition

TOKEN = databricks_workspace.TOKEN


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "STEPWELL_V1_DATABRICKS"):
        monkeypatch.delenv(name, raising=False)


def test_the_article_attaches_one_that_is_not_there_and_finds_it(shared_workspace):
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(workspace=shared_workspace, name="bricks")
    config = DatabricksCompute.attach_configuration(
        resource_group="group", workspace_name="ws-bricks", access_token=TOKEN
    )
    attached = ComputeTarget.attach(shared_workspace, "bricks", config)
    attached.wait_for_completion(True)
    for found in (ComputeTarget(shared_workspace, "bricks"), DatabricksCompute(shared_workspace, "bricks")):
        assert isinstance(found, DatabricksCompute) and found.type == "DatabricksCompute"
        assert (found.resource_group, found.workspace_name) == ("group", "ws-bricks")
        assert found.get_credentials() == {"databricksAccessToken": TOKEN} and found.secrets == (TOKEN,)
        assert TOKEN not in f"{found!r} {found.settings()} {found.serialize()}"
        assert found.settings()["access_token"] == "***"
    with documents.client() as api:
        shown = api.read_block_documents_by_type("stepwell-databricks-compute", include_secrets=False)
    assert TOKEN not in str([document.data for document in shown])


def test_a_resource_id_names_group_and_workspace():
    named = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Databricks/workspaces/bricks"
    config = DatabricksCompute.attach_configuration(resource_id=named)
    assert (config.resource_group, config.workspace_name) == ("rg", "bricks")
    with pytest.raises(ComputeTargetException, match="names no Databricks workspace"):
        DatabricksCompute.attach_configuration(resource_id="/subscriptions/1")
    with pytest.raises(ComputeTargetException, match="Nothing says which"):
        DatabricksCompute.attach_configuration(access_token=TOKEN)


def test_an_unsaved_target_with_a_token_can_t_be_named_by_a_step():
    from stepwell.blocks.compute.compute_target import name_of

    with pytest.raises(UserErrorException, match="secret"):
        name_of(DatabricksCompute(host="https://x", access_token=SecretStr(TOKEN)))
    assert name_of(DatabricksCompute(local=True)) == "DatabricksCompute(local=True)"


def test_the_address_comes_from_outside_of_the_code_or_the_error_says_how(dbx, monkeypatch):
    target = DatabricksCompute.attach_configuration("group", "bricks", access_token=TOKEN)
    with pytest.raises(ComputeTargetException, match="address of the Databricks workspace") as failure:
        target.ready()
    assert failure.value.facts == {"resource group": "group", "workspace": "bricks"}
    assert "Set DATABRICKS_HOST" in failure.value.hint
    monkeypatch.setenv("DATABRICKS_HOST", dbx.address)
    target.ready()
    assert dbx.requests[-1][1].endswith("/Me")


def test_the_token_is_the_targets_that_of_the_key_vault_or_of_the_environment(dbx, shared_workspace, monkeypatch):
    placeholder = DatabricksCompute.attach_configuration(
        "g", "w", access_token="<databricks_access_token>", host=dbx.address
    )
    with pytest.raises(ComputeTargetException, match="no access token"):
        placeholder.ready()
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    assert placeholder.get_credentials() == {"databricksAccessToken": TOKEN}
    shared_workspace.get_default_keyvault().set_secret("bricks-token", "of the vault")
    named = DatabricksCompute(host=dbx.address, keyvault_entry="bricks-token").attach_to(shared_workspace, "named")
    assert named.get_credentials() == {"databricksAccessToken": "of the vault"}
    with pytest.raises(ComputeTargetException, match="does not take the access token"):
        named.ready()
    Secret(value="of prefect").save("bricks-shared", overwrite=True)
    assert DatabricksCompute(workspace=shared_workspace.name, keyvault_entry="bricks-shared").get_credentials() == {
        "databricksAccessToken": "of prefect"
    }
    with pytest.raises(ComputeTargetException, match="no secret 'lost'"):
        DatabricksCompute(workspace=shared_workspace.name, keyvault_entry="lost").get_credentials()


def test_other_settings_of_the_environment_are_not_in_the_way(dbx, monkeypatch):
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "x")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "y")
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "oauth-m2m")
    monkeypatch.setenv("DATABRICKS_HOST", "https://elsewhere.example")
    DatabricksCompute(host=dbx.address, access_token=SecretStr(TOKEN)).ready()


def test_without_the_sdk_the_error_names_the_extra(monkeypatch):
    from stepwell.blocks.compute.databricks import connection

    def none(name):
        raise connection.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(connection.metadata, "version", none)
    with pytest.raises(ComputeTargetException) as failure:
        DatabricksCompute(host="https://x", access_token=SecretStr(TOKEN)).ready()
    assert failure.value.hint == "Install stepwell[databricks]."


def step(**more):
    return StepDefinition("a", "a", "DatabricksStep", "", **{"driver": Driver("spark_notebook"), **more})


def test_only_databricks_steps_without_secrets_run_there():
    target = DatabricksCompute(host="https://x")
    target.check(step())
    with pytest.raises(ComputeTargetException, match="DatabricksStep only"):
        target.check(step(driver=None, script="a.py"))
    secret = PipelineParameter("key", "hidden value", secret=True).definition
    for more in ({"parameters": (secret,)}, {"environment": EnvironmentDefinition(variables={"API_TOKEN": "x"})}):
        with pytest.raises(ComputeTargetException, match="everybody in the Databricks workspace"):
            target.check(step(**more))
        DatabricksCompute(local=True).check(step(**more))


def test_local_is_chosen_by_the_target_or_outside_of_the_code(project, monkeypatch):
    assert DatabricksCompute().is_remote and not DatabricksCompute(local=True).is_remote
    target = DatabricksCompute(host="https://x").attach_to(project.workspace, "bricks")
    assert target.is_remote and not target.inherits_packages and not target.follows_links
    project.workspace.set_stand_ins(databricks="local")
    found = ComputeTarget(project.workspace, "bricks")
    assert not found.is_remote and found.inherits_packages and found.follows_links
    found.ready()  # nothing is asked of any workspace
    monkeypatch.setenv("STEPWELL_V1_DATABRICKS", "workspace")
    assert found.is_remote
