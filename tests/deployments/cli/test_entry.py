"""What a resident runner has imported and made before the first command asks: all that a run of reused steps needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from shells import Shell
from waiting import PATIENCE

PIPELINE = """
import sys
from pathlib import Path

from stepwell import Pipeline, PythonScriptStep, Workspace

Path("loaded").write_text("\\n".join(sys.modules))


def pipeline():
    ws = Workspace.get({name!r})
    ws.compute_targets
    return Pipeline(ws, [PythonScriptStep("a.py", source_directory={source!r})], name="prepared")
"""
COMMAND = """
import json, sys

from stepwell.deployments.cli import entry
from stepwell.deployments.cli.main import quieten_prefect

quieten_prefect()
entry.prepare()
entry.prepare()  # twice is as once
before = set(sys.modules)
sys.argv[:] = ["stepwell", *sys.argv[1:]]
try:
    entry._run()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_run_of_reused_steps_imports_nothing_that_the_runner_has_not_imported(project, tmp_path, monkeypatch, capfd):
    project.script("a.py", "")
    text = PIPELINE.format(name=project.workspace.name, source=str(project.source))
    (tmp_path / "pipeline.py").write_text(text)
    Shell(tmp_path, project.workspace.name, monkeypatch, capfd).good(
        "run", "pipeline.py"
    )  # so the step's result is known
    words = [sys.executable, "-c", COMMAND, "run", "pipeline.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert " 1 reused" in done.stdout
    assert [name for name in found if name != "_stepwell_pipeline"] == []


def test_the_module_by_hand_is_the_command_line(tmp_path):
    words = [sys.executable, "-m", "stepwell.deployments.cli.entry"]
    surroundings = {**os.environ, "STEPWELL_RESIDENT": "0"}
    for more, code, shown in ((["--version"], 0, "stepwell "), ([], 2, "Usage: "), (["nothing"], 2, "Error: ")):
        done = subprocess.run(
            [*words, *more], cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == code and shown in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
