"""`stepwell server`: the local Prefect server."""

from __future__ import annotations

import sys

import typer

app = typer.Typer(help="Prefect's server on this machine.", no_args_is_help=True)


def log(text: str) -> None:
    """Print the text to standard error."""
    print(text, file=sys.stderr)


@app.command()
def start() -> None:
    """Start the server unless it runs already."""
    from stepwell.blocks.server import connection

    print(f"Prefect's server runs: {connection.start(log).ui_url}")


@app.command()
def stop() -> None:
    """Stop the server that Stepwell started."""
    from stepwell.blocks.server import connection

    print("The server is stopped" if connection.stop() else "No server of Stepwell's own was running")


@app.command()
def status() -> None:
    """Tell whether a server runs, and where."""
    from stepwell.blocks.server import connection

    found = connection.status()
    if not found.running:
        print("No server runs")
        raise typer.Exit(1)
    owner = "Stepwell's own" if found.managed else "set by PREFECT_API_URL"
    print(f"Prefect's server runs ({owner})\n  API  {found.url}\n  UI   {found.ui_url}")
