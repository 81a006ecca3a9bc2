"""The house keeps its own rules: rooms, names, sizes, and a wheel that holds all of it."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"stepwell": 0, "stepwell.blocks": 1, "stepwell.flows": 2, "stepwell.deployments": 3}
FOLDERS = {
    "stepwell": "src/stepwell",
    "stepwell.blocks": "blocks",
    "stepwell.flows": "flows",
    "stepwell.deployments": "deployments",
}
MODULES = [(room, path) for room, folder in FOLDERS.items() for path in sorted((ROOT / folder).glob("*.py"))]
NAMES = [f"{room}.{path.stem}" for room, path in MODULES]


def imported(path: Path) -> list[tuple[str, bool]]:
    """Each module that the file imports, hidden imports included, with whether only type checkers see it."""
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(name, node in typing_only) for name in names]
    return found


def room_of(module: str) -> str:
    return max((room for room in ROOMS if module == room or module.startswith(room + ".")), key=len)


@pytest.mark.parametrize(("room", "path"), MODULES, ids=NAMES)
def test_a_room_imports_downwards_only(room: str, path: Path) -> None:
    if path.name == "__init__.py":
        return
    own = [name for name, _ in imported(path) if name.split(".")[0] == "stepwell"]
    assert [name for name in own if ROOMS[room_of(name)] > ROOMS[room]] == []


@pytest.mark.parametrize("path", [path for room, path in MODULES if room == "stepwell"], ids=lambda p: p.stem)
def test_the_hall_stands_on_the_standard_library(path: Path) -> None:
    foreign = (
        {name.split(".")[0] for name, typing in imported(path) if not typing}
        - sys.stdlib_module_names
        - {"stepwell", ""}
    )
    assert foreign == set()


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    known = set(NAMES)
    graph = {
        f"{room}.{path.stem}": {name for name, typing in imported(path) if name in known and not typing}
        for room, path in MODULES
    }

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"circle: {' > '.join((*way, name))}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*way, name))
            done.add(name)

    done: set[str] = set()
    for name in graph:
        visit(name, ())


def test_no_module_is_named_like_another_package() -> None:
    installed = {name.lower() for name in importlib.metadata.packages_distributions()}
    taken = {path.stem for room, path in MODULES if room != "stepwell"} & (sys.stdlib_module_names | installed)
    assert taken == set()


@pytest.mark.parametrize(("room", "path"), MODULES, ids=NAMES)
def test_a_module_is_one_idea(room: str, path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_importing_stepwell_loads_nothing_heavy() -> None:
    code = (
        "import sys, stepwell; print([m for m in ('prefect', 'dask', 'docker', 'fsspec', 'rich') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_every_public_name_can_be_loaded() -> None:
    import stepwell

    assert [name for name in stepwell.__all__ if getattr(stepwell, name) is None] == []


def test_the_wheel_holds_every_module(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "tests"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(source)]
    built = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"{room.replace('.', '/')}/{path.name}" for room, path in MODULES} | {"stepwell/py.typed"}
    assert wanted - inside == set()
