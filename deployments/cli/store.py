"""`stepwell store`: look after the stores of results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stepwell.flows.public.workspace import Workspace

app = typer.Typer(help="The store of results.", no_args_is_help=True)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's, or all.")


@app.command()
def verify(workspace: str = _WORKSPACE, as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Read every kept byte again and name what is damaged; exit code 1 if anything is."""
    from stepwell.blocks.store.maintenance import verify as check
    from stepwell.deployments.lookup.workspaces import find_stores, of_each

    damaged: list[str] = []  # also what could not be checked at all
    reports = of_each(find_stores(workspace, damaged.append), lambda found: [check(found.store)], damaged.append)
    checked = sum(report.checked for report in reports)
    damaged += [damage for report in reports for damage in report.damaged]
    if as_json:
        print(json.dumps({"checked": checked, "damaged": damaged}))
    else:
        for damage in damaged:
            print(f"Damaged: {damage}")
        print(f"{checked} results checked, {len(damaged)} damaged")
    if damaged:
        raise typer.Exit(1)


@app.command()
def gc(
    workspace: str = _WORKSPACE,
    days: float = typer.Option(30, "--older-than", help="Keep what was made or used in the last DAYS days."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only tell what would go."),
) -> None:
    """Remove results that nobody used for a while, what interrupted runs left behind, and runs as `runs gc` does."""
    from stepwell.blocks.store.maintenance import collect
    from stepwell.blocks.store.retention import Limits, collect_runs
    from stepwell.deployments.lookup.workspaces import find_stores, of_each

    def collected(found: Workspace) -> tuple[()]:
        word, store = "Would remove" if dry_run else "Removed", found.store
        report = collect(store, days=days, dry_run=dry_run)
        print(f"{word} {report.records} results and {report.trees} folders, {_size(report.bytes)}, from {store.root}")
        runs = collect_runs(store, Limits(), dry_run=dry_run)
        print(f"{word} {runs.runs} runs, {_size(runs.bytes)}, from {store.root}")
        tell_unreadable((*report.unreadable, *runs.unreadable))
        return ()

    of_each(find_stores(workspace), collected)


def tell_unreadable(paths: Iterable[Path]) -> None:
    """Name what a collection left since it can't be read or understood."""
    found = sorted(set(paths))
    if found:
        print(
            f"Kept {len(found)} that can't be read or understood, with all that they may need, such as {found[0]}: they may be "
            "another user's or another version's; delete those that nobody needs"
        )


@app.command()
def size(workspace: str = _WORKSPACE) -> None:
    """Tell how much the store holds."""
    from stepwell.blocks.store.maintenance import measure
    from stepwell.deployments.lookup.workspaces import find_stores, of_each

    for root, report in of_each(find_stores(workspace), lambda found: [(found.store.root, measure(found.store))]):
        print(f"{report.records} results, {report.trees} folders, {_size(report.bytes)} in {root}")


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError
