"""`stepwell token`: who may call the HTTP endpoint."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.blocks.access.tokens import TokenBlock

app = typer.Typer(help="Tokens: who may call the HTTP endpoint.", no_args_is_help=True)
_LABEL = typer.Argument(..., help="Whose it is, or what for.", metavar="LABEL")
_RUN = typer.Option(True, "--run/--no-run", help="Whether it may start and cancel runs.")
_READ = typer.Option(True, "--read/--no-read", help="Whether it may see pipelines, runs and outputs.")
_ENDPOINT = typer.Option(
    None,
    "--endpoint",
    help="What it is limited to: a name, WORKSPACE/NAME or an id; repeatable.",
    metavar="NAME",
    show_default="all",
)
_DAYS = typer.Option(None, "--days", help="How long it lasts.", metavar="N", show_default="for ever")
_WHICH = typer.Argument(..., help="The token's id, its label, or how only its label begins.", metavar="ID")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def create(
    label: str = _LABEL,
    run: bool = _RUN,
    read: bool = _READ,
    endpoint: list[str] | None = _ENDPOINT,
    days: float | None = _DAYS,
) -> None:
    """Print a new token, this once: only its digest is kept."""
    from stepwell.blocks.access import tokens

    block, token = tokens.create(label, run=run, read=read, endpoints=endpoint or (), days=days)
    print(token)
    print(
        f"It may {_actions(block)} {_places(block)} {_end(block)}. Keep it now: it can't be shown again.\n"
        f"Hint: Pass it as the header `Authorization: Bearer TOKEN`, or set STEPWELL_TOKEN. "
        f"Revoke it with `stepwell token revoke {block.token_id}`.",
        file=sys.stderr,
    )


@app.command("list")
def show_all(as_json: bool = _JSON) -> None:
    """List the tokens: id, label, state, and what each may do where until when."""
    from stepwell.blocks.access import tokens

    found = tokens.listed()
    if as_json:
        print(json.dumps([_described(block) for block in found], indent=1))
        return
    rows = [
        (block.token_id, block.label, _state(block), _actions(block), _places(block), _end(block)) for block in found
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(6)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def revoke(which: str = _WHICH) -> None:
    """Make a token worthless, at once."""
    from stepwell.blocks.access import tokens

    block = tokens.revoke(which)
    print(f"The token {block.token_id} ({block.label}) is revoked")


# Tokens in words ------------------------------------------------------------------------------------------------------


def _described(block: TokenBlock) -> dict[str, Any]:
    """Return what programs may know of a token: all but the digest."""
    return {
        "id": block.token_id,
        "label": block.label,
        "state": _state(block),
        "run": block.run,
        "read": block.read,
        "endpoints": block.endpoints,
        **{name: _time(getattr(block, name)) for name in ("created", "expires", "revoked")},
    }


def _state(block: TokenBlock) -> str:
    from stepwell.blocks.access.tokens import is_in_force

    if block.revoked is not None:
        return "revoked"
    return "valid" if is_in_force(block, time.time()) else "expired"


def _actions(block: TokenBlock) -> str:
    return " and ".join(name for name, allowed in (("run", block.run), ("read", block.read)) if allowed)


def _places(block: TokenBlock) -> str:
    return ", ".join(block.endpoints) or "everything"


def _end(block: TokenBlock) -> str:
    return f"until {_time(block.expires)}" if block.expires is not None else "for ever"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
