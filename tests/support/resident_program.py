"""A command that a resident runner may run: it executes the script that is its first argument."""

from __future__ import annotations

import sys
from pathlib import Path

from stepwell.deployments.resident import client, identity
from stepwell.deployments.resident.ending import run_to_end
from stepwell.deployments.resident.runner import main as resident


def main() -> None:
    """Run the command as the command line of Stepwell is run."""
    if not identity.reason_against():
        name = identity.name()
        client.run_there(name)
        client.start_one(name, __name__)
    run()


def run() -> None:
    """Execute the script."""
    exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"), {"__name__": "script"})


if __name__ == "__main__":
    command = resident(sys.argv[1], lambda: None)
    if command is not None:
        known = frozenset(sys.modules)
        command(lambda: run_to_end(run, known))
