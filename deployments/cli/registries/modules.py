"""`stepwell modules`: the modules that steps are made of, their versions and ports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.flows.catalog.module import Module

app = typer.Typer(help="The modules that steps are made of.", invoke_without_command=True)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's, or all.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_MODULE = typer.Argument(..., help="The module's name.", metavar="MODULE")


@app.callback()
def list_modules(context: typer.Context, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """List modules, each with its versions; the default one is marked."""
    if context.invoked_subcommand:
        return
    from stepwell.deployments.lookup.workspaces import find_workspaces, of_each
    from stepwell.deployments.reports.report import columns
    from stepwell.flows.catalog.module import Module

    found = of_each(find_workspaces(workspace), Module.list)
    if as_json:
        print(json.dumps([_plain(module) for module in found], indent=1))
        return
    head = ("NAME", "STATUS", "VERSIONS", "DESCRIPTION", "WORKSPACE")
    rows = [
        (
            module.name,
            module.status,
            " ".join(
                f"{one.version}*" if one.version == _default(module) else one.version for one in module.versions()
            ),
            module.description,
            module.workspace.name,
        )
        for module in found
    ]
    for line in columns([head, *rows]) if rows else ["There is no module yet"]:
        print(line)


@app.command()
def show(name: str = _MODULE, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Show a module: each version with its script, ports and parameters."""
    from stepwell.deployments.reports.report import columns

    module = _find(name, workspace)
    if as_json:
        print(json.dumps(_plain(module), indent=1))
        return
    facts = {"module": module.name, "id": module.id, "workspace": module.workspace.name, "status": module.status}
    for line in columns([*facts.items(), ("description", module.description)]):
        print(line)
    head = ("VERSION", "STATUS", "SCRIPT", "INPUTS", "OUTPUTS", "PARAMETERS")
    rows = [
        (
            f"{one.version}*" if one.version == _default(module) else one.version,
            one.status,
            one.script,
            " ".join(f"[{port.name}]" if port.is_optional else port.name for port in one.inputs),
            " ".join(port.name for port in one.outputs),
            " ".join(f"{name}={value}" for name, value in one.params.items()),
        )
        for one in module.versions()
    ]
    for line in columns([head, *rows]) if rows else ["It has no version yet"]:
        print(line)


def _default(module: Module) -> str:
    return module.resolve().version if module.module_version_list() else ""


def _find(name: str, workspace: str) -> Module:
    from stepwell.deployments.lookup.workspaces import find_workspaces, of_each
    from stepwell.errors import UserErrorException
    from stepwell.flows.catalog.module import Module

    workspaces = find_workspaces(workspace)
    found = [module for module in of_each(workspaces, Module.list) if module.name == name]
    if not found:
        facts = {"workspaces": ", ".join(one.name for one in workspaces)}
        raise UserErrorException(f"There is no module {name!r}", facts, "List the modules with `stepwell modules`.")
    if len(found) > 1:
        facts = {"workspaces": ", ".join(module.workspace.name for module in found)}
        raise UserErrorException(f"{name!r} means several modules", facts, "Name its workspace with -w.")
    return found[0]


def _plain(module: Module) -> dict[str, Any]:
    return {
        "workspace": module.workspace.name,
        "name": module.name,
        "id": module.id,
        "description": module.description,
        "status": module.status,
        "default_version": module.default_version,
        "versions": [
            {
                "version": one.version,
                "id": one.id,
                "description": one.description,
                "status": one.status,
                "kind": one.kind,
                "script": one.script,
                "snapshot": one.block.snapshot,
                "inputs": [port.serialize() for port in one.inputs],
                "outputs": [port.serialize() for port in one.outputs],
                "params": one.params,
            }
            for one in module.versions()
        ],
    }
