"""The commands about published pipelines: publish, pipelines, endpoints, call, enable, disable."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.flows.public.published_pipeline import PublishedPipeline

_FILE = typer.Argument(..., help="A Python file that defines a Pipeline: FILE or FILE:NAME.", metavar="FILE")
_NAME = typer.Argument(..., help="[WORKSPACE/]NAME[@VERSION], or an id.", metavar="NAME")
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_PARAMETERS = typer.Option(
    [],
    "-p",
    "--parameter",
    help="A parameter: name=value, or @FILE; name=- reads it from standard input.",
    metavar="NAME=VALUE",
)
_TAGS = typer.Option([], "--tag", help="A tag of the run: name=value.", metavar="NAME=VALUE")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (publish, pipelines, endpoints, call, enable, disable):
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
    lenient: bool | None = typer.Option(
        None, "--lenient/--strict", help="Whether calls may assign parameters that it does not have; v1's rules say so."
    ),
    pool: str = typer.Option("local", "--pool", help="The work pool whose workers run it.", metavar="NAME"),
    as_json: bool = _JSON,
) -> None:
    """Freeze a pipeline and make it callable."""
    from stepwell.deployments.cli.server import start_for

    start_for(file)
    from stepwell.deployments.cli.runs import load
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    pipeline = load(file)
    published = PublishedPipeline.of(pipeline, name, description, version, keep_going, pool, lenient)
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
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.deployments.reports.report import columns
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    workspaces = find_workspaces(workspace)
    found = [one for ws in workspaces for one in PublishedPipeline.list(ws, active_only=not everything)]
    over = [one for ws in workspaces for one in PipelineEndpoint.list(ws, active_only=not everything)]
    if as_json:
        print(json.dumps([_as_json(one) for one in found], indent=1))
        return
    rows: list[tuple[str, ...]] = [("NAME", "VERSION", "STATUS", "STEPS", "ID", "DEFAULT OF")]
    for one in found:
        names = [end.name for end in over if end.block.versions.get(end.default_version) == one.id]
        rows.append((one.name, one.version, one.status, str(one.total_run_steps), one.id, ", ".join(names)))
    if len({one.block.workspace for one in found}) > 1:
        places = ["WORKSPACE", *(one.block.workspace for one in found)]
        rows = [(*row, place) for row, place in zip(rows, places, strict=True)]
    for line in columns(rows) if found else []:
        print(line)
    if not found:
        print("Nothing is published yet: `stepwell publish FILE`")


def endpoints(
    name: str = typer.Argument("", help="An endpoint's name or id; by default all.", metavar="NAME"),
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """List pipeline endpoints and their versions; the default one is marked."""
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.deployments.reports.report import columns
    from stepwell.errors import UserErrorException
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    known = [(ws, one) for ws in find_workspaces(workspace) for one in PipelineEndpoint.list(ws, active_only=False)]
    found = [(ws, one) for ws, one in known if name in ("", one.name, one.id)]
    if name and not found:
        raise UserErrorException(f"There is no pipeline endpoint {name!r}", hint="List them with `stepwell endpoints`.")
    if as_json:
        shown = [one.block.model_dump(mode="json", exclude={"block_type_slug"}) for _, one in found]
        print(json.dumps(shown, indent=1))
        return
    rows = [("ENDPOINT", "VERSION", "DEFAULT", "STATUS", "RUNS", "ID", "WORKSPACE")]
    for ws, one in found:
        published = {known.id: known for known in PublishedPipeline.list(ws, active_only=False)}
        for version, published_id in one.pipeline_version_list:
            runs = published.get(published_id)
            words = f"{runs.name}@{runs.version}" if runs else "gone"
            status = one.status if one.status != "Active" or runs is None else runs.status
            mark = "*" if version == one.default_version else ""
            rows.append((one.name, version, mark, status, words, published_id, ws.name))
    for line in (
        columns(rows) if found else ["There is no pipeline endpoint yet: `stepwell publish FILE --endpoint NAME`"]
    ):
        print(line)


def call(
    name: str = typer.Argument(
        ..., help="A published pipeline or endpoint: [WORKSPACE/]NAME[@VERSION], or an id.", metavar="NAME"
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
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """Run a published pipeline through the HTTP endpoint."""
    from stepwell.deployments.client.endpoint_client import Endpoint, parse_assignments

    endpoint = Endpoint.at(url)
    pipeline, _, version = name.partition("@")
    path = endpoint.find(pipeline, version, workspace)
    known = endpoint.describe(path)
    body: dict[str, Any] = {
        "ExperimentName": experiment or known["BodySchema"]["example"]["ExperimentName"],
        "ParameterAssignments": parse_assignments(known, parameters),
        "Tags": dict(_pair(tag) for tag in tags),
    }
    body |= {"RegenerateOutputs": True} if regenerate else {}
    body |= {"ContinueRunOnStepFailure": True} if keep_going else {}
    submitted = endpoint.submit(path, body)
    run_id = str(submitted["Id"])
    if not as_json:
        print(f"Run {run_id}\n{submitted['RunUrl']}", flush=True)
        if submitted.get("Ignored"):
            print(f"Passed over: {', '.join(submitted['Ignored'])}", flush=True)
    if wait:
        run = endpoint.wait(run_id, sys.stderr if not as_json else None)
        words = f"{run['name']}  {run['headline'] or run['problem'] or run['status']}"
        print(json.dumps(run, indent=1) if as_json else words)
        raise typer.Exit({"Finished": 0, "Canceled": 130}.get(run["status"], 1))
    if as_json:
        print(json.dumps(submitted, indent=1))


def enable(name: str = _NAME, workspace: str = _WORKSPACE) -> None:
    """Let a disabled pipeline be called again: the version that is named, or else the newest, and an endpoint of that name."""
    found = _named(name, workspace)
    both: list[PublishedPipeline | PipelineEndpoint] = [*found.pipelines[:1], *found.endpoints]
    for one in both:
        one.enable()
        print(f"{_words(one)} can be called")


def disable(name: str = _NAME, workspace: str = _WORKSPACE) -> None:
    """Refuse all calls from now on: of the version that is named, or else of every version and of an endpoint of that name."""
    found = _named(name, workspace)
    active = [one for one in found.pipelines if one.status == "Active"]
    both: list[PublishedPipeline | PipelineEndpoint] = [*found.endpoints, *(active or found.pipelines[:1])]
    for one in both:
        one.disable()
        print(f"{_words(one)} is disabled")


def find_published(name: str, workspace: str) -> PublishedPipeline:
    """Return the published pipeline of that id or [WORKSPACE/]NAME@VERSION, or the newest of that name, an active one first.

    If there is none, or several workspaces have it, raise UserErrorException.
    """
    found = _named(name, workspace).pipelines
    return next((one for one in found if one.status == "Active"), found[0])


class _Named(NamedTuple):
    """What a name means: published pipelines, newest first, and, if it names no version, the endpoint that has it too."""

    pipelines: list[PublishedPipeline]
    endpoints: list[PipelineEndpoint]


def _named(name: str, workspace: str) -> _Named:
    from stepwell.deployments.client.pipeline_endpoint import PipelineEndpoint
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.errors import UserErrorException
    from stepwell.flows.public.published_pipeline import PublishedPipeline

    owner, _, rest = name.rpartition("/")
    wanted, _, version = rest.partition("@")
    workspaces = find_workspaces(workspace or owner)
    known = [one for ws in workspaces for one in PublishedPipeline.list(ws, active_only=False)]
    exact = [one for one in known if one.id == rest]
    if exact:
        return _Named(exact, [])
    found = [one for one in known if one.name == wanted and version in ("", one.version)]
    owners = sorted({one.block.workspace for one in found})
    if not found or len(owners) > 1 or (len(found) > 1 and version):
        choices = {"choices": ", ".join(f"{one}/{rest}" for one in owners)} if len(owners) > 1 else {}
        ids = {"ids": ", ".join(one.id for one in found)} if found and not choices else {}
        raise UserErrorException(
            f"There is no published pipeline {name!r}" if not found else f"Several are called {name!r}",
            choices or ids,
            "Name one of them, or its workspace with -w."
            if choices
            else "List them with `stepwell pipelines --all`, and name one by its id.",
        )
    over = [] if version else PipelineEndpoint.list(found[0].workspace, active_only=False)
    return _Named(found, [one for one in over if one.name == wanted and one.status != "Archived"])


def _words(one: PublishedPipeline | PipelineEndpoint) -> str:
    version = getattr(one, "version", None)
    return f"The endpoint {one.name}" if version is None else f"{one.name}, version {version},"


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
