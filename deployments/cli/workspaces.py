"""`stepwell workspaces` and `use`: which workspaces there are, and which one commands mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from stepwell.errors import ServerException, StepwellError

if TYPE_CHECKING:
    from stepwell.flows.public.workspace import Workspace

workspaces = typer.Typer(help="The workspaces that Prefect's server knows.", invoke_without_command=True)
_NAME = typer.Argument(..., help="The workspace's name.", metavar="NAME")
_YES = typer.Option(False, "--yes", "-y", help="Ask nothing.")
_CLEAR = typer.Option(False, "--clear", help="Use none.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(workspaces, name="workspaces")
    app.command()(use)


@workspaces.callback()
def list_workspaces(context: typer.Context, as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List workspaces, and where their stores are; that of `stepwell use` is marked."""
    if context.invoked_subcommand:
        return
    from stepwell.blocks.workspace.store_identity import default_workspace
    from stepwell.deployments.reports.report import columns
    from stepwell.flows.public.workspace import Workspace

    known = [(one, *_place(one)) for one in sorted(Workspace.list().values(), key=lambda one: one.name)]
    if as_json:
        print(json.dumps([{"name": one.name, "here": here, "store": place} for one, here, place in known], indent=1))
        return
    rows = [(one.name, "*" if one.name == default_workspace() else "", place) for one, _, place in known]
    for line in columns([("NAME", "USED", "STORE"), *rows]) if rows else ["There is no workspace yet"]:
        print(line)


def _place(workspace: Workspace) -> tuple[bool, str]:
    """Return whether the store is this home's, and where it is in words; that of a broken workspace is not known."""
    try:
        if workspace.is_here:
            return True, str(workspace.folder)
    except ServerException:
        raise
    except (StepwellError, OSError) as error:
        return False, f"not known: {error.title if isinstance(error, StepwellError) else error}"
    return False, f"of another home: {workspace.store_place or 'not known'}"


@workspaces.command()
def create(name: str = _NAME) -> None:
    """Create a workspace."""
    from stepwell.flows.public.workspace import Workspace

    print(f"The workspace {Workspace.create(name).name} is created")


@workspaces.command()
def delete(name: str = _NAME, yes: bool = _YES) -> None:
    """Delete a workspace with its datastores, targets, schedules and all that is published in it; data and results stay on disk."""
    from stepwell.flows.publishing.removal import published_in, remove_workspace

    found = _known(name)
    if not yes:
        published = len(published_in(name))
        typer.confirm(f"Delete the workspace {name}, and {published} published pipelines of it?", abort=True)
    place = _place(found)[1]
    remove_workspace(name)
    print(f"The workspace {name} is deleted; its data stay in {place}")


@workspaces.command()
def adopt(name: str = _NAME, yes: bool = _YES) -> None:
    """Take over a workspace whose home is gone: what this home has in its place is its store from now on."""
    found = _known(name)
    if not yes and not found.is_here:
        typer.confirm(f"Refuse {name} to its home ({found.store_place or 'not known'}) from now on?", abort=True)
    found.adopt()
    print(f"The workspace {name} belongs to this home: {found.folder}")


@workspaces.command()
def lay(
    name: str = _NAME,
    datastore: str = typer.Argument(..., help="Its name, account/container, server/database, URL, or '*' for all."),
    place: str = typer.Argument("", help="A folder, or an URL; without it, the datastore stands where its URL says."),
) -> None:
    """Lay a datastore that Azure has on a folder or database of your own, whatever code registers it with."""
    _known(name).lay_datastore(datastore, place)
    print(f"The datastore {datastore} of {name} stands {f'at {place}' if place else 'where it was registered'}")


@workspaces.command()
def stand_ins(
    name: str = _NAME,
    environment: str = typer.Option(
        "", help="`as-installed`: steps run on the packages in use; `as-asked`: on their own."
    ),
    gpu: str = typer.Option("", help="`cpu`: where there is no GPU, steps run on processors; `gpu`: they fail."),
    databricks: str = typer.Option("", help="`local`: Spark here runs what Databricks would; `workspace`: that does."),
) -> None:
    """Choose what stands in for what old code asks for and is not there; without options, tell what does."""
    from stepwell.blocks.workspace.stand_ins import CHOICES
    from stepwell.errors import UserErrorException

    found, given = _known(name), {"environment": environment, "gpu": gpu, "databricks": databricks}
    for what, word in given.items():
        if word and word not in CHOICES[what]:
            raise UserErrorException(
                f"--{what} can't be {word!r}", {"choices": ", ".join(CHOICES[what])}, "Choose one."
            )
    if any(given.values()):
        found.set_stand_ins(**{what: word or None for what, word in given.items()})  # type: ignore[arg-type]  # (just checked)
    for what, word in found.stand_ins.items():
        print(f"{what:<11}  {word}")


def use(
    name: str = typer.Argument("", help="The workspace; without it, the one in use is told.", metavar="NAME"),
    clear: bool = _CLEAR,
) -> None:
    """Choose the workspace of commands that name none, where no config file does."""
    from stepwell.blocks.workspace.store_identity import default_workspace, set_default_workspace

    if name or clear:
        set_default_workspace("" if clear else _known(name).name)
    used = default_workspace()
    print(f"Commands use the workspace {used}" if used else "Commands use all workspaces")


def _known(name: str) -> Workspace:
    from stepwell.flows.public.workspace import Workspace

    return Workspace.list().get(name) or Workspace.get(name)  # which tells what there is
