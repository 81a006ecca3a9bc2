"""`stepwell tag`, `stepwell note` and `stepwell open`: what people say of a run, and its page."""

from __future__ import annotations

import os
import sys
import warnings
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import typer

_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_RUN = typer.Argument(..., help="`digits#12`, `#12`, the run's id, its beginning, or `last`.", metavar="RUN")
_TAGS = typer.Argument(None, help="Tags to set: name=value, or name alone.", metavar="[NAME=VALUE...]")
_REMOVED = typer.Option([], "--remove", help="Take this tag off.", metavar="NAME")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(tag)
    app.command()(note)
    app.command("open")(open_run)


def tag(
    run_id: str = _RUN, tags: list[str] = _TAGS, removed: list[str] = _REMOVED, workspace: str = _WORKSPACE
) -> None:
    """Set tags of a run, or take them off, and print those that it has."""
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.errors import UserErrorException, printable
    from stepwell.flows.runs.comparing.run_facts import tags_of
    from stepwell.flows.runs.comparing.run_filter import read_tag

    given = dict(map(read_tag, tags or []))
    found = find_run(run_id, workspace)
    known = tags_of(found.summary())
    lost = [name for name in removed if name not in known]
    if lost:
        raise UserErrorException(
            f"The run has no tag {lost[0]!r}", {"tags": ", ".join(known) or "none"}, "Correct the name."
        )
    with warned_on_stderr(), found._words.together():  # noqa: SLF001  (the SDK's methods say one thing each)
        found.set_tags(given)
        found.remove_tags(removed)
    for name, value in tags_of(found.summary()).items():
        print(printable(f"{name}={value}" if value else name))


def note(
    run_id: str = _RUN,
    text: str = typer.Argument(..., help="The note; '' removes it.", metavar="TEXT"),
    workspace: str = _WORKSPACE,
) -> None:
    """Say something of a run, in place of what was said before; `stepwell show` has it."""
    from stepwell.deployments.lookup.runs import find_run

    found = find_run(run_id, workspace)
    with warned_on_stderr():
        found.update(description=text.strip())
    print(f"Run {found.name}: {'noted' if text.strip() else 'the note is removed'}")


@contextmanager
def warned_on_stderr() -> Iterator[None]:
    """Print what is warned of in the block, without the place where; also if the block fails."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in told:
                print(warning.message, file=sys.stderr)


def open_run(
    run_id: str = typer.Argument("last", help="The run; by default the last one.", metavar="RUN"),
    only_print: bool = typer.Option(False, "--print", help="Print the address, and open nothing."),
    workspace: str = _WORKSPACE,
) -> None:
    """Open a run's page in Prefect's UI in a browser, signed in."""
    from stepwell.blocks.server import connection
    from stepwell.blocks.system.files import write_atomically
    from stepwell.blocks.system.home import home
    from stepwell.deployments.lookup.runs import find_run

    found = find_run(run_id, workspace)
    address = found.get_portal_url()
    if only_print or not _has_display():
        print(address)
        return
    # Command lines, a browser's too, can be read by everybody on this machine: so the link goes there in a file.
    link = connection.ui_link(lambda text: print(text, file=sys.stderr), f"/runs/flow-run/{found.id}")
    page = home() / "server" / "open.html"
    write_atomically(page, f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(link)}">'.encode())
    print(address if webbrowser.open(page.as_uri()) else f"No browser was found. Open this on this machine:\n  {link}")


def _has_display() -> bool:
    """Return whether a browser could show something to whoever asks."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
