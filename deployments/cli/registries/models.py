"""`stepwell models`: the registered models, and where each version comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.flows.public.model import Model

app = typer.Typer(help="The registered models.", invoke_without_command=True)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's, or all.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_MODEL = typer.Argument(..., help="The model: NAME for its latest version, or NAME:VERSION.", metavar="MODEL")
_FOLDER = typer.Argument(Path(), help="The folder to copy it to.", metavar="[FOLDER]")


@app.callback()
def list_models(context: typer.Context, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """List models, each version with the run and the step that it comes from."""
    if context.invoked_subcommand:
        return
    from stepwell.deployments.lookup.workspaces import find_workspaces, of_each
    from stepwell.deployments.reports.report import columns
    from stepwell.flows.public.model import Model

    found = of_each(find_workspaces(workspace), Model.list)
    if as_json:
        print(json.dumps([_plain(model) for model in found], indent=1))
        return
    head = ("NAME", "VERSION", "REGISTERED", "RUN", "STEP", "WORKSPACE")
    rows = [
        (
            model.name,
            str(model.version),
            f"{model.created_time.astimezone():%Y-%m-%d %H:%M}",
            (model.run_id or "")[:8],
            model.lineage.get("step", ""),
            model.workspace.name,
        )
        for model in found
    ]
    for line in columns([head, *rows]) if rows else ["There is no model yet"]:
        print(line)


@app.command()
def show(name: str = _MODEL, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Show a version: what it is, and which run, step, inputs and datasets it comes from."""
    from stepwell.deployments.reports.report import columns

    model = _find(name, workspace)
    if as_json:
        print(json.dumps(_plain(model), indent=1))
        return
    facts = {
        "model": model.id,
        "workspace": model.workspace.name,
        "registered": f"{model.created_time.astimezone():%Y-%m-%d %H:%M:%S}",
        "description": model.description,
        **{f"tag {tag}": value for tag, value in model.tags.items()},
        **{f"property {name}": value for name, value in model.properties.items()},
        **model.lineage,
    }
    for line in columns((what, value) for what, value in facts.items() if value):
        print(line)


@app.command()
def download(name: str = _MODEL, folder: Path = _FOLDER, workspace: str = _WORKSPACE) -> None:
    """Copy a version's file or folder."""
    print(_find(name, workspace).download(folder))


def _find(name: str, workspace: str) -> Model:
    from stepwell.deployments.lookup.workspaces import find_workspaces, of_each
    from stepwell.errors import ModelNotFoundException, UserErrorException
    from stepwell.flows.public.model import Model

    name, _, version = name.partition(":")
    workspaces = find_workspaces(workspace)
    found = [
        model for model in of_each(workspaces, lambda one: Model.list(one, name)) if version in ("", str(model.version))
    ]
    if not found:
        facts = {"workspaces": ", ".join(one.name for one in workspaces)}
        raise ModelNotFoundException(f"There is no model {name!r}", facts, "List the models with `stepwell models`.")
    places = {model.workspace.name for model in found}
    if len(places) > 1:
        raise UserErrorException(
            f"{name!r} means several models", {"workspaces": ", ".join(sorted(places))}, "Name its workspace with -w."
        )
    return found[0]


def _plain(model: Model) -> dict[str, Any]:
    return {"workspace": model.workspace.name, **model.serialize(), "lineage": model.lineage}
