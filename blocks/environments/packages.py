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
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stepwell.blocks.environments.survey import EDITABLE, SURVEY_CODE, Survey, ask, place_in, stem, top
from stepwell.blocks.system.home import make_folder
from stepwell.errors import UserErrorException
from stepwell.model.digests import bytes_digest, digest
from stepwell.model.regular_files import read_text

SECONDS = 30.0
"""How long an interpreter may take to say where it looks for packages."""

_FORMAT = 3
_LARGEST_PROGRAM = 1 << 16
_RACY_NS = 50_000_000

_VARIABLES = ("PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "HOME", "VIRTUAL_ENV", "PATH")
"""Variables that decide, with PYTHONPATH, which interpreter is meant and where it looks for packages."""

Stamp = tuple[int, int, int]
"""Inode, mtime and ctime of something whose change makes a survey out of date; zeros if it isn't there."""


class Packages:
    """The modules that one interpreter ('' is the one in use) can import; looked up when first needed, once per object.

    Distribution names are normalised: lower case, `-` between words. The survey is kept in the folder `cache`, and
    made anew when a folder on the interpreter's search path, or the interpreter itself, has changed. `known_places` are
    those of modules as they once were; they are not looked for again.
    """

    def __init__(
        self, cache: Path | None = None, interpreter: str = "", known_places: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._cache = cache
        self._interpreter = interpreter
        self.known_places = {name: tuple(places) for name, places in (known_places or {}).items()}
        self._answers: dict[str, tuple[str, ...] | None] = {}

    @property
    def python_version(self) -> str:
        """The interpreter's version, such as `3.11.7`, and its name unless that is CPython."""
        return self._survey.python

    def distributions_of(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the distributions behind the modules, and all installed ones that they require, with versions, sorted.

        Behind a version may stand `editable`, or the commit or content of what came from no package index.
        """
        survey, found = self._survey, set[str]()
        names = sorted({top(module) for module in modules})
        self._look_up(names)
        waiting = [provider for name in names for provider in self._providers(name)]
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

    def platform_of(self, distributions: Iterable[str]) -> str:
        """Return the interpreter's platform if one of these distributions holds code for it, else ''."""
        survey = self._survey
        return survey.platform if set(survey.compiled) & set(distributions) else ""

    def missing_modules(self, modules: Iterable[str]) -> tuple[str, ...]:
        """Return the top-level modules, sorted, that no import finds: by a distribution, the search path, or a hook."""
        names = {top(module) for module in modules} - set(self.known_places)
        missing = sorted(name for name in names if not self._survey.provides(name))
        self._ask(missing)
        return tuple(name for name in missing if self._answers[name] is None)

    def places_of(self, modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return where the top-level modules stand that are imported from where people work on them.

        These come by PYTHONPATH, a `.pth` file or the import hook of an editable install; a package has several places
        if it has no `__init__`. Not among them are modules of Python and of distributions that are installed for good.
        """
        names = sorted({top(module) for module in modules})
        self._look_up(names)
        found = {name: self.known_places.get(name) or self._places(name) for name in names}
        return {name: places for name, places in found.items() if places}

    def modules_of(self, distributions: Iterable[str]) -> tuple[str, ...]:
        """Return the top-level modules that these distributions are known to hold."""
        wanted = set(distributions)
        return tuple(sorted(name for name, providers in self._survey.providers.items() if wanted & set(providers)))

    def owners_of(self, modules: Iterable[str]) -> frozenset[str]:
        """Return the distributions that these modules belong to."""
        return frozenset(name for module in modules for name in self._providers(top(module)))

    def _look_up(self, names: Iterable[str]) -> None:
        """Ask the interpreter about those names that nothing but an import hook can explain."""
        survey = self._survey
        unsure = [name for name in names if name not in self.known_places and self._needs_hook(name)]
        self._ask(name for name in unsure if survey.hooked or name == "distutils")

    def _needs_hook(self, name: str) -> bool:
        survey = self._survey
        providers = survey.providers.get(name, ())
        if name in survey.standard or (providers and not any(map(survey.is_editable, providers))):
            return False
        found = (place_in(folder, name, survey.suffixes) for folder in survey.search)
        return not any(place is not None and place.whole for place in found)

    def _ask(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in self._answers]
        if unknown:
            answers = ask(_located(self._interpreter), unknown)
            self._answers.update({name: answers.get(name) for name in unknown})

    def _places(self, name: str) -> tuple[str, ...]:
        survey, found = self._survey, list[str]()
        if name in survey.standard:
            return ()
        for folder in survey.search if survey.own_folders else ():
            place = place_in(folder, name, survey.suffixes)
            if place is None:
                continue
            if folder in survey.own_folders and not survey.holds(folder, name):
                found.append(os.path.abspath(place.path))
            if place.whole:
                return tuple(found[-1:]) if folder in survey.own_folders else ()
        return tuple(found) or tuple(place for place in self._answers.get(name) or () if not survey.is_installed(place))

    def _providers(self, name: str) -> Sequence[str]:
        """Return the distributions that hold a module: by their own account, or by where it was found."""
        survey = self._survey
        if name in survey.providers:
            return survey.providers[name]
        for place in self.known_places.get(name) or self._answers.get(name) or ():
            owner = survey.owner(place)
            if owner:
                return owner
        return ()

    @cached_property
    def _survey(self) -> Survey:
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
            [program, "-c", SURVEY_CODE], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True
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


def program_code(program: str) -> bytes:
    """Return what a program of the interpreter in use runs if that is Python, as `pytest` is; b'' for another one."""
    beside = os.path.join(os.path.dirname(sys.executable), program)
    place = beside if "/" not in program and os.path.isfile(beside) else shutil.which(program)
    try:
        text = Path(place).read_bytes()[:_LARGEST_PROGRAM] if place else b""
    except OSError:
        return b""
    return text if re.match(rb"#!.*python|#!/bin/sh\n'''exec", text) else b""


# Its packages -------------------------------------------------------------------------------------------------------


def _survey(program: str) -> tuple[Survey, dict[str, Stamp]]:
    """Read the packages anew, and return them with the stamps of all that they were read from, taken before."""
    known = _run_survey_code(program)
    user_site = known.pop("user_site")
    stamps = {path: _stamp(path) for path in _watched(program, known["search"], user_site)}
    versions: dict[str, str] = {}
    requires: dict[str, list[str]] = {}
    providers: dict[str, list[str]] = {}
    homes: dict[str, str] = {}
    origins: dict[str, str] = {}
    compiled: list[str] = []
    for info in _infos(known["search"]):
        headers = _headers(info)
        name = _normal(next((value for key, value in headers if key == "Name"), ""))
        if not name or name in versions:
            continue
        versions[name] = _version(info, next((value for key, value in headers if key == "Version"), ""))
        homes[name] = str(info.parent)
        compiled += [name] if _is_compiled(info) else []
        if versions[name].endswith(EDITABLE) and _folder_of(info):
            origins[name] = _folder_of(info)
        requires[name] = sorted({_normal(line) for line in _required(info, headers)} - {""})
        for module in _modules(info, known["suffixes"]):
            providers.setdefault(module, []).append(name)
    found: dict[str, Any] = {
        "versions": versions,
        "requires": requires,
        "providers": providers,
        "compiled": compiled,
        "homes": homes,
        "origins": origins,
    }
    return Survey(**known, **found), stamps


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
        return version + EDITABLE
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


def _folder_of(info: Path) -> str:
    """Return the folder that an editable distribution was installed from, '' if it doesn't say."""
    url = urlsplit(str(_origin(info).get("url", "")))
    return unquote(url.path).rstrip("/") if url.scheme == "file" else ""


def _is_compiled(info: Path) -> bool:
    """Return whether a distribution says that it is for one platform; one that says nothing may be."""
    wheel = re.search(r"^Root-Is-Purelib:\s*(\w+)", _text(info / "WHEEL"), re.MULTILINE)
    return wheel is None or wheel[1].lower() != "true"


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
    names = {name if slash else stem(name, suffixes) for name, slash in parts}
    return {name for name in names if name.isidentifier() and name != "__pycache__"}


def _editable_modules(file: Path) -> set[str]:
    """Return the modules that an editable install's `.pth` file or import finder leads to."""
    if file.suffix == ".pth":
        folders = [os.path.join(file.parent, line) for line in _text(file).splitlines() if line]
        found = [(name, os.path.join(folder, name)) for folder in folders for name in _listed(folder)]
        return _top_levels((name + "/" * os.path.isdir(path) for name, path in found), (".py", ".so"))
    if re.fullmatch(r"__editable___.+_finder\.py", file.name):
        mapping = re.search(r"^MAPPING[^=]*= *(\{.*\})", _text(file), re.MULTILINE)
        return {top(name) for name in re.findall(r"'([\w.]+)' *:", mapping[1])} if mapping else set()
    return set()


# The cache ----------------------------------------------------------------------------------------------------------


def _load(file: Path) -> Survey | None:
    try:
        data = json.loads(file.read_bytes())
        if any(tuple(stamp) != _stamp(path) for path, stamp in data["marks"].items()):
            return None
        return Survey(**data["survey"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _save(file: Path, survey: Survey, stamps: Mapping[str, Stamp]) -> None:
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        make_folder(file.parent)
        unfinished.write_text(json.dumps({"marks": stamps, "survey": asdict(survey)}))
        os.replace(unfinished, file)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
