"""`stepwell doctor`: what works on this machine, what is missing, and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer


def doctor(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Tell what works on this machine, what is missing and what to do; starts nothing, exit code 1 if what is in use is broken."""
    from stepwell.deployments.cli.first_steps.checks import BROKEN, examine

    found = examine()
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        states, names = max(len(one.state) for one in found), max(len(one.name) for one in found)
        for one in found:
            print(f"{one.state:<{states}}  {one.name:<{names}}  {one.words}")
            if one.advice:
                print(f"{'':<{states}}  {'':<{names}}    {one.advice}")
    if any(one.state == BROKEN for one in found):
        raise typer.Exit(1)
