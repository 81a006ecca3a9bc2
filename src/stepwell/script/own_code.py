"""The code that people work on, taken from its kept copies whatever leads to it; and the packages that a process imported.

`redirect` makes the running Python import from copies what stands in folders where people work: entries of `sys.path`
(PYTHONPATH, `.pth` files) and what the import hooks of editable installs find lead into the copies. What a copy lacks,
since an ignore file lists it, is still found where it is. Every Python that a script starts does the same, by
`children/sitecustomize.py`.

This file stands alone, like the launcher: it runs wherever there is a Python >= 3.8, without Stepwell.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

_external = sys.modules["_frozen_importlib_external"]
_PathFinder, _from_file, _Spec = _external.PathFinder, _external.spec_from_file_location, type(sys.__spec__)
_USUAL = ("_frozen_importlib", "_frozen_importlib_external", "_distutils_hack", __name__)
_INSTALLED = ("/site-packages/", "/dist-packages/")


def begin(
    pairs: Iterable[Sequence[str]],
    modules: Mapping[str, str],
    notes: str,
    paths: Iterable[str] = (),
    before: Collection[str] | None = None,
) -> None:
    """Redirect imports, and note the packages that this process imports from now on, or since `before`.

    `paths` are the folders of Stepwell, which imports look through last.
    """
    import atexit

    atexit.register(note_packages, notes, frozenset(sys.modules if before is None else before))
    redirect(pairs, modules)
    sys.path.extend(path for path in paths if path not in sys.path)


def redirect(pairs: Iterable[Sequence[str]], modules: Mapping[str, str]) -> None:
    """Import from copies what stands in the folders, files or archives of `pairs`, each with its copy.

    `modules` are copies of top-level modules, for where nothing leads to them.
    """
    copies = _Copies(pairs)
    moved = [copies.of(path) or path for path in sys.path]
    left = [path for path, now in zip(sys.path, moved) if path != now]  # noqa: B905  (Python 3.8 knows no strict)
    sys.path[:] = moved
    found = [_Hook(finder, copies) if _is_hook(finder) else finder for finder in sys.meta_path]
    place = found.index(_PathFinder) if _PathFinder in found else len(found)
    sys.meta_path[:] = [*found[:place], _First(copies, modules), *found[place:], _Last(copies, modules, left)]


def note_packages(notes: str, before: Collection[str]) -> None:
    """Append the top-level names of installed modules to the file `notes`, without those that were there `before`."""
    try:
        names = {name.partition(".")[0] for name in list(sys.modules) if name not in before}
        found = sorted(name for name in names if _is_installed(sys.modules.get(name)))
        if found:
            descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.write(descriptor, ("\n".join(found) + "\n").encode("utf-8", "replace"))
            finally:
                os.close(descriptor)
    except Exception:  # noqa: BLE001, S110  (it must not change how a script ends)
        pass


def _is_installed(module: Any) -> bool:
    places = [getattr(module, "__file__", None), *list(getattr(module, "__path__", None) or ())]
    return any(mark in f"{place}/" for place in places if place for mark in _INSTALLED)


def _is_hook(finder: Any) -> bool:
    return getattr(finder, "__module__", "") not in _USUAL


# ----------------------------------------------------------------------------------------------------------------------


class _Copies:
    """Places where people work, and their copies; the innermost place counts."""

    def __init__(self, pairs: Iterable[Sequence[str]]) -> None:
        both = {place: copy for place, copy in pairs if place != "/"}
        both.update({os.path.realpath(place): copy for place, copy in list(both.items())})
        self._pairs = sorted(both.items(), key=lambda pair: -len(pair[0]))

    def of(self, path: Any) -> str | None:
        """Return the path in the copy, None if it leads to none, or the copy has nothing there."""
        for live, copy in self._pairs if isinstance(path, str) else ():
            if path == live or path.startswith(live + "/"):
                there = copy + path[len(live) :]
                return there if os.path.exists(there) or os.path.isfile(copy) else None
        return None

    def origin(self, path: str) -> str | None:
        """Return the path that a path in a copy was made from, None if it is in none."""
        for live, copy in self._pairs:
            if path.startswith(copy + "/"):
                return live + path[len(copy) :]
        return None

    def spec(self, spec: Any) -> Any:
        """Return the spec of the same module in the copy, or the spec itself."""
        folders = spec.submodule_search_locations
        inner = None if folders is None else [self.of(folder) or folder for folder in folders]
        if spec.loader is None or spec.origin is None or not spec.has_location:
            if inner is None or inner == list(folders):
                return spec
            copied = _Spec(spec.name, spec.loader, origin=spec.origin, is_package=True)
            copied.submodule_search_locations = inner
            return copied
        origin = self.of(spec.origin)
        if origin is None or not os.path.isfile(origin):
            return spec
        if inner is not None and os.path.dirname(origin) not in inner:
            inner.insert(0, os.path.dirname(origin))
        return _from_file(spec.name, origin, submodule_search_locations=inner) or spec


class _First:
    """Finds, before Python's own finder does, what is in a copy."""

    def __init__(self, copies: _Copies, modules: Mapping[str, str]) -> None:
        self._copies = copies
        self._modules = modules

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a module that stands in a copy, if Python would find it where people work."""
        entries = list(sys.path if path is None else path)
        moved = [self._copies.of(entry) or entry for entry in entries]
        if moved == entries and not (path is None and name in self._modules):
            return None
        spec = _PathFinder.find_spec(name, moved, target)
        return spec if spec is None else self._copies.spec(spec)


class _Hook:
    """An import hook whose findings lead into the copies."""

    def __init__(self, finder: Any, copies: _Copies) -> None:
        self._finder = finder
        self._copies = copies

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return what the hook finds, in its copy if there is one."""
        find = getattr(self._finder, "find_spec", None)
        spec = find(name, path, target) if find else None
        return spec if spec is None else self._copies.spec(spec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


class _Last:
    """Finds what nothing leads to, and what a copy lacks where it was made from."""

    def __init__(self, copies: _Copies, modules: Mapping[str, str], left: list[str]) -> None:
        self._copies = copies
        self._modules = modules
        self._left = left

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a module that nothing else found."""
        if path is not None:
            origins = [self._copies.origin(entry) for entry in path if isinstance(entry, str)]
            return _PathFinder.find_spec(name, [entry for entry in origins if entry], target)
        place = self._modules.get(name)
        if place is None or not os.path.exists(place):
            return _PathFinder.find_spec(name, self._left, target) if self._left else None
        package = os.path.join(place, "__init__.py")
        if os.path.isfile(package):
            return _from_file(name, package, submodule_search_locations=[place])
        if os.path.isfile(place):
            return _from_file(name, place) or _PathFinder.find_spec(name, [place], target)
        spec = _Spec(name, None, is_package=True)
        spec.submodule_search_locations = [place]
        return spec
