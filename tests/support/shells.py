"""The command line: in processes of its own, or in the process of the tests, which has Prefect imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Shell:
    """The command line in processes of its own, or in this one, which need not import Prefect first."""

    def __init__(self, folder, workspace, monkeypatch, capfd):
        self.folder, self.workspace, self.monkeypatch, self.capfd = folder, workspace, monkeypatch, capfd

    def here(self, *words):
        """Return what a process would: the output and the code of the command."""
        from stepwell.deployments.cli.main import main

        self.capfd.readouterr()
        with self.monkeypatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["stepwell", *words])
            patch.setattr(sys, "path", list(sys.path))
            for name in ("HANDLERS_CONSOLE_LEVEL", "INTERNAL_LEVEL"):  # what `main` sets is gone afterwards
                patch.setenv(f"PREFECT_LOGGING_{name}", "CRITICAL")
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(words, ended.value.code or 0, *self.capfd.readouterr())

    def __call__(self, *words, **variables):
        command = [sys.executable, "-m", "stepwell.deployments.cli", *words]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), **variables}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def good(self, *words):
        done = self.here(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bad(self, *words, **variables):
        """What the command says when it fails: one message with a hint, and no traceback."""
        done = self(*words, **variables) if variables else self.here(*words)
        assert done.returncode not in (0, 130) and done.stdout == ""
        starts = [line.partition(" ")[0] for line in done.stderr.splitlines()]
        assert (starts[0], starts[-1]) == ("Error:", "Hint:") and starts.count("Error:") == starts.count(
            "Hint:"
        ) == 1, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr
