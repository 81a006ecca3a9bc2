"""Packages of other distributions that go with Stepwell to wherever scripts run, as the names of another library do.

A distribution names them as entry points of the group `stepwell.companions`. They stand on the standard library and
Stepwell, and decide a result as little as Stepwell itself does.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "stepwell.companions"


@dataclass(frozen=True, slots=True)
class Companion:
    """A package: its `name`, the `distribution` that brings it (normalised), and its files by their path in a bundle."""

    name: str
    distribution: str
    folder: Path
    files: dict[str, Path]


def companions() -> tuple[Companion, ...]:
    """Return the packages that installed distributions let go with Stepwell, by name."""
    return _found_along(tuple(sys.path))


@cache
def _found_along(path: tuple[str, ...]) -> tuple[Companion, ...]:
    """Return those along the path of modules, of whose places only those with distributions count."""
    return _companions(tuple(place for place in map(os.path.abspath, path) if _has_distributions(place)))


@cache
def _has_distributions(place: str) -> bool:
    try:
        return any(name.endswith((".dist-info", ".egg-info")) for name in os.listdir(place))
    except OSError:
        return False


@cache
def _companions(_: tuple[str, ...]) -> tuple[Companion, ...]:
    found = (_companion(entry) for entry in entry_points(group=GROUP))
    return tuple(sorted((one for one in found if one), key=lambda one: one.name))


def companion_names() -> frozenset[str]:
    """Return the names of the packages that go with Stepwell."""
    return frozenset(one.name for one in companions())


def companion_distributions() -> frozenset[str]:
    """Return the distributions that bring them."""
    return frozenset(one.distribution for one in companions())


def _companion(entry: EntryPoint) -> Companion | None:
    """Return the package; None if it can't be found."""
    name, distribution = entry.value, entry.dist
    files = _installed(distribution, name) if distribution else {}
    if not files:  # its files are those that people work on
        spec = find_spec(name)
        folders = list(spec.submodule_search_locations or ()) if spec and spec.origin else []
        files = {
            os.path.join(name, path.relative_to(folder)): path
            for folder in folders
            for path in sorted(Path(folder).rglob("*.py"))
        }
    first = files.get(f"{name}/__init__.py")
    owner = re.sub(r"[-_.]+", "-", distribution.name if distribution else name).lower()
    return Companion(name, owner, first.parent, files) if first else None


def _installed(distribution: Distribution, name: str) -> dict[str, Path]:
    """Return the package's files that the distribution itself brought, whatever else stands beside them."""
    paths = [str(path) for path in distribution.files or () if path.parts[0] == name and path.suffix == ".py"]
    found = {path: Path(str(distribution.locate_file(path))) for path in paths}
    return found if all(place.is_file() for place in found.values()) else {}
