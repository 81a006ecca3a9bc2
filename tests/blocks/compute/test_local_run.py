"""What a process of a step finds first: the interpreter in use, whatever it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stepwell.blocks.compute.local_run import path_of


def test_the_interpreters_folder_comes_first(tmp_path: Path) -> None:
    folder = os.path.dirname(sys.executable)
    assert path_of(sys.executable, "/usr/bin:/bin", tmp_path) == f"{folder}:/usr/bin:/bin"
    assert path_of(sys.executable, "", tmp_path) == folder
    assert os.listdir(tmp_path) == []


def test_an_interpreter_that_is_called_otherwise_is_python_too(tmp_path: Path) -> None:
    interpreter, job = tmp_path / "it's" / "python3.99", tmp_path / "job"
    interpreter.parent.mkdir()
    job.mkdir()
    interpreter.write_text('#!/bin/sh\necho "called with $1"\n')
    interpreter.chmod(0o755)
    (interpreter.parent / "python").symlink_to("/bin/false")  # another one
    path = path_of(str(interpreter), "/usr/bin:/bin", job)
    for name in ("python", "python3", "python3.99"):
        line = ["sh", "-c", f"{name} 'a b'"]
        assert subprocess.check_output(line, env={"PATH": path}, text=True) == "called with a b\n"
