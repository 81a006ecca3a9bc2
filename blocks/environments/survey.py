"""A survey of an interpreter: its distributions, and where it finds modules, by its search path or by import hooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SECONDS = 60.0
"""How long an import hook may take to find a module: some build what they find."""

EDITABLE = " editable"
"""Ends the version of a distribution whose files are those that people work on."""

SURVEY_CODE = """
import importlib.machinery, json, os, site, sys, sysconfig
name = sys.implementation.name
paths = sysconfig.get_paths()
installed = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib") if kind in paths]
installed += [os.path.dirname(os.__file__), *getattr(site, "getsitepackages", list)()]
usual = ("_frozen_importlib", "_frozen_importlib_external", "_distutils_hack")
hooks = [finder for finder in sys.meta_path if getattr(finder, "__module__", "") not in usual]
archives = [path for path in sys.path if os.path.isfile(path)]
print("\\n" + json.dumps({
    "python": sys.version.split()[0] + getattr(sys, "abiflags", "") + ("" if name == "cpython" else " " + name),
    "platform": sys.platform + "-" + os.uname().machine,
    "search": [path for path in sys.path if path],
    "user_site": site.getusersitepackages() if site.ENABLE_USER_SITE else "",
    "installed": sorted(set(installed)),
    "hooked": bool(hooks or archives),
    "standard": sorted(set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))),
    "suffixes": importlib.machinery.all_suffixes(),
}))
"""
"""What an interpreter runs to say where it looks for modules."""

_ASK_CODE = """
import importlib.util, json, os, sys
sys.path[:] = [path for path in sys.path if path]
found = {}
for name in sys.argv[1:]:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:
        spec = None
    if spec is not None:
        origin = spec.origin if spec.has_location or os.path.exists(str(spec.origin)) else None
        found[name] = [origin and str(origin), [str(place) for place in spec.submodule_search_locations or ()]]
sys.stdout.write("\\n" + json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one interpreter can import, and from where."""

    python: str
    platform: str
    """The system and the processor's kind, such as `linux-x86_64`."""
    search: Sequence[str]
    standard: Sequence[str]
    suffixes: Sequence[str]
    versions: Mapping[str, str]
    """Distribution to version."""
    requires: Mapping[str, Sequence[str]]
    """Distribution to distributions, installed or not."""
    providers: Mapping[str, Sequence[str]]
    """Top-level module to the distributions that hold (parts of) it."""
    installed: Sequence[str]
    """Folders where modules are installed for good: Python's own, and those of packages."""
    hooked: bool
    """Whether imports find what no folder of the search path holds."""
    compiled: Sequence[str]
    """Distributions that hold code for one platform, or may do so."""
    homes: Mapping[str, str]
    """Distribution to the folder that holds its description."""
    origins: Mapping[str, str]
    """Editable distribution to the folder that it was installed from, where that is known."""

    @property
    def own_folders(self) -> Sequence[str]:
        """The folders of the search path where people keep modules of their own."""
        return [folder for folder in self.search if not self.is_installed(folder) and os.path.isdir(folder)]

    def is_installed(self, path: str) -> bool:
        """Return whether a path is among what is installed for good."""
        inside = f"{path}/"
        return any(inside.startswith(f"{folder}/") for folder in self.installed) or bool(
            re.search("/(site|dist)-packages/|/python[0-9]+[.]zip/", inside)
        )

    def is_editable(self, distribution: str) -> bool:
        """Return whether a distribution is installed in such a way that its files are those that people work on."""
        return self.versions.get(distribution, "").endswith(EDITABLE)

    def holds(self, folder: str, name: str) -> bool:
        """Return whether a distribution is installed in that very folder, for good, and has that module."""
        return any(
            self.homes.get(each) == folder and not self.is_editable(each) for each in self.providers.get(name, ())
        )

    def owner(self, place: str) -> Sequence[str]:
        """Return the distributions that a place belongs to."""
        for folder in self.search:
            if place.startswith(f"{folder}/"):
                name = place[len(folder) + 1 :].partition("/")[0]
                return self.providers.get(stem(name, self.suffixes) or name, ())
        inside = [name for name, folder in self.origins.items() if f"{place}/".startswith(f"{folder}/")]
        return sorted(inside, key=lambda name: -len(self.origins[name]))[:1]

    def provides(self, name: str) -> bool:
        """Return whether an import of that top-level module finds something."""
        return name in self.providers or name in self.standard or any(self._found(name, path) for path in self.search)

    def _found(self, name: str, folder: str) -> bool:
        file = os.path.join(folder, name)
        return os.path.isdir(file) or any(os.path.isfile(file + suffix) for suffix in self.suffixes)


def top(module: str) -> str:
    """Return the first part of a module's name."""
    return module.partition(".")[0]


def stem(name: str, suffixes: Sequence[str]) -> str:
    """Return the name of the module in a file, '' if there is none."""
    return name.partition(".")[0] if name.endswith(tuple(suffixes)) else ""


# Where modules stand ------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """The absolute path of a module: the folder of a package, the file of a module, or the archive that holds it.

    `whole`: nothing of that name is looked for elsewhere, as it would be for a package without `__init__`.
    """

    path: str
    whole: bool


def place_in(folder: str, name: str, suffixes: Sequence[str]) -> Place | None:
    """Return where a folder of the search path holds a top-level module, None if it doesn't."""
    path = os.path.join(folder, name)
    for suffix in suffixes:
        if os.path.isfile(os.path.join(path, "__init__" + suffix)):
            return Place(path, True)
    for suffix in suffixes:
        if os.path.isfile(path + suffix):
            return Place(path + suffix, True)
    return Place(path, False) if os.path.isdir(path) else None


def ask(program: str, modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Ask an interpreter where it finds each of these modules, and return the places of those that it finds.

    A module that stands nowhere, since it is built in, has none. An interpreter that can't tell finds nothing.
    """
    names = sorted(set(modules))
    if not names:
        return {}
    try:
        answer = subprocess.run(
            [program, "-c", _ASK_CODE, *names],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        return {name: _places(*found[name]) for name in names if name in found}
    except (OSError, ValueError, IndexError, TypeError, subprocess.SubprocessError):
        return {}


def _places(origin: str | None, folders: list[str]) -> tuple[str, ...]:
    """Return the folders of a package that are there; else that of its `__init__`, or the module's file or archive."""
    real = [folder for folder in folders if os.path.isdir(folder)]
    if real:
        return tuple(map(os.path.abspath, real))
    if not origin:
        return ()
    path = os.path.abspath(origin)
    while not os.path.exists(path) and len(path) > 1:  # a name inside an archive
        path = os.path.dirname(path)
    if os.path.isfile(path) and os.path.basename(path).startswith("__init__."):
        path = os.path.dirname(path)
    return (path,) if len(path) > 1 else ()
