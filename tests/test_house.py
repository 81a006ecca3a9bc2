"""The house keeps its own rules: rooms, names, sizes, and a wheel that holds all of it."""

import ast
import functools
import importlib.metadata
import inspect
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "stepwell": "src/stepwell",
    "stepwell.blocks": "blocks",
    "stepwell.flows": "flows",
    "stepwell.deployments": "deployments",
}
PUBLIC = "stepwell.flows.public"
"""The room of the classes that v1 lets make one another: the only place where modules may import in a circle."""

MOST_MODULES = 12
"""How many modules a folder holds before a reader no longer sees them at a glance."""


def find_modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name; packages without their `__init__`."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder)
            if not (package == "stepwell" and inner.parts[0] in FOLDERS.values()):
                found[".".join([package, *inner.with_suffix("").parts])] = path
    return found


MODULES = find_modules()
NAMES = [name for name in MODULES if not name.endswith("__init__")]


def public_homes() -> dict[str, str]:
    """Return the module of every public name, as the stub has it."""
    stub = ast.parse((ROOT / "src" / "stepwell" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"stepwell.{node.module}" for node in imports for alias in node.names}


def imports_of(name: str) -> set[str]:
    """Return the modules that a module imports: in functions, for type checkers, and by public names too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            names += [HOMES[alias.name] for alias in node.names if node.module == "stepwell" and alias.name in HOMES]
        found |= set(names)
    return found


HOMES = public_homes()


@functools.cache
def imports() -> dict[str, set[str]]:
    """Return what each module imports."""
    return {name: imports_of(name) for name in MODULES}


@functools.cache
def graph() -> dict[str, list[str]]:
    """Return which modules of ours each of them imports."""
    return {name: sorted(imports()[name] & set(NAMES)) for name in NAMES}


def room_of(name: str) -> str:
    return name.rpartition(".")[0]


def circles(graph: dict[str, list[str]]) -> list[set[str]]:
    """Return the groups of names that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set[str](), [start]
        while waiting:
            for other in graph[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        reach[start] = seen
    found = [{other for other in reach[name] if name in reach[other]} for name in graph]
    return [group for number, group in enumerate(found) if group and group not in found[:number]]


def test_modules_import_in_a_circle_only_in_the_public_room() -> None:
    assert [group for group in circles(graph()) if {room_of(name) for name in group} != {PUBLIC}] == []


def test_circles_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": []}) == [{"b", "c"}]


def test_rooms_stand_on_each_other_without_a_circle() -> None:
    rooms: dict[str, list[str]] = {room_of(name): [] for name in NAMES}
    for name, others in graph().items():
        rooms[room_of(name)] += [room_of(other) for other in others if room_of(other) != room_of(name)]
    assert circles(rooms) == []


def test_nothing_below_imports_the_public_room() -> None:
    above = ("stepwell.flows.public.", "stepwell.flows.catalog.", "stepwell.deployments.")
    assert [
        (name, other)
        for name, others in graph().items()
        for other in others
        if room_of(other) == PUBLIC and not name.startswith(above)
    ] == []


def test_every_import_leads_to_something_that_is_there() -> None:
    packages = {room_of(name) for name in MODULES} | {"stepwell"}
    lost = [
        (name, other)
        for name, others in imports().items()
        for other in others
        if other.startswith("stepwell.")
        and other not in MODULES
        and other.rpartition(".")[0] not in {*NAMES, *packages}
    ]
    assert lost == []


@pytest.mark.parametrize("room", ["stepwell.model", "stepwell.script", "stepwell.script.workspace"])
def test_the_core_stands_on_the_standard_library(room: str) -> None:
    typing_only = ("collections.abc", "typing", "types")
    own = [name for name in NAMES if room_of(name) == room]
    foreign = {
        other.split(".")[0] for name in own for other in imports()[name] if other and not other.startswith(typing_only)
    }
    assert foreign - sys.stdlib_module_names - {"stepwell"} == set()


def test_a_folder_holds_about_a_dozen_modules() -> None:
    sizes = Counter(room_of(name) for name in NAMES)
    assert {room: size for room, size in sizes.items() if size > MOST_MODULES} == {}


def test_every_room_says_what_it_holds() -> None:
    rooms = {room_of(name) for name in NAMES} - {"stepwell"}
    assert [room for room in rooms if not ast.get_docstring(ast.parse(MODULES[f"{room}.__init__"].read_text()))] == []


def test_tests_stand_in_the_rooms_of_their_modules() -> None:
    whole = {
        ROOT / "tests" / name
        for name in ("test_house.py", "test_kill.py", "test_examples_scripts.py", "test_docs.py", "test_typing.py")
    }
    rooms = {room_of(name).removeprefix("stepwell.").replace(".", "/") for name in NAMES}
    rooms = {f"core/{room}" if room.split("/")[0] in ("model", "script") else room for room in rooms}
    rooms |= {"core", "deployments"}
    rooms |= {"attack", "compat"}
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path not in whole]
    assert [path for path in tests if str(path.parent.relative_to(ROOT / "tests")) not in rooms] == []


def test_no_module_is_named_like_another_package() -> None:
    found = importlib.metadata.packages_distributions()
    installed = {name.lower() for name in found} - {"images"}  # a folder of pictures that azure-identity has
    own = {name.rpartition(".")[2] for name in NAMES}
    assert own & (sys.stdlib_module_names | installed) == set()


def test_a_module_is_one_idea() -> None:
    assert [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 400] == []


def test_no_docstring_says_nothing() -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    silent = [
        (name, getattr(node, "lineno", 1))
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, documented) and (ast.get_docstring(node) or "").startswith("Nothing")
    ]
    assert silent == []


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
    wanted = {f"{name.replace('.', '/')}.py" for name in MODULES} | {"stepwell/py.typed", "stepwell/__init__.pyi"}
    assert wanted - inside == set()


def public_functions() -> dict[str, object]:
    """Return every function and method that a public name has, by the name that a user writes."""
    import stepwell

    found: dict[str, object] = {}
    for name in stepwell.__all__:
        public = getattr(stepwell, name)
        if inspect.isfunction(public):
            found[name] = public
            continue
        for kind in [kind for kind in public.__mro__ if kind.__module__.startswith("stepwell.")]:
            for member, value in vars(kind).items():
                plain = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
                if inspect.isfunction(plain) and not member.startswith("_"):
                    found.setdefault(f"{name}.{member}", plain)
    return found


def missing_sections(function: object) -> list[str]:
    """Return what a Google docstring of the function lacks: arguments that it doesn't describe, what it returns."""
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    named = [p for p in signature.parameters.values() if p.name not in ("self", "cls") and not p.name.startswith("_")]
    lacking = [p.name for p in named if not re.search(rf"^    \*{{0,2}}{p.name}( \(.*\))?: ", text, re.MULTILINE)]
    returns = signature.return_annotation not in (None, "None", "NoReturn", inspect.Signature.empty)
    return lacking + (["Returns"] if returns and not re.search(r"^(Returns|Yields):$", text, re.MULTILINE) else [])


def test_public_functions_describe_arguments_and_results() -> None:
    lacking = {name: missing_sections(function) for name, function in public_functions().items()}
    assert {name: sections for name, sections in lacking.items() if sections} == {}


def test_missing_sections_are_found() -> None:
    def bare(first: int, *, second: int) -> int:
        """Return a number.

        Args:
            first: Any number.
        """
        return first + second

    assert missing_sections(bare) == ["second", "Returns"]
