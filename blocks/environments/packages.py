"""The packages of an interpreter: which distributions a script's imports come from, without importing any of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stepwell.blocks.system.home import make_folder
from stepwell.errors import UserErrorException
from stepwell.model.digests import bytes_digest, digest
from stepwell.model.regular_files import read_text

SECONDS = 30.0
"""How long an interpreter may take to say where it looks for packages."""

_FORMAT = 1
_RACY_NS = 50_000_000

_VARIABLES = ("PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "HOME", "VIRTUAL_ENV", "PATH")
"""Variables that decide, with PYTHONPATH, which interpreter is meant and where it looks for packages."""

_SURVEY_CODE = """
import importlib.machinery, json, site, sys
name = sys.implementation.name
print("\\n" + json.dumps({
    "python": sys.version.split()[0] + getattr(sys, "abiflags", "") + ("" if name == "cpython" else " " + name),
    "search": [path for path in sys.path if path],
    "user_site": site.getusersitepackages() if site.ENABLE_USER_SITE else "",
    "standard": sorted(set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))),
    "suffixes": importlib.machinery.all_suffixes(),
}))
"""

Stamp = tuple[int, int, int]
"""Inode, mtime and ctime of something whose change makes a survey out of date; zeros if it isn't there."""


class Packages:
    """The modules that one interpreter ('' is the one in use) can import; looked up when first needed, once per object.

    Distribution names are normalised: lower case, `-` between words. The survey is kept in the folder `cache`, and
    made anew when a folder on the interpreter's search path, or the interpreter itself, has changed.
    """

    def __init__(self, cache: Path | None = None, interpreter: str = "") -> None:
        self._cache = cache
        self._interpreter = interpreter

    @property
    def python_version(self) -> str:
        """The interpreter's version, such as `3.11.7`, and its name unless that is CPython."""
        return self._survey.python

    def distributions_of(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the distributions behind the modules, and all installed ones that they require, with versions, sorted.

        Behind a version may stand `editable`, or the commit or content of what came from no package index.
        """
        survey, found = self._survey, set[str]()
        waiting = [name for module in modules for name in survey.providers.get(_top(module), ())]
        while waiting:
            name = waiting.pop()
            if name in survey.versions and name not in found:
                found.add(name)
                waiting += survey.requires.get(name, ())
        return {name: survey.versions[name] for name in sorted(found)}

    def versions(self, distributions: Iterable[str]) -> dict[str, str]:
        """Return the version of each of these distributions that is installed."""
        known = self._survey.versions
        return {name: known[name] for name in distributions if name in known}

    def missing_modules(self, modules: Iterable[str]) -> tuple[str, ...]:
        """Return the top-level modules, sorted, that neither a distribution nor a file on the search path provides."""
        names = {_top(module) for module in modules}
        return tuple(sorted(name for name in names if not self._survey.provides(name)))

    @cached_property
    def _survey(self) -> _Survey:
        program = _located(self._interpreter)
        if self._cache is None:
            return _survey(program)[0]
        file = self._cache / f"packages-{digest('packages', _identity(program))[:16]}.json"
        known = _load(file)
        if known:
            return known
        started = time.time_ns()
        survey, stamps = _survey(program)
        if all(started - max(stamp[1:]) >= _RACY_NS for stamp in stamps.values()):
            _save(file, survey, stamps)
        return survey


@dataclass(frozen=True, slots=True)
class _Survey:
    python: str
    search: Sequence[str]
    standard: Sequence[str]
    suffixes: Sequence[str]
    versions: Mapping[str, str]
    """Distribution to version."""
    requires: Mapping[str, Sequence[str]]
    """Distribution to distributions, installed or not."""
    providers: Mapping[str, Sequence[str]]
    """Top-level module to the distributions that hold (parts of) it."""

    def provides(self, name: str) -> bool:
        """Return whether an import of that top-level module finds something."""
        return name in self.providers or name in self.standard or any(self._found(name, path) for path in self.search)

    def _found(self, name: str, folder: str) -> bool:
        file = os.path.join(folder, name)
        return os.path.isdir(file) or any(os.path.isfile(file + suffix) for suffix in self.suffixes)


def _top(module: str) -> str:
    return module.partition(".")[0]


# The interpreter ----------------------------------------------------------------------------------------------------


def _located(interpreter: str) -> str:
    name = os.path.expanduser(interpreter) or sys.executable
    return shutil.which(name) or name


def _identity(program: str) -> list[Any]:
    added = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return [_FORMAT, program, added, [os.environ.get(variable, "") for variable in _VARIABLES]]


def _run_survey_code(program: str) -> dict[str, Any]:
    try:
        answer = subprocess.run(
            [program, "-c", _SURVEY_CODE], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True
        )
        known: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise _no_interpreter(program, error.stderr.decode("utf-8", "replace").strip()[-500:]) from error
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise _no_interpreter(program, str(error)) from error
    return known


def _no_interpreter(program: str, reason: str) -> UserErrorException:
    facts = {"interpreter": program, "reason": reason}
    return UserErrorException("The Python interpreter can't be used", facts, "Name one that starts.")


# Its packages -------------------------------------------------------------------------------------------------------


def _survey(program: str) -> tuple[_Survey, dict[str, Stamp]]:
    """Read the packages anew, and return them with the stamps of all that they were read from, taken before."""
    known = _run_survey_code(program)
    user_site = known.pop("user_site")
    stamps = {path: _stamp(path) for path in _watched(program, known["search"], user_site)}
    versions: dict[str, str] = {}
    requires: dict[str, list[str]] = {}
    providers: dict[str, list[str]] = {}
    for info in _infos(known["search"]):
        headers = _headers(info)
        name = _normal(next((value for key, value in headers if key == "Name"), ""))
        if not name or name in versions:
            continue
        versions[name] = _version(info, next((value for key, value in headers if key == "Version"), ""))
        requires[name] = sorted({_normal(line) for line in _required(info, headers)} - {""})
        for module in _modules(info, known["suffixes"]):
            providers.setdefault(module, []).append(name)
    return _Survey(**known, versions=versions, requires=requires, providers=providers), stamps


def _watched(program: str, search: Sequence[str], user_site: str) -> Iterator[str]:
    yield program
    yield os.path.join(os.path.dirname(os.path.dirname(program)), "pyvenv.cfg")
    for folder in {*search, user_site} - {""}:
        yield folder
        yield from (os.path.join(folder, name) for name in _listed(folder) if name.endswith(".pth"))


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _infos(search: Sequence[str]) -> Iterator[Path]:
    for folder in dict.fromkeys(search):
        names = _listed(folder)
        yield from (Path(folder, name) for name in names if name.endswith((".dist-info", ".egg-info")))


def _text(file: Path) -> str:
    try:
        return read_text(file, "utf-8", "replace")
    except OSError:
        return ""


def _normal(requirement: str) -> str:
    name = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    return re.sub(r"[-_.]+", "-", name[1]).lower() if name else ""


def _headers(info: Path) -> list[tuple[str, str]]:
    text = _text(info / "METADATA") or _text(info / "PKG-INFO") or _text(info)
    head = text.partition("\n\n")[0]
    return [(key, value.strip()) for key, _, value in (line.partition(":") for line in head.splitlines())]


def _required(info: Path, headers: list[tuple[str, str]]) -> list[str]:
    named = [value for key, value in headers if key == "Requires-Dist"]
    always = [value for value in named if not re.search(r"\bextra\b", value.partition(";")[2])]
    return always + _text(info / "requires.txt").partition("[")[0].splitlines()


def _version(info: Path, version: str) -> str:
    origin = _origin(info)
    if origin.get("dir_info", {}).get("editable") or _is_developed(info):
        return f"{version} editable"
    if not origin:
        return version
    content = origin.get("vcs_info", {}).get("commit_id") or _content(info)
    return f"{version} {content[:12]}"


def _origin(info: Path) -> dict[str, Any]:
    try:
        origin = json.loads(_text(info / "direct_url.json") or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


def _is_developed(info: Path) -> bool:
    return info.suffix == ".egg-info" and info.is_dir() and info.parent.name not in ("site-packages", "dist-packages")


def _content(info: Path) -> str:
    lines = _text(info / "RECORD").splitlines()
    return bytes_digest("\n".join(line for line in lines if not line.startswith(("..", info.name))).encode())


def _modules(info: Path, suffixes: Sequence[str]) -> set[str]:
    declared = set(_text(info / "top_level.txt").split())
    if declared:
        return {name.partition("/")[0] for name in declared}
    files = {line.partition(",")[0].strip('"') for line in _text(info / "RECORD").splitlines()}
    editable = [name for file in files if "/" not in file for name in _editable_modules(info.parent / file)]
    return _top_levels(files, suffixes) | set(editable)


def _top_levels(files: Iterable[str], suffixes: Sequence[str]) -> set[str]:
    parts = {file.partition("/")[:2] for file in files}
    names = {name if slash else _stem(name, suffixes) for name, slash in parts}
    return {name for name in names if name.isidentifier() and name != "__pycache__"}


def _stem(name: str, suffixes: Sequence[str]) -> str:
    return name.partition(".")[0] if name.endswith(tuple(suffixes)) else ""


def _editable_modules(file: Path) -> set[str]:
    """Return the modules that an editable install's `.pth` file or import finder leads to."""
    if file.suffix == ".pth":
        folders = [os.path.join(file.parent, line) for line in _text(file).splitlines() if line]
        found = [(name, os.path.join(folder, name)) for folder in folders for name in _listed(folder)]
        return _top_levels((name + "/" * os.path.isdir(path) for name, path in found), (".py", ".so"))
    if re.fullmatch(r"__editable___.+_finder\.py", file.name):
        mapping = re.search(r"^MAPPING[^=]*= *(\{.*\})", _text(file), re.MULTILINE)
        return {_top(name) for name in re.findall(r"'([\w.]+)' *:", mapping[1])} if mapping else set()
    return set()


# The cache ----------------------------------------------------------------------------------------------------------


def _load(file: Path) -> _Survey | None:
    try:
        data = json.loads(file.read_bytes())
        if any(tuple(stamp) != _stamp(path) for path, stamp in data["marks"].items()):
            return None
        return _Survey(**data["survey"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _save(file: Path, survey: _Survey, stamps: Mapping[str, Stamp]) -> None:
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        make_folder(file.parent)
        unfinished.write_text(json.dumps({"marks": stamps, "survey": asdict(survey)}))
        os.replace(unfinished, file)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
