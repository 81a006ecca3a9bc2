"""`stepwell report`: a run as one HTML file."""

from __future__ import annotations

import typer

_RUN = typer.Argument(..., help="`digits#12`, `#12`, the run's id, its beginning, or `last`.", metavar="RUN")
_OUTPUT = typer.Option(
    "",
    "--output",
    "-o",
    help="The file, or a folder; by default called as the run, such as digits-12.html.",
    metavar="FILE",
)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")


def add_to(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(report)


def report(run_id: str = _RUN, output: str = _OUTPUT, workspace: str = _WORKSPACE) -> None:
    """Write what is known of a run to one HTML file that needs nothing else: to read, to print, to send.

    It holds the graph of the steps, what ran and why, times, metrics with curves, pictures, tables, parameters, data, where the
    code is from, packages, and the ends of the logs of failed steps. A run that is still at work is shown as it stands.
    """
    from stepwell.deployments.lookup.runs import find_run

    print(find_run(run_id, workspace).report(output or "."))
