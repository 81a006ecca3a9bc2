"""`stepwell store`: look after the stores of results."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stepwell.blocks.store.maintenance import Amount
    from stepwell.blocks.store.shared.shared_store import SharedStore
    from stepwell.flows.public.workspace import Workspace

app = typer.Typer(help="The store of results.", no_args_is_help=True)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_GUARANTEES = {
    "create+swap": "each record is written once, whoever else writes",
    "create": "each record is written once, whoever else writes",
    "none": "of two records of one result that are written at once the last stays",
}
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace; by default the nearest config's, or all.")


@app.command()
def verify(
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
    shared: bool = typer.Option(False, "--shared", help="Read what is shared on the datastore instead."),
) -> None:
    """Read every kept byte again and name what is damaged; exit code 1 if anything is."""
    from stepwell.blocks.store.maintenance import verify as check
    from stepwell.deployments.lookup.workspaces import find_stores, of_each

    damaged: list[str] = []  # also what could not be checked at all
    if shared:
        from stepwell.blocks.store.shared.upkeep import verify_shared

        stores = _sharing(workspace)
        reports = [verify_shared(store) for store in stores]
    else:
        reports = of_each(find_stores(workspace, damaged.append), lambda found: [check(found.store)], damaged.append)
    checked = sum(report.checked for report in reports)
    damaged += [damage for report in reports for damage in report.damaged]
    if as_json:
        files = sum(getattr(report, "files", 0) for report in reports)
        print(json.dumps({"checked": checked, "files": files, "damaged": damaged}))
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
    shared: bool = typer.Option(False, "--shared", help="Remove what is shared on the datastore instead."),
) -> None:
    """Remove results that nobody used for a while, what interrupted runs left behind, and runs as `runs gc` does."""
    if shared:
        _collect_shared(workspace, days, dry_run)
        return
    from stepwell.blocks.store.maintenance import collect
    from stepwell.blocks.store.retention import Limits, collect_runs
    from stepwell.deployments.lookup.workspaces import find_stores, of_each
    from stepwell.deployments.reports.report import tell_unreadable
    from stepwell.flows.runs.elsewhere.saying import hear

    def collected(found: Workspace) -> tuple[()]:
        word, store = "Would remove" if dry_run else "Removed", found.store
        hear(found)  # which runs are pinned elsewhere
        report = collect(store, days=days, dry_run=dry_run)
        print(f"{word} {report.records} results and {_kept(report)}, {_size(report.bytes)}, from {store.root}")
        runs = collect_runs(store, Limits(), dry_run=dry_run)
        print(f"{word} {runs.runs} runs, {_size(runs.bytes)}, from {store.root}")
        tell_unreadable((*report.unreadable, *runs.unreadable))
        return ()

    of_each(find_stores(workspace), collected)


def _collect_shared(name: str, days: float, dry_run: bool) -> None:
    from stepwell.blocks.store.shared.collection import collect_shared
    from stepwell.blocks.store.shared.shared_store import SharedStore
    from stepwell.blocks.system.living import machine
    from stepwell.blocks.workspace.models import claimed_trees
    from stepwell.deployments.lookup.workspaces import find_stores, of_each
    from stepwell.errors import UserErrorException

    def collected(found: Workspace) -> tuple[()]:
        store, word = found.store, "Would remove" if dry_run else "Removed"
        if not isinstance(store, SharedStore):
            return ()
        if store.mode != "on":
            raise UserErrorException(
                "This machine only reads what is shared", {"workspace": found.name}, "Unset STEPWELL_SHARED."
            )
        claimed = claimed_trees(found.name)
        report = collect_shared(store.remote.objects, machine()["name"], claimed=claimed, days=days, dry_run=dry_run)
        place = store.remote.objects.url
        print(f"{word} {report.records} results and {report.trees} folders, {_size(report.bytes)}, from {place}")
        if report.condemned:
            print(f"{report.condemned} files that nothing names go with a collection in a day or later")
        if report.not_understood:
            print(f"Kept {report.not_understood} records that can't be understood")
        if report.held_back:
            print(f"Kept all files, since {report.held_back}")
        return ()

    _sharing(name)  # says so if there is none
    of_each(find_stores(name), collected)


@app.command()
def status(workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Tell what is shared with other machines, and what waits."""
    from dataclasses import asdict

    from stepwell.blocks.store.shared.upkeep import status as status_of

    found = [status_of(store) for store in _sharing(workspace)]
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        print(f"{one.place}: {one.trouble or _GUARANTEES[one.guarantee]}")
        more = {"read": "; this machine only reads", "on": ""}.get(one.mode, "")
        print(
            f"{one.here} results here, {one.shared} shared ({one.from_others} from others), {one.waiting} waiting{more}"
        )


@app.command()
def push(workspace: str = _WORKSPACE) -> None:
    """Share every result of this machine that is not shared yet; exit code 1 if some have to wait."""
    from stepwell.blocks.store.shared.upkeep import push as push_all

    reports = [push_all(store) for store in _sharing(workspace)]
    for report in reports:
        for warning in report.warnings:
            print(f"Warning: {warning}")
        print(f"{report.shared} shared, {report.waiting} waiting{f': {report.reason}' if report.reason else ''}")
    if any(report.waiting for report in reports):
        raise typer.Exit(1)


@app.command()
def pull(
    workspace: str = _WORKSPACE,
    data: bool = typer.Option(True, help="Whether the bytes come, too, or only when they are needed."),
) -> None:
    """Fetch every result that others share, so that runs here go on without the datastore."""
    from stepwell.blocks.store.shared.upkeep import pull as pull_all

    for store in _sharing(workspace):
        report = pull_all(store, data=data)
        for refused in report.refused:
            print(f"Left: record {refused}")
        lost = f", {report.lost} of them without their bytes, which are gone" if report.lost else ""
        print(f"{report.results} results fetched, {_size(report.bytes)}{lost}")


def _sharing(name: str) -> list[SharedStore]:
    """Return the stores that share their results; raise UserErrorException if there is none."""
    from stepwell.blocks.store.shared.shared_store import SharedStore
    from stepwell.deployments.lookup.workspaces import find_stores
    from stepwell.errors import UserErrorException

    stores = [found.store for found in find_stores(name)]
    sharing = [store for store in stores if isinstance(store, SharedStore)]
    if not sharing:
        raise UserErrorException(
            "No results are shared with other machines",
            {"store": stores[0].root if stores else "none", "STEPWELL_SHARED": os.environ.get("STEPWELL_SHARED", "")},
            "Unset STEPWELL_SHARED, and make a datastore that other machines reach the default one: "
            "`datastore.set_as_default()`.",
        )
    return sharing


@app.command()
def size(workspace: str = _WORKSPACE) -> None:
    """Tell how much the store holds."""
    from stepwell.blocks.store.maintenance import measure
    from stepwell.deployments.lookup.workspaces import find_stores, of_each

    for root, report in of_each(find_stores(workspace), lambda found: [(found.store.root, measure(found.store))]):
        print(f"{report.records} results, {_kept(report)}, {_size(report.bytes)} in {root}")


def _kept(report: Amount) -> str:
    files = f" and {report.files} files of snapshots" if report.files else ""
    return f"{report.trees} folders{files}"


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError
