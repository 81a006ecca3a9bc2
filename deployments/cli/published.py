"""The commands about published pipelines: publish, pipelines, call, enable, disable."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.flows.public.published_pipeline import PublishedPipeline
    from stepwell.flows.public.workspace import Workspace

_FILE = typer.Argument(..., help="A Python file that defines a Pipeline: FILE or FILE:NAME.", metavar="FILE")
_NAME = typer.Argument(..., help="A name, NAME@VERSION, or an id.", metavar="NAME")
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_PARAMETERS = typer.Option(
    [], "-p", "--parameter", help="A parameter: name=value; name=- reads it from standard input.", metavar="NAME=VALUE"
)
_TAGS = typer.Option([], "--tag", help="A tag of the run: name=value.", metavar="NAME=VALUE")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (publish, pipelines, call, enable, disable):
        app.command()(command)


def publish(
    file: str = _FILE,
    name: str = typer.Option("", "--name", help="The name to publish under; by default the pipeline's."),
    description: str | None = typer.Option(None, "--description", help="What it is for."),
    version: str | None = typer.Option(None, "--version", help="Its version; by default the next number."),
    endpoint: str = typer.Option(
        "", "--endpoint", help="The pipeline endpoint whose default it becomes.", metavar="NAME"
    ),
    keep_going: bool = typer.Option(False, "--continue", help="Let its runs go on past failed steps."),
    as_json: bool = _JSON,
) -> None:
    """Freeze a pipeline and make it callable."""
    from stepwell.deployments.cli.lookup import load_pipeline
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    pipeline = load_pipeline(file)
    published = PublishedPipeline.of(pipeline, name, description, version, keep_going)
    address = published.endpoint
    if endpoint:
        known = [one for one in PipelineEndpoint.list(pipeline.workspace) if one.name == endpoint]
        if known:
            known[0].add_default(published)
        else:
            known = [PipelineEndpoint.publish(pipeline.workspace, endpoint, description or "", published)]
        address = known[0].endpoint
    if as_json:
        print(json.dumps(_as_json(published), indent=1))
        return
    print(f"Published {published.name}, version {published.version}\n  id       {published.id}\n  address  {address}")


def pipelines(
    workspace: str = _WORKSPACE,
    everything: bool = typer.Option(False, "--all", help="Also those that are disabled."),
    as_json: bool = _JSON,
) -> None:
    """List published pipelines, newest first."""
    from stepwell.deployments.cli.lookup import find_workspaces
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    workspaces = find_workspaces(workspace)
    found = [one for ws in workspaces for one in PublishedPipeline.list(ws, active_only=not everything)]
    over = [one for ws in workspaces for one in PipelineEndpoint.list(ws, active_only=not everything)]
    if as_json:
        print(json.dumps([_as_json(one) for one in found], indent=1))
        return
    rows = [("NAME", "VERSION", "STATUS", "STEPS", "ID", "DEFAULT OF")]
    for one in found:
        names = [end.name for end in over if end.block.versions.get(end.default_version) == one.id]
        rows.append((one.name, one.version, one.status, str(one.total_run_steps), one.id, ", ".join(names)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows if found else []:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if not found:
        print("Nothing is published yet: `stepwell publish FILE`")


def call(
    name: str = typer.Argument(
        ..., help="A published pipeline or endpoint: [WORKSPACE/]NAME[@VERSION].", metavar="NAME"
    ),
    parameters: list[str] = _PARAMETERS,
    experiment: str = typer.Option("", "--experiment", help="The run's experiment; by default made of the name."),
    tags: list[str] = _TAGS,
    regenerate: bool = typer.Option(False, "--regenerate", help="Run every step anew."),
    keep_going: bool = typer.Option(False, "--continue", help="Go on with steps that don't depend on a failed one."),
    wait: bool = typer.Option(False, "--wait", help="Wait for the end; exit with 0 only if it is a good one."),
    url: str = typer.Option(
        "", "--url", help="The endpoint's address, if it is not the one of this server.", metavar="URL"
    ),
    as_json: bool = _JSON,
) -> None:
    """Run a published pipeline through the HTTP endpoint."""
    from stepwell.deployments.client.endpoint_client import Endpoint, parse_assignments

    endpoint = Endpoint.at(url)
    pipeline, _, version = name.partition("@")
    known = endpoint.describe(pipeline, version)
    body: dict[str, Any] = {
        "ExperimentName": experiment or known["BodySchema"]["example"]["ExperimentName"],
        "ParameterAssignments": parse_assignments(known, parameters),
        "Tags": dict(_pair(tag) for tag in tags),
    }
    body |= {"RegenerateOutputs": True} if regenerate else {}
    body |= {"ContinueRunOnStepFailure": True} if keep_going else {}
    submitted = endpoint.submit(pipeline, version, body)
    run_id = str(submitted["Id"])
    if not as_json:
        print(f"Run {run_id}\n{submitted['RunUrl']}", flush=True)
    if wait:
        run = endpoint.wait(run_id, sys.stderr if not as_json else None)
        print(json.dumps(run, indent=1) if as_json else run["headline"] or run["problem"] or run["status"])
        raise typer.Exit({"Finished": 0, "Canceled": 130}.get(run["status"], 1))
    if as_json:
        print(json.dumps(submitted, indent=1))


def enable(name: str = _NAME, workspace: str = _WORKSPACE) -> None:
    """Let a disabled pipeline be called again."""
    found = find_published(name, workspace)
    found.enable()
    print(f"{found.name}, version {found.version}, can be called")


def disable(name: str = _NAME, workspace: str = _WORKSPACE) -> None:
    """Refuse all calls of a published pipeline from now on."""
    found = find_published(name, workspace)
    found.disable()
    print(f"{found.name}, version {found.version}, is disabled")


def find_published(name: str, workspace: str) -> PublishedPipeline:
    """Return the published pipeline of that id or NAME@VERSION, or the newest of that name.

    If there is none, raise UserErrorException.
    """
    from stepwell.deployments.cli.lookup import find_workspaces
    from stepwell.errors import UserErrorException
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    wanted, _, version = name.partition("@")
    workspaces: list[Workspace] = list(find_workspaces(workspace))
    known = [one for ws in workspaces for one in PublishedPipeline.list(ws, active_only=False)]
    found = [one for one in known if one.id == name] or [
        one for one in known if one.name == wanted and version in ("", one.version)
    ]
    if not found or (len(found) > 1 and version):
        raise UserErrorException(
            f"There is no published pipeline {name!r}" if not found else f"Several are called {name!r}",
            {"ids": ", ".join(one.id for one in found)} if found else {},
            "List them with `stepwell pipelines --all`, and name one by its id.",
        )
    return found[0]


def _pair(text: str) -> tuple[str, str]:
    from stepwell.errors import UserErrorException

    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UserErrorException(f"{text!r} is no tag", hint="Write --tag name=value.")
    return name, value


def _as_json(published: PublishedPipeline) -> dict[str, Any]:
    return {
        "id": published.id,
        "name": published.name,
        "version": published.version,
        "status": published.status,
        "workspace": published.block.workspace,
        "steps": list(published.get_step_names()),
        "endpoint": published.endpoint,
        "deployment": published.deployment,
    }
