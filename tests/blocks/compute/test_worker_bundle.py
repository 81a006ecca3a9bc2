"""The worker bundle stands on itself and the standard library: where it goes there is no other Stepwell."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from stepwell.blocks.compute.worker_bundle import bundle_files, bundle_folder

_IMPORT_ALL = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
failed = {}
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""


def modules() -> dict[str, str]:
    """Return the source of the bundle's modules by their names."""
    return {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path.read_text()
        for name, path in bundle_files().items()
        if not name.endswith(
            ("/sitecustomize.py", ".pyi")
        )  # started by Python itself, which puts another one's place first
    }


def wanted(source: str) -> set[str]:
    """Return Stepwell's modules that the source imports anywhere, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name for name in names if name.partition(".")[0] == "stepwell"}


def test_what_the_bundle_imports_of_stepwell_is_in_it() -> None:
    there = modules()
    lacking = {
        name: wanted(source) - there.keys() for name, source in there.items() if name.partition(".")[0] == "stepwell"
    }
    assert {name: names for name, names in lacking.items() if names} == {}


def test_the_bundle_can_be_imported_where_nothing_is_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", _IMPORT_ALL, str(bundle_folder(tmp_path)), json.dumps([*modules()])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}
