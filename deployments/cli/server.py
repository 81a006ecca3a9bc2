"""`stepwell server`: the local Prefect server."""

from __future__ import annotations

import shlex
import sys
import webbrowser
from collections.abc import Iterable
from html import escape

import typer

app = typer.Typer(help="Prefect's server on this machine.", no_args_is_help=True)


def log(text: str) -> None:
    """Print the text to standard error."""
    print(text, file=sys.stderr)


def start_for(target: str, assignments: Iterable[str] = ()) -> None:
    """Let the server that the pipeline in `FILE` or `FILE:NAME` needs start, if none runs, unless reading shows mistakes.

    In a new home this command then goes on in the resident runner: this process need not import what that has imported.
    """
    from stepwell.deployments.lookup.reading_ahead import file_of, refuse_mistakes

    refuse_mistakes(file_of(target)[0], assignments)
    from stepwell.blocks.server.connection import start_ahead

    if start_ahead(log):
        from stepwell.deployments.resident.client import run_in_started

        run_in_started()


@app.command()
def start() -> None:
    """Start the server unless it runs already."""
    from stepwell.blocks.server import connection

    print(f"Prefect's server runs: {connection.start(log).ui_url}")


@app.command()
def stop() -> None:
    """Stop the server that Stepwell started, and the resident runner that commands start from."""
    from stepwell.blocks.server import connection
    from stepwell.deployments.resident import overview

    print("The server is stopped" if connection.stop() else "No server of Stepwell's own was running")
    if overview.stop():
        print("Commands no longer start from a resident runner, until the next one starts another")


@app.command()
def restore(
    empty: bool = typer.Option(
        False, "--empty", help="Begin with an empty database instead: workspaces are to be made again."
    ),
) -> None:
    """Go back to the newest copy of Prefect's database that this Prefect can use."""
    from stepwell.blocks.server import process

    print(process.restore(empty=empty))


@app.command()
def status() -> None:
    """Tell whether a server runs, and where."""
    from stepwell.blocks.server import connection
    from stepwell.deployments.resident import overview

    found = connection.status()
    print(f"Commands start {overview.words()}")
    if found.elsewhere:
        print(f"Prefect's server of this home runs in another container or on another machine ({found.elsewhere})")
        print("It can't be reached from here")
        raise typer.Exit(1)
    if not found.running:
        print("No server runs")
        raise typer.Exit(1)
    owner = "Stepwell's own" if found.managed else "set by PREFECT_API_URL"
    print(f"Prefect's server runs ({owner})\n  API      {found.url}\n  UI       {found.ui_url}")
    if found.guarded:
        print("  sign in  stepwell server open, or with what `stepwell server password` prints")
    elif found.managed:
        print("It does not ask for this home's password; the next command that needs it replaces it")


@app.command()
def sync() -> None:
    """Tell Prefect's server how runs ended while it did not answer."""
    from stepwell.blocks.server import connection
    from stepwell.deployments.serve.runs.untold_runs import UntoldRuns

    connection.ensure_server(log)
    if not UntoldRuns(print).tell_now():
        print("Prefect's server knows how the runs of this home that are no longer at work ended")


@app.command("open")
def open_ui() -> None:
    """Open Prefect's UI in a browser, signed in."""
    from stepwell.blocks.server import connection
    from stepwell.blocks.system.files import write_atomically
    from stepwell.blocks.system.home import home

    link = connection.ui_link(log)
    # Command lines, a browser's too, can be read by everybody on this machine: so the link goes there in a file.
    page = home() / "server" / "open.html"
    write_atomically(page, f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(link)}">'.encode())
    opened = webbrowser.open(page.as_uri())
    where = "If no page opens, open" if opened else "No browser was found. Open"
    print(f"{where} this on this machine; it works once, within a minute:\n  {link}")


@app.command()
def password() -> None:
    """Print what Prefect's UI asks for when you sign in by hand."""
    from stepwell.blocks.server import connection

    print(connection.password(log))


@app.command()
def env() -> None:
    """Print variables for `prefect` commands of your own: eval "$(stepwell server env)"."""
    from stepwell.blocks.server import connection

    for name, value in connection.variables(log).items():
        print(f"export {name}={shlex.quote(value)}")
