"""`stepwell trust`: the keys of the homes that share a workspace's results, and which of them it believes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.blocks.trust.trusted_keys import TrustedKeyBlock
    from stepwell.flows.public.workspace import Workspace

app = typer.Typer(help="Whose shared results a workspace uses.", invoke_without_command=True)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_KEY = typer.Argument(..., help="The key: how its id begins, or its owner, user@machine.", metavar="KEY")
_ROLE = typer.Argument(..., help="`writer`, or `ci` for the home of continuous integration.", metavar="ROLE")
_WHOM = typer.Argument(..., help="`writers`: every key that is not revoked; `ci-only`: keys of the role `ci`.")


@app.callback()
def list_keys(context: typer.Context, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """List the keys that sign shared results: id, owner, role, state."""
    if context.invoked_subcommand:
        return
    from stepwell.blocks.trust.home_key import home_key
    from stepwell.blocks.trust.trusted_keys import keys_of
    from stepwell.deployments.reports.report import columns

    found = _workspace(workspace)
    keys, own = keys_of(found.name), home_key().key_id
    if as_json:
        print(json.dumps({"trusts": found.trusts, "keys": [_plain(key) for key in keys]}, indent=1))
        return
    rows = [
        (key.key_id, key.owner, key.role, "revoked" if key.revoked else "valid", _day(key), "*" * (key.key_id == own))
        for key in keys
    ]
    print(f"Workspace {found.name} uses shared results of {_SHOWN[found.trusts]}")
    for line in columns([("KEY", "OWNER", "ROLE", "STATE", "SINCE", "THIS HOME"), *rows]) if rows else ["No key yet"]:
        print(line)


@app.command()
def only(whom: str = _WHOM, workspace: str = _WORKSPACE) -> None:
    """Choose whose shared results the workspace's runs use."""
    from stepwell.errors import UserErrorException

    found = _workspace(workspace)
    if whom not in _SHOWN:
        raise UserErrorException(f"Nobody is meant by {whom!r}", {"choices": ", ".join(_SHOWN)}, "Choose one of these.")
    found.trust(whom)  # type: ignore[arg-type]  # (one of the choices)
    print(f"Workspace {found.name} uses shared results of {_SHOWN[whom]}")


@app.command()
def role(key: str = _KEY, role: str = _ROLE, workspace: str = _WORKSPACE) -> None:
    """Give a key a role."""
    from stepwell.blocks.trust.trusted_keys import change_key

    changed = change_key(_workspace(workspace).name, key, role=role)
    print(f"{changed.key_id} of {changed.owner} has the role {changed.role}")


@app.command()
def revoke(key: str = _KEY, workspace: str = _WORKSPACE) -> None:
    """Believe nothing that a key signed, from the next run on: its results are made anew."""
    from stepwell.blocks.trust.trusted_keys import change_key

    found = _workspace(workspace)
    changed = change_key(found.name, key, revoked=True)
    print(f"{changed.key_id} of {changed.owner} is revoked")
    print(f"Hint: Believe it again with `stepwell trust restore {changed.key_id} -w {found.name}`.")


@app.command()
def restore(key: str = _KEY, workspace: str = _WORKSPACE) -> None:
    """Believe a revoked key again."""
    from stepwell.blocks.trust.trusted_keys import change_key

    changed = change_key(_workspace(workspace).name, key, revoked=False)
    print(f"{changed.key_id} of {changed.owner} is believed again")


_SHOWN = {"writers": "every key that is not revoked", "ci-only": "keys of the role ci only"}


def _workspace(name: str) -> Workspace:
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.errors import UserErrorException

    found = find_workspaces(name)
    if len(found) != 1:
        facts = {"workspaces": ", ".join(one.name for one in found) or "none"}
        raise UserErrorException("One workspace is meant, and none was named", facts, "Name it with -w.")
    return found[0]


def _day(key: TrustedKeyBlock) -> str:
    return datetime.fromtimestamp(key.first_saved, UTC).strftime("%Y-%m-%d")


def _plain(key: TrustedKeyBlock) -> dict[str, Any]:
    return {**key.model_dump(include={"key_id", "public", "owner", "role", "revoked"}), "since": key.first_saved}
