"""`stepwell runs`: runs are listed and looked for, kept, removed by age, deleted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from stepwell.deployments.cli.comparing.marks import warned_on_stderr

if TYPE_CHECKING:
    from stepwell.flows.public.workspace import Workspace

_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_GC_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's, or all.")
_RUN = typer.Argument(..., help="`digits#12`, `#12`, the run's id, its beginning, or `last`.", metavar="RUN")
_RUNS = typer.Argument(..., help="Runs, each as `digits#12`, `#12`, an id or its beginning.", metavar="RUN...")
_JSON = typer.Option(False, "--json", help="Print JSON.")
EXPERIMENT = typer.Option("", "--experiment", help="Only runs of this experiment.", metavar="NAME")
STATUS = typer.Option(
    "", "--status", help="Only runs that are Finished, Failed, Canceled or Running.", metavar="STATUS"
)
SINCE = typer.Option(
    "", "--since", help="Only runs made since: 2026-05-01, '2026-05-01 14:30' (UTC), 3d, 12h.", metavar="TIME"
)
METRICS = typer.Option([], "--metric", help="Only runs with such a metric: 'accuracy>0.9'.", metavar="CONDITION")
TAGS = typer.Option([], "--tag", help="Only runs with this tag: name, or name=value.", metavar="NAME[=VALUE]")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(runs)
    for command in (gc, pin, unpin, delete):
        group.command()(command)
    app.add_typer(group, name="runs")


def runs(
    context: typer.Context,
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
    limit: int = typer.Option(20, "--limit", "-n", min=1, help="How many runs to list."),
    trials: bool = typer.Option(False, "--trials", help="List the trials of searches, too."),
    experiment: str = EXPERIMENT,
    status: str = STATUS,
    since: str = SINCE,
    metrics: list[str] = METRICS,
    tags: list[str] = TAGS,
) -> None:
    """List runs, newest first."""
    if context.invoked_subcommand:
        return
    from stepwell.deployments.lookup.passing_runs import passing_lines, passing_runs, why_none
    from stepwell.deployments.lookup.runs import NO_RUN
    from stepwell.deployments.lookup.workspaces import seen_workspaces
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.report import in_json, run_lines
    from stepwell.flows.runs.comparing.run_filter import RunFilter

    wanted = RunFilter.read(experiment, status, since, metrics, tags)
    if as_json:
        found = passing_runs(seen_workspaces(workspace), wanted, most=limit, trials=trials)
        print(json_text([in_json(summary) for summary in found.runs]))
        return
    lines, short_ids = passing_lines(seen_workspaces(workspace), wanted, most=limit, trials=trials)
    for line in run_lines(lines, short_ids):
        print(line)
    if not lines:
        print(NO_RUN if wanted.is_open else why_none(seen_workspaces(workspace), wanted), file=sys.stderr)


def gc(
    workspace: str = _GC_WORKSPACE,
    days: float = typer.Option(90, "--older-than", min=0, help="Keep the runs of the last DAYS days."),
    most: int = typer.Option(10_000, "--keep", min=0, help="Keep this many runs at most, the newest."),
    gigabytes: float = typer.Option(50, "--max-gb", min=0, help="Keep this many gigabytes of runs at most."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only tell what would go."),
) -> None:
    """Remove old runs and their logs; pinned and published ones stay, and logs of results that are still kept."""
    from stepwell.blocks.store.retention import Limits, collect_runs
    from stepwell.deployments.lookup.workspaces import find_stores, of_each
    from stepwell.deployments.reports.report import tell_unreadable
    from stepwell.flows.runs.elsewhere.saying import hear

    def collected(found: Workspace) -> tuple[()]:
        hear(found)  # which runs are pinned elsewhere
        removed = collect_runs(found.store, Limits(days, most, int(gigabytes * 1e9)), dry_run=dry_run)
        word, size = "Would remove" if dry_run else "Removed", f"{removed.bytes / 1e6:.1f} MB"
        print(f"{word} {removed.runs} runs, {size}, from {found.store.root}")
        tell_unreadable(removed.unreadable)
        return ()

    of_each(find_stores(workspace), collected)


def pin(run_id: str = _RUN, workspace: str = _WORKSPACE) -> None:
    """Keep a run, however old it gets."""
    from stepwell.blocks.store.runs.words import PINNED, Subject
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.flows.runs.elsewhere.saying import say

    found = find_run(run_id, workspace)
    with warned_on_stderr():
        say(found.workspace, found.folder, {Subject(PINNED): ""})
    print(f"Run {found.name} is pinned")


def unpin(run_id: str = _RUN, workspace: str = _WORKSPACE) -> None:
    """Let `gc` remove a run that was pinned."""
    from stepwell.blocks.store.runs.words import GONE, PINNED, Subject
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.flows.runs.elsewhere.saying import say

    found = find_run(run_id, workspace)
    with warned_on_stderr():
        say(found.workspace, found.folder, {Subject(PINNED): GONE})
    print(f"Run {found.name} is no longer pinned")


def delete(
    run_ids: list[str] = _RUNS,
    workspace: str = _WORKSPACE,
    force: bool = typer.Option(False, "--force", help="Also runs that are pinned."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only tell what would go."),
) -> None:
    """Delete runs, with their logs and their pages in the UI; results stay, and logs of those that are still kept.

    All or none: a run that is at work, pinned or published is refused.
    """
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.flows.runs.elsewhere.removal import check_deletable, delete_run

    found = {run.id: run for run in (find_run(run_id, workspace) for run_id in run_ids)}
    for run in found.values():
        check_deletable(run.folder, force=force)
    for run in found.values():
        name = run.name
        size = delete_run(run.workspace, run.folder, dry_run=dry_run)
        print(f"Run {name}: {'would be deleted' if dry_run else 'deleted'}, {size / 1e3:,.1f} kB")
