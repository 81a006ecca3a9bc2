"""The page of the command line, made from Typer's own commands, so that it can't be older than they are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer.main

from stepwell.deployments.cli.main import app

INTRODUCTION = """\
This page is made from the commands themselves when the site is built. Every command has `--help`, and an error is one message on
standard error with a hint, and exit code 1; `stepwell --debug COMMAND` shows its traceback.
"""


def cli_page() -> str:
    """Return the page as Markdown: a section for each command, those of a group below the group."""
    root: Any = typer.main.get_command(app)
    context = root.context_class(root, info_name="stepwell")
    lines = ["# Command line", "", INTRODUCTION]
    for command, inner in _commands(root, context):
        lines += _section(command, inner)
    return "\n".join(lines)


def _commands(group: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    for name, command in group.commands.items():
        inner = command.context_class(command, info_name=name, parent=context)
        yield command, inner
        if hasattr(command, "commands"):
            yield from _commands(command, inner)


def _section(command: Any, context: Any) -> Iterator[str]:
    yield f"{'#' * len(context.command_path.split())} {context.command_path}"
    yield ""
    yield from (inspect.cleandoc(command.help or "").replace("\b\n", "").replace("\f", ""), "")
    if hasattr(command, "commands"):
        return
    usage = re.sub(r"\s+", " ", command.get_usage(context)).removeprefix("Usage: ")
    yield from ("```", usage, "```", "")
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if records:
        yield from ("| | |", "|---|---|")
        yield from (f"| `{_cell(names.removesuffix(' <str>'))}` | {_cell(meaning)} |" for names, meaning in records)
        yield ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
