"""`stepwell diff` and `stepwell compare`: what differs between two runs, and many beside each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stepwell.deployments.cli.comparing.listing import EXPERIMENT, METRICS, SINCE, STATUS, TAGS

if TYPE_CHECKING:
    from stepwell.flows.runs.summary import RunSummary

_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_RUNS = typer.Argument(None, help="Runs, each as `digits#12`, `#12`, an id or its beginning.", metavar="[RUN...]")
_PLOT = typer.Option(None, "--plot", help="Draw the metrics as a picture: runs.png, runs.svg …", metavar="FILE")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(diff)
    app.command()(compare)


def diff(
    before: str = typer.Argument(..., help="The earlier run: `digits#11`, `#11`, an id …", metavar="RUN"),
    after: str = typer.Argument("last", help="The later run; by default the last one.", metavar="RUN"),
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """Show what differs between two runs: parameters, source line by line, packages, inputs, metrics, outputs."""
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.run_differences import difference_json, difference_lines
    from stepwell.flows.runs.comparing.run_difference import Side, run_difference

    runs = [find_run(word, workspace) for word in (before, after)]
    found = run_difference(*(Side.of(run.workspace.store, run.folder) for run in runs))
    if as_json:
        print(json_text(difference_json(found)))
        return
    for line in difference_lines(found, color=_colorful()):
        print(line)


def compare(
    run_ids: list[str] = _RUNS,
    experiment: str = EXPERIMENT,
    status: str = STATUS,
    since: str = SINCE,
    metrics: list[str] = METRICS,
    tags: list[str] = TAGS,
    sort: str = typer.Option("", "--sort", help="The metric or parameter to order by, the largest first."),
    ascending: bool = typer.Option(False, "--ascending", help="The smallest first."),
    limit: int = typer.Option(50, "--limit", "-n", min=1, help="How many runs to compare, the newest."),
    as_csv: bool = typer.Option(False, "--csv", help="Print CSV, with every column."),
    plot: Path = _PLOT,
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """Show runs with their parameters and metrics as a table: those named, or of an experiment, by default the last run's."""
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.metric_plots import check_plot
    from stepwell.deployments.reports.metric_plots import plot as draw
    from stepwell.deployments.reports.run_comparisons import comparison_csv, comparison_lines
    from stepwell.errors import UserErrorException
    from stepwell.flows.runs.comparing.run_table import rows_of

    if as_csv and as_json:
        raise UserErrorException("The table is printed as CSV or as JSON, not both", hint="Leave one of them out.")
    if plot:
        check_plot(plot)
    filters = (experiment, status, since, metrics, tags)
    found = _named(run_ids or [], filters, workspace) if run_ids else _passing(filters, workspace, limit)
    rows = rows_of(found, sort, ascending=ascending)
    if as_json:
        print(json_text(rows))
    elif as_csv:
        sys.stdout.write(comparison_csv(rows))
    elif rows:
        for line in comparison_lines(rows):
            print(line)
    if plot and rows:
        panels = draw(rows, found, plot)
        print(f"Drew {panels} metric{'' if panels == 1 else 's'} to {plot}", file=sys.stderr)


_Filters = tuple[str, str, str, list[str], list[str]]


def _named(run_ids: list[str], filters: _Filters, workspace: str) -> list[RunSummary]:
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.errors import UserErrorException

    if any(filters):
        raise UserErrorException("Runs are named, or looked for by conditions, not both", hint="Leave the one out.")
    found = [find_run(word, workspace) for word in run_ids]
    return list({run.id: run.summary() for run in found}.values())


def _passing(filters: _Filters, workspace: str, limit: int) -> list[RunSummary]:
    from stepwell.deployments.lookup.passing_runs import passing_runs, why_none
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.deployments.lookup.workspaces import seen_workspaces
    from stepwell.flows.runs.comparing.run_filter import RunFilter

    experiment, *others = filters
    workspaces = seen_workspaces(workspace)
    if not any(filters):
        last = find_run("last", workspace)
        experiment, workspaces = last.experiment_name, [one for one in workspaces if one.name == last.workspace.name]
    wanted = RunFilter.read(experiment, *others)  # type: ignore[arg-type]
    found = passing_runs(workspaces, wanted, most=limit, metrics=True).runs
    if not found:
        print(why_none(workspaces, wanted), file=sys.stderr)
    return found


def _colorful() -> bool:
    """Return whether lines go to a terminal that shows colors."""
    import os

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
