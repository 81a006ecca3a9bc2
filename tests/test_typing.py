"""What type checkers make of a user's script that uses every public name."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import stepwell

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "typing" / "user_script.py"


def test_the_script_uses_every_public_name() -> None:
    tree = ast.parse(SCRIPT.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(stepwell.__all__) - used == set()


def test_the_stub_lists_what_it_imports() -> None:
    stub = ast.parse((ROOT / "src" / "stepwell" / "__init__.pyi").read_text())
    names = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    [listed] = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    assert names == set(ast.literal_eval(listed)) == set(stepwell.__all__)


def test_mypy_accepts_it_in_strict_mode_and_no_name_that_there_is_not(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from stepwell import Pipelin\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(SCRIPT), str(wrong)]
    env = {**os.environ, "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")}
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    [error, _] = checked.stdout.splitlines()
    assert error.startswith("wrong.py:1: error:") and '"Pipelin"' in error


def test_pyright_accepts_it_in_basic_mode(tmp_path: Path) -> None:
    shutil.copy(SCRIPT, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "basic"}')
    command = [sys.executable, "-m", "pyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
