"""The commands about runs: what they list and find, whatever state a run's files are in."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from stepwell.deployments.cli.main import app


@pytest.fixture
def command(project):
    """Runs a command of the project's workspace in this process, and returns its result."""

    def invoke(*words: str, workspace: str = project.workspace.name):
        return CliRunner().invoke(app, [*words, *(["-w", workspace] if workspace else [])])

    return invoke


DAMAGED = {
    "journal.jsonl": [
        b"",
        b"\0" * 50,
        b"[" * 100_000,
        b'{"status":"Canceled"}\n',
        b'{"step":"a.py"}\n{"status":[]}\n',
        b'{"step":"a.py","status":"done","seconds":1' + b"0" * 400 + b"}\n",
        b'{"step":"a.py","status":"reused","saved":NaN}\n{"at":7,"status":"Finished"}\n',
        b'{"at":"\x1b[2J","status":"Run\\u001b[2Jning"}\n',
    ],
    "run.json": [b"{", b'{"created":1e300,"number":1e9}', b'{"created":-5e10}', b'{"pipeline":{"name":[],"steps":7}}'],
}


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_run_costs_no_more_than_its_own_line(name, content, project, command):
    pipeline = project.pipeline(project.step("a.py", ""))
    damaged, whole = project.run(pipeline), project.run(pipeline)
    (project.workspace.store.run_folder(damaged.run_id) / name).write_bytes(content)
    listed = command("runs")
    assert listed.exit_code == 0, listed.output
    assert whole.run_id[:8] in listed.stdout
    assert "\x1b" not in listed.stdout
    assert command("runs", "--json").exit_code == 0
    assert command("show", whole.run_id).exit_code == 0
    shown = command("show", damaged.run_id)
    assert shown.exit_code == 0, shown.output


def test_what_is_no_file_is_never_waited_for_and_told(project, command):
    pipeline = project.pipeline(project.step("a.py", ""))
    damaged, whole = project.run(pipeline), project.run(pipeline)
    folder = project.workspace.store.run_folder(damaged.run_id)
    (folder / "journal.jsonl").unlink()
    os.mkfifo(folder / "journal.jsonl")
    (folder / "alive.lock").unlink()
    (folder / "alive.lock").mkdir()
    listed = command("runs", "--json")
    assert whole.run_id in [run["id"] for run in json.loads(listed.stdout)]
