"""`stepwell init`: a project that runs, to begin with."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from stepwell.blocks.system.config_file import check_workspace_name
from stepwell.deployments.cli.first_steps import project

_FOLDER = typer.Argument(".", help="The folder of the project, which is made if there is none.", metavar="FOLDER")
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace's name; by default the folder's.")


def init(folder: str = _FOLDER, workspace: str = _WORKSPACE) -> None:
    """Make a project that runs: two scripts, their pipeline and a test; no file is overwritten."""
    place = Path(folder)
    if workspace:
        check_workspace_name(workspace)
    project.make(place, project.files_of(workspace or project.workspace_name(place)))
    width = max(map(len, project.WHAT))
    print(f"Made in {place.resolve()}:")
    for name, purpose in project.WHAT.items():
        print(f"  {name:<{width}}  {purpose}")
    print("Next:")
    if place.resolve() != Path.cwd():
        print(f"  cd {shlex.quote(os.fspath(place))}")
    print("  stepwell run pipeline.py               # the second time nothing runs: everything is reused")
    print("  stepwell run pipeline.py -p rate=0.02  # only what depends on it runs")
    print("  stepwell compare                       # the runs beside each other")
