"""The run that a command line names."""

from __future__ import annotations

from itertools import islice

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.store_identity import default_workspace
from stepwell.deployments.lookup.workspaces import is_here, of_each, of_name
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.runs.elsewhere.finding import find_runs, look_at
from stepwell.flows.runs.names import matching_runs

NO_RUN = "There is no run yet: `stepwell run FILE`; `stepwell init` makes a project to begin with"


def find_run(run_id: str, workspace: str) -> PipelineRun:
    """Return the run of that name or id, in the named workspace or in any; `last` is the newest."""
    workspaces = [of_name(workspace)] if workspace else list(Workspace.list().values())
    chosen = [one for one in workspaces if one.name == default_workspace()]
    if run_id == "last":
        newest = of_each(chosen or workspaces, lambda one: islice(all_runs(one, most=1), 1))
        found = sorted(newest, key=lambda run: float(run.folder.facts().get("created", 0)))[-1:]
    else:
        found = of_each(workspaces, lambda one: _runs(one, matching_runs(one, run_id)))
        found = found or of_each(workspaces, lambda one: _runs(one, find_runs(one, run_id)))
    used = [run for run in found if run.workspace.name == default_workspace()]
    if 1 in (len(found), len(used)):
        one = (used if len(used) == 1 else found)[0]
        look_at(one.workspace, one.folder)
        return one
    facts = {f"{run.name} in {run.workspace.name}": run.id for run in found[:5]}
    read_only = [str(one.store.root) for one in of_each(workspaces, is_here, lambda _: None) if one.store.read_only]
    if read_only and not found:
        facts = {"read-only": ", ".join(read_only) + "; new runs there are kept while they last"}
    if run_id == "last" and not (found or read_only):
        raise UserErrorException(
            "There is no run yet", hint="Run a pipeline: `stepwell run FILE`; `stepwell init` makes one to begin with."
        )
    raise UserErrorException(
        f"{run_id!r} means several runs" if found else f"There is no run {run_id!r}",
        facts,
        "Name one by its id, or its workspace with -w." if found else "List the runs with `stepwell runs`.",
    )


def _runs(workspace: Workspace, folders: list[RunFolder]) -> list[PipelineRun]:
    return [PipelineRun.of_folder(workspace, folder) for folder in folders]
