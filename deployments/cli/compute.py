"""`stepwell compute`: the compute targets of a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

    from stepwell.blocks.compute.base import Compute
    from stepwell.flows.public.workspace import Workspace

app = typer.Typer(help="Compute targets: where steps run.", no_args_is_help=True)
_WORKSPACE = typer.Option(
    "", "--workspace", "-w", help="The workspace; by default the nearest config's, or the only one."
)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_KIND = typer.Argument(..., help="local, docker, dask, cuda, spark or databricks.", metavar="KIND")
_SETTINGS = typer.Argument(None, help="Settings of the kind.", metavar="[KEY=VALUE]...")
_NAME = typer.Argument(..., help="The target's name.", metavar="NAME")


@app.command("list")
def show_all(workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """List the compute targets: name, type, nodes, and the settings that are not the defaults."""
    found = _workspace(workspace)
    targets = sorted(found.compute_targets.values(), key=lambda target: target.name)
    if as_json:
        print(json.dumps([target.serialize() for target in targets], indent=1))
        return
    rows = [(target.name, target.type, _nodes(target), _shown(_chosen(target))) for target in targets]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, kind, nodes, settings in rows:
        print(f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {nodes:<{widths[2]}}  {settings}".rstrip())


@app.command()
def create(
    name: str = _NAME,
    kind: str = _KIND,
    settings: list[str] = _SETTINGS,
    workspace: str = _WORKSPACE,
) -> None:
    """Save a compute target under a name.

    KIND is one of

      local   processes of this machine

      docker  containers, such as `create boxes docker image=python:3.11`

      dask    workers of a Dask cluster, such as `create workers dask max_nodes=4`, or `create far dask address=tcp://host:8786`

      cuda    Dask workers with a GPU each

      spark   Spark of this machine, or of a cluster

      databricks  a Databricks workspace, such as `create bricks databricks host=https://… keyvault_entry=bricks-token`
    """
    from stepwell.blocks.compute.compute_target import ComputeTarget

    known = _kind(kind)
    values = _values(known, settings or ())
    target = ComputeTarget.attach(_workspace(workspace), name, _build(known, values))
    print(f"{target.name}  {target.type}  {_shown(_chosen(target))}".rstrip())


@app.command()
def show(name: str = _NAME, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Show a compute target's settings and nodes."""
    from stepwell.blocks.compute.compute_target import ComputeTarget

    target = ComputeTarget.get(_workspace(workspace), name)
    if as_json:
        print(json.dumps({**target.serialize(), "status": target.status.serialize()}, indent=1))
        return
    rows = {"type": target.type, "nodes": _nodes(target), **{f: _text(v) for f, v in target.settings().items()}}
    width = max(map(len, rows))
    print(target.name)
    for field, value in rows.items():
        print(f"  {field:<{width}}  {value}".rstrip())


@app.command()
def delete(name: str = _NAME, workspace: str = _WORKSPACE) -> None:
    """Forget a compute target. Results of its steps stay."""
    from stepwell.blocks.compute.compute_target import ComputeTarget

    ComputeTarget.get(_workspace(workspace), name).delete()
    print(f"The compute target {name} is deleted")


def _workspace(name: str) -> Workspace:
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.errors import UserErrorException

    found = find_workspaces(name)
    if len(found) == 1:
        return found[0]
    raise UserErrorException(
        "There are several workspaces" if found else "There is no workspace yet",
        {"workspaces": ", ".join(sorted(one.name for one in found))} if found else {},
        "Name one with `--workspace`." if found else "Create one with `Workspace.create(name)`.",
    )


# Settings in words ----------------------------------------------------------------------------------------------------


def _kind(word: str) -> type[Compute]:
    from stepwell.blocks.compute.compute_target import all_kinds
    from stepwell.errors import UserErrorException

    kinds = {kind.get_block_type_slug().split("-")[1]: kind for kind in all_kinds()}
    if word not in kinds:
        raise UserErrorException(
            f"There is no kind of compute target {word!r}", {"kinds": ", ".join(kinds)}, "Choose one of these kinds."
        )
    return kinds[word]


def _values(kind: type[Compute], assignments: Iterable[str]) -> dict[str, Any]:
    from stepwell.blocks.compute.memory_size import memory_of, refuse_tiny
    from stepwell.errors import UserErrorException

    known, values = sorted(set(kind.model_fields) - {"workspace", "name"}), {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise UserErrorException(f"{assignment!r} sets nothing", hint="Write KEY=VALUE.")
        if name not in known:
            facts = {"settings": ", ".join(known)}
            raise UserErrorException(f"A {kind.__name__} has no setting {name!r}", facts, "Correct the name.")
        is_bytes = name.startswith("memory") and kind.model_fields[name].annotation is int
        values[name] = refuse_tiny(f"The setting `{name}`", memory_of(text)) if is_bytes else _parsed(name, text)
    return values


def _parsed(name: str, text: str) -> Any:
    """Return a JSON object or list as such, other texts as they are: the setting's type reads them."""
    from stepwell.errors import UserErrorException

    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserErrorException(f"The value of {name!r} is no JSON", {"reason": error}, "Correct it.") from error


def _build(kind: type[Compute], values: Mapping[str, Any]) -> Compute:
    from pydantic import ValidationError

    from stepwell.blocks.arguments.checked import unchecked

    try:
        with unchecked():  # texts are read as the types of the settings
            return kind(**values)
    except ValidationError as error:
        raise _setting_error(kind, error) from None


def _setting_error(kind: type[Compute], error: ValidationError) -> Exception:
    from stepwell.errors import UserErrorException

    wrong = error.errors()[0]
    setting = ".".join(map(str, wrong["loc"])) or "its settings"
    return UserErrorException(
        f"A {kind.__name__} can't have {setting} = {wrong['input']!r}",
        {"reason": wrong["msg"]},
        "Correct the value.",
    )


def _chosen(target: Compute) -> dict[str, Any]:
    """Return the settings that are not those of every target of the kind."""
    usual = type(target)().settings()
    return {name: value for name, value in target.settings().items() if value != usual.get(name)}


def _shown(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in settings.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _nodes(target: Compute) -> str:
    limits = target.scale_settings
    least, most = limits.minimum_node_count, limits.maximum_node_count
    return f"{least} node" if least == most == 1 else f"{least} to {most} nodes"
