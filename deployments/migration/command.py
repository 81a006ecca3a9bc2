"""`stepwell migrate`: what to expect of code of the Azure ML SDK v1 before it runs here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.deployments.migration.project import Code
    from stepwell.deployments.migration.usage import Use

app = typer.Typer(help="Code of the Azure ML SDK v1: what to expect of it here.", no_args_is_help=True)
_PATH = typer.Argument(Path(), help="A script, a notebook, or a folder of them.", metavar="PATH")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_ALL = typer.Option(False, "--all", help="List what works, too.")


@app.callback()
def _group() -> None:
    """Let `check` be a command with a name of its own, though it is the only one."""


@app.command()
def check(path: Path = _PATH, as_json: bool = _JSON, everything: bool = _ALL) -> None:
    """List what works, what differs and what is refused in scripts and notebooks, without running them; exit with 1 if something is refused."""
    from stepwell.deployments.migration.project import find_code
    from stepwell.deployments.migration.usage import tables, uses_of

    tables()
    files = []
    for code in find_code(path):
        uses = uses_of(code)
        if uses or code.unread:
            files.append((code, uses))
    if as_json:
        print(json.dumps([_plain(code, uses) for code, uses in files], indent=1))
    else:
        for code, uses in files:
            _print_file(path, code, uses, everything)
        print(_summary(files))
    if any(_verdict(code, uses) in ("refuses", "unread") for code, uses in files):
        sys.exit(1)


def _verdict(code: Code, uses: list[Use]) -> str:
    meanings = {use.meaning for use in uses}
    if code.unread:
        return "unread"
    return next((word for word in ("refuses", "differs") if word in meanings), "works")


def _plain(code: Code, uses: list[Use]) -> dict[str, Any]:
    return {
        "file": str(code.path),
        "verdict": _verdict(code, uses),
        "uses": [
            {"place": code.place(use.line), "name": use.name, "meaning": use.meaning, "told": use.told} for use in uses
        ],
        "unread": [{"place": code.place(line), "because": reason} for line, reason in code.unread],
    }


def _print_file(start: Path, code: Code, uses: list[Use], everything: bool) -> None:
    shown = os.path.relpath(code.path, start) if start.is_dir() else str(code.path)
    print(shown)
    rows = [(code.place(line), "unread", reason) for line, reason in code.unread]
    rows += [
        (code.place(use.line), use.meaning, f"{use.name}: {use.told}" if use.told else use.name)
        for use in uses
        if use.meaning != "works" or everything
    ]
    width = max((len(place) for place, _, _ in rows), default=0)
    for place, meaning, told in rows:
        print(f"  {place:>{width}}  {meaning:<7}  {told}")
    works = len({use.name for use in uses if use.meaning == "works"})
    if works and not everything:
        print(f"  {'':>{width}}  works    {works} name{'s' * (works > 1)}")


def _summary(files: list[tuple[Code, list[Use]]]) -> str:
    if not files:
        return "Nothing here uses the Azure ML SDK"
    verdicts = [_verdict(code, uses) for code, uses in files]
    words = {"works": "as they are", "differs": "with differences", "refuses": "not as they are", "unread": "unread"}
    counts = [f"{verdicts.count(word)} {text}" for word, text in words.items() if word in verdicts]
    return f"Of {len(files)} file{'s' * (len(files) > 1)} that use the SDK: {', '.join(counts)}"
