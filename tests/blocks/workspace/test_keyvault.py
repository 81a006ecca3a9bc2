"""The key vault: secrets of a workspace, in Prefect's blocks and nowhere else to be seen."""

from __future__ import annotations

import pytest
from prefect.blocks.system import Secret

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.keyvault import Keyvault, KeyvaultSecretBlock
from stepwell.errors import UserErrorException
from stepwell.flows.engine.run_context import RunContext


def test_secrets_are_kept_listed_and_forgotten(workspace, shared_workspace):
    vault = workspace.get_default_keyvault()
    vault.set_secret(name="Storage-Key", value="first")
    vault.set_secret("storage-key", "second")
    vault.set_secrets({"a": "1", "b": "two words"})
    assert vault.get_secret("STORAGE-key") == "second" and vault.get_secrets(["a", "b"]) == {"a": "1", "b": "two words"}
    assert vault.list_secrets() == [{"name": "a"}, {"name": "b"}, {"name": "storage-key"}]
    assert shared_workspace.get_default_keyvault().list_secrets() == []
    vault.delete_secret("A")
    vault.delete_secrets(["b", "never-was"])
    assert [secret["name"] for secret in Keyvault(workspace).list_secrets()] == ["storage-key"]
    with pytest.raises(UserErrorException, match="no secret 'a'"):
        vault.get_secret("a")
    with pytest.raises(UserErrorException, match="can't name"):
        vault.set_secret("with_underscore", "x")


def test_a_secret_that_prefect_knows_is_found(shared_workspace):
    documents.save(Secret(value="from prefect"), "made-in-ui")
    assert shared_workspace.get_default_keyvault().get_secret("made-in-UI") == "from prefect"


def test_no_secret_shows(workspace):
    vault = workspace.get_default_keyvault()
    vault.set_secret("pw", "verysecret")
    vault.set_secret("pin", "4711")
    (block, _) = sorted(documents.load_all(KeyvaultSecretBlock, workspace=workspace.name), key=lambda b: b.key)[::-1]
    assert "verysecret" not in repr(vault) + repr(block) + str(block.model_dump())
    redact = RunContext(workspace, "run").redactor.redact
    assert redact("a verysecret and 4711") == "a *** and ***"
