"""How a step's Python is started; tracebacks and warnings name the user's files, not the copies that the process ran."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepwell.blocks.compute import own_code
from stepwell.blocks.compute.own_code import naming_user_files
from stepwell.blocks.store.snapshots.snapshot import Snapshot


def call(source: str) -> Any:
    return SimpleNamespace(definition=SimpleNamespace(source_directory=source))


@pytest.fixture
def named(tmp_path: Path) -> Any:
    (tmp_path / "snapshot" / "sub").mkdir(parents=True)
    (tmp_path / "snapshot" / "train.py").touch()
    (tmp_path / "snapshot" / "sub" / "it's (1).py").touch()
    copies = {"/home/me/lib": Path("/work/1/code/0/lib")}
    return naming_user_files(
        lambda text: text.replace("hunter2", "***"),
        call("/home/me/project"),
        Path("/work/1/source"),
        Snapshot("s" * 64, (tmp_path / "snapshot",)),
        copies,
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('File "/work/1/source/train.py", line 7, in f', 'File "/home/me/project/train.py", line 7, in f'),
        ('  | File "/work/1/source/sub/it\'s (1).py", line 7', '  | File "/home/me/project/sub/it\'s (1).py", line 7'),
        ("/work/1/source/train.py:12: UserWarning: x", "/home/me/project/train.py:12: UserWarning: x"),
        (
            "File \x1b[32m/work/1/source/train.py:12\x1b[0m, in f",
            "File \x1b[32m/home/me/project/train.py:12\x1b[0m, in f",
        ),
        ('File "/work/1/code/0/lib/a.py", line 1, in g', 'File "/home/me/lib/a.py", line 1, in g'),
        ('File "/work/1/source/made_meanwhile.py", line 7', 'File "/work/1/source/made_meanwhile.py", line 7'),
        ('File "/work/1/sources/train.py", line 7', 'File "/work/1/sources/train.py", line 7'),
        ("Saved to /work/1/source/train.py", "Saved to /work/1/source/train.py"),
        ("hunter2", "***"),
    ],
)
def test_files_are_named_as_the_user_knows_them(named: Any, written: str, shown: str) -> None:
    assert named(written) == shown


def test_without_a_source_directory_nothing_is_named_otherwise() -> None:
    def redact(text: str) -> str:
        return text

    assert naming_user_files(redact, call(""), Path("/work/1/source"), None, {}) is redact


def test_the_traceback_of_a_failed_step_names_the_file_that_people_edit(project: Any) -> None:
    project.write("helper.py", "def divide():\n    return 1 / 0\n")
    summary = project.run(project.pipeline(project.step("a.py", "import helper\nhelper.divide()")))
    error = summary.steps[0].error
    assert f'File "{project.source}/a.py", line 6' in error, error
    assert f'File "{project.source}/helper.py", line 2, in divide' in error
    assert "/work/" not in error.partition("log ")[0]


def test_nothing_of_ours_is_compiled_for_each_step_though_python_keeps_no_bytecode(tmp_path):
    (tmp_path / "train.py").write_text("open('data.txt').read()\n")
    (tmp_path / "data.txt").write_text("a")
    told = "import sys\nsys.addaudithook(lambda event, args: event == 'compile' and print(args[1]))\n"
    (tmp_path / "sitecustomize.py").write_text(told)
    own = {"pairs": [[str(tmp_path), str(tmp_path)]], "modules": {}, "notes": str(tmp_path / "notes")}
    spec = {"script": "train.py", "argv": [], "cwd": str(tmp_path), "module_path": [], "watch": True, "quiet": []}
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "reads": str(tmp_path / "reads"), "own_code": own}))
    started = own_code.Python.own(tmp_path / "cache")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [started.interpreter, started.launcher, str(tmp_path / "spec.json")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if "stepwell" in line or "train" in line] == [
        str(tmp_path / "train.py")
    ]
    assert json.loads((tmp_path / "reads").read_text()) == {"path": "data.txt", "inside": True}


def test_the_launchers_source_is_started_where_nothing_can_be_kept(tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert own_code.compiled_launcher(tmp_path / "cache") == own_code.launcher.__file__
