"""`stepwell`, the command line: run, plan and look after pipelines."""

from __future__ import annotations

import gc
import io
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import typer

import stepwell
from stepwell.deployments.cli import compute, published, runs, schedules, serve, server, store, tokens, workspaces
from stepwell.deployments.cli.comparing import comparison, listing, marks
from stepwell.deployments.cli.first_steps.doctor import doctor
from stepwell.deployments.cli.first_steps.init import init
from stepwell.deployments.cli.registries import models, modules, trust
from stepwell.deployments.cli.reporting import run_report
from stepwell.deployments.migration import command as migration

app = typer.Typer(
    name="stepwell",
    help="Machine-learning pipelines of script steps on Prefect, with reuse you can trust and understand.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_debug = False
_OBJECTS_BETWEEN_LOOKS = 50_000
"""How many objects a command makes before garbage is looked for, which takes it a tenth of its time in steps of 700."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"stepwell {version('stepwell')}")
        raise typer.Exit


_DEBUG = typer.Option(False, "--debug", help="Show the traceback of an error.")
_VERSION = typer.Option(False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True)


@app.callback()
def _options(debug: bool = _DEBUG, _version: bool = _VERSION) -> None:
    global _debug  # noqa: PLW0603  (read by `main`, which has no other way to see an option)
    _debug = debug


app.command()(init)
app.command()(doctor)
runs.add_to(app)
run_report.add_to(app)
listing.add_to(app)
comparison.add_to(app)
marks.add_to(app)
published.add_to(app)
serve.add_to(app)
workspaces.add_to(app)
app.add_typer(compute.app, name="compute")
app.add_typer(models.app, name="models")
app.add_typer(modules.app, name="modules")
app.add_typer(store.app, name="store")
app.add_typer(server.app, name="server")
app.add_typer(schedules.app, name="schedule")
app.add_typer(tokens.app, name="token")
app.add_typer(trust.app, name="trust")
app.add_typer(migration.app, name="migrate")


@cache
def command() -> Callable[[], object]:
    """Return the command line, made once: Typer makes it anew for each call."""
    return typer.main.get_command(app)


def quieten_prefect() -> None:
    """Let Prefect keep to itself what our progress shows; it reads this when it is imported."""
    for name in ("HANDLERS_CONSOLE_LEVEL", "INTERNAL_LEVEL"):
        os.environ.setdefault(f"PREFECT_LOGGING_{name}", "CRITICAL")


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as people read it: with the place where, unless that is in Stepwell itself."""
    if issubclass(category, UserWarning) and Path(filename).is_relative_to(_STEPWELL):
        return f"Warning: {message}\n"
    return _usually_formatted(message, category, filename, lineno, line)


_STEPWELL = Path(stepwell.__file__).parent
_usually_formatted = warnings.formatwarning


def main() -> None:
    """Run the command line; an error is one message on stderr with a hint, and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack letters that names and logs have
            stream.reconfigure(errors="replace")
    from stepwell.blocks.system.disk import in_words, is_of_disk
    from stepwell.errors import StepwellError

    quieten_prefect()
    warnings.formatwarning = _formatted
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    try:
        command()()
    except StepwellError as error:
        if _debug:
            raise
        print(f"Error: {error.message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if _debug:
            raise
        if isinstance(error, OSError) and is_of_disk(error):
            told = in_words("A file can't be written or read", error)
            print(f"Error: {told.message}", file=sys.stderr)
            sys.exit(1)
        print(f"Error: {type(error).__name__}: {error}\nHint: Run again with --debug to see where.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
