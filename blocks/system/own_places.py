"""Where Stepwell itself stands, and keeps what is its own: what is read there is no dependency of a step."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from stepwell.blocks.system.companions import companions
from stepwell.blocks.system.home import home

_PACKAGES = ("stepwell", "stepwell.blocks", "stepwell.flows", "stepwell.deployments")


class OwnPlaces:
    """The folders of Stepwell's code, of its home, and `more`; without those of people's `data`, though they lie within."""

    def __init__(self, more: Iterable[Path] = (), data: Iterable[Path] = ()) -> None:
        own = {place: True for path in (*_code(), home(), *more) for place in _spellings(path)}
        people = {place: False for path in data for place in _spellings(path)}
        self._places = sorted({**people, **own}.items(), key=lambda known: len(known[0]), reverse=True)

    def hold(self, path: str) -> bool:
        """Return whether the innermost of the folders that holds the path is Stepwell's."""
        inside = path.rstrip("/") + "/"
        return next((own for place, own in self._places if inside.startswith(place)), False)


@cache
def _code() -> tuple[Path, ...]:
    """Return the folders of the installed package, which are several where people work on it, and of what goes with it."""
    found = [companion.folder for companion in companions()]
    for name in _PACKAGES:
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name)
            found += [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    return tuple(found)


def _spellings(path: Path) -> tuple[str, ...]:
    """Return the path and what it resolves to, each with one slash at its end; none for the root of all."""
    both = dict.fromkeys((os.path.abspath(path), os.path.realpath(path)))
    return tuple(f"{place}/" for place in both if place != "/")
