"""A run taken away wherever it is known: from Prefect, from a shared store, and last its folder here."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from prefect.exceptions import ObjectNotFound

from stepwell.blocks.server.documents import client
from stepwell.blocks.store.retention import PINNED, PUBLISHED
from stepwell.blocks.store.retention import delete_run as delete_folder
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import runs_of
from stepwell.blocks.system.files import remove
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.runs.summary import FINAL, summarize


def check_deletable(run: RunFolder, *, force: bool = False) -> None:
    """Raise UserErrorException if the run is at work or yet to begin, published, or, without `force`, pinned."""
    flow = run.facts().get("kind") == "flow"
    if run.is_alive() or (not flow and summarize(run).status not in FINAL):
        raise UserErrorException(
            f"The run {run.label} has not ended", hint=f"Cancel it first: `stepwell cancel {run.reference}`."
        )
    if (run.path / PUBLISHED).exists():
        raise UserErrorException(
            f"The run {run.label} is kept, since a pipeline was published from it",
            hint="Delete the published pipeline first: list them with `stepwell pipelines`.",
        )
    if (run.path / PINNED).exists() and not force:
        raise UserErrorException(
            f"The run {run.label} is pinned",
            hint=f"Unpin it with `stepwell runs unpin {run.reference}`, or pass --force.",
        )


def delete_run(workspace: BaseWorkspace, run: RunFolder, *, dry_run: bool = False) -> int:
    """Delete a run that has ended, with the trials that it has made, and return how many bytes its folders had.

    Results stay, and so do logs and metrics of those that the store still has.
    """
    trials = [one for one in runs_of(workspace.run_place) if one.is_trial and one.parent == run.run_id]
    return sum(_delete(workspace, one, dry_run=dry_run) for one in [*(trial.folder for trial in trials), run])


def _delete(workspace: BaseWorkspace, run: RunFolder, *, dry_run: bool) -> int:
    in_store = workspace.is_here and run.path.parent.parent in (workspace.store.root, workspace.store.written)
    if not dry_run:
        with client() as api, suppress(ObjectNotFound, ValueError):
            api.delete_flow_run(UUID(run.run_id))
        if workspace.shared_runs is not None and not workspace.shared_runs.read_only:
            workspace.shared_runs.remove(run)
    if in_store:
        return delete_folder(workspace.store, run.path, dry_run=dry_run)
    if not dry_run:
        remove(run.path)
    return 0
