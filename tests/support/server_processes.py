"""Servers of homes of their own, as processes of users who have set nothing see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from forked import Forked
from savings import start_from_first_server
from waiting import PATIENCE

HEAD = f"server.process._SECONDS_TO_START = {PATIENCE}\n"
STATUS = "import dataclasses, json; print(json.dumps(dataclasses.asdict(server.status()), default=str))"

AS_IF_NEW = f"""
import contextlib, io, json, os
from prefect.context import refresh_global_settings_context
from stepwell.blocks.server import connection as server
code, folder, variables = args
os.environ.clear()
os.environ.update(json.loads(variables))
os.chdir(folder)
refresh_global_settings_context()  # as if it had been imported with these variables
{HEAD}
with contextlib.redirect_stdout(io.StringIO()) as said:
    exec(code)
tell(said.getvalue())"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of a user who keeps Stepwell and Prefect in `folder` and has set nothing else but `more`."""
    start_from_first_server(folder / "home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "STEPWELL"))}
    mine = {"STEPWELL_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect")}
    return kept | mine | {"PREFECT_LOGGING_LEVEL": "ERROR"} | more


def begin(code: str, folder: Path, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"from stepwell.blocks.server import connection as server\n{HEAD}{code}"]
    # As a job of a terminal has it: a group of its own, which Ctrl-C interrupts.
    return subprocess.Popen(command, env=environment(folder, **more), cwd=folder, process_group=0, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def python(code: str, folder: Path, **more: str) -> str:
    """Run the code in a process of its own and return its output."""
    process = begin(code, folder, **more)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out.strip()


def with_prefect(code: str, folder: Path, **more: str) -> str:
    """Run the code in a process that has imported Prefect before, with these variables, and return its output."""
    process = Forked(AS_IF_NEW, code, str(folder), json.dumps(environment(folder, **more)))
    try:
        return str(process.hear()).strip()
    finally:
        process.join()


def status(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(with_prefect(STATUS, folder))
    return found


def servers(folder: Path) -> list[int]:
    """Return the pids of the servers whose home is in the folder, without their forks."""
    wanted = f"PREFECT_HOME={folder / 'home' / 'server'}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX" and wanted in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = int(parent)
        except OSError:
            continue
    return [pid for pid, parent in found.items() if parent not in found]
