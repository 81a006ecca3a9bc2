"""`stepwell trust`: keys of homes on the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from stepwell import Workspace
from stepwell.blocks.trust.home_key import home_key
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException, WorkspaceException


@pytest.fixture
def trust(workspace):
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["trust", *words, "-w", workspace.name])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return run


def test_a_workspace_begins_with_no_key_and_believes_every_writer(trust, workspace) -> None:
    assert workspace.trusts == "writers"
    assert trust().splitlines() == [
        f"Workspace {workspace.name} uses shared results of every key that is not revoked",
        "No key yet",
    ]


def test_keys_are_listed_given_roles_revoked_and_restored(trust, workspace) -> None:
    key = workspace.keys.own().key_id
    row = trust().splitlines()[-1].split()
    assert row[0] == key and row[2:4] == ["writer", "valid"] and row[-1] == "*"
    assert trust("role", key[:6], "ci").startswith(f"{key} of ")
    assert f"stepwell trust restore {key}" in trust("revoke", key)
    assert trust().splitlines()[-1].split()[2:4] == ["ci", "revoked"]
    trust("restore", key)
    (known,) = json.loads(trust("--json"))["keys"]
    assert (known["key_id"], known["role"], known["revoked"]) == (home_key().key_id, "ci", False)


def test_a_workspace_that_believes_ci_only_says_so_wherever_it_is_opened(trust, workspace) -> None:
    signature = (key := workspace.keys.own()).sign(b"record")
    assert trust("only", "ci-only").endswith("keys of the role ci only\n")
    opened = Workspace.get(workspace.name)
    assert opened.trusts == "ci-only"
    assert "believes ci only" in opened.keys.refusal(key.key_id, b"record", signature)
    trust("only", "writers")
    assert Workspace.get(workspace.name).keys.refusal(key.key_id, b"record", signature) == ""


@pytest.mark.parametrize("words", [("only", "everybody"), ("role", "", "ci"), ("revoke", "no-such-key")])
def test_what_is_not_there_is_refused(trust, words) -> None:
    with pytest.raises((UserErrorException, WorkspaceException)):
        trust(*words)
