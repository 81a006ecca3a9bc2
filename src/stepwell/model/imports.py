"""Which local modules a script imports, and which foreign ones, found without running anything."""

from __future__ import annotations

import ast
import posixpath
import re
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

_EXTENSIONS = (".so", ".pyd")
_LOADERS = {"import_module", "__import__"}
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_NEVER_FOREIGN = sys.stdlib_module_names | {"__main__"}

_FINDS_MORE = re.compile(
    rb"\bsys\s*\.\s*(?:path|modules|meta_path|exit)\b|\bfrom\s+sys\b|\baddsitedir\b|\b(?:pip|conda|uv)\b|\bazureml\b"
)
"""What a script may do to its own imports: look elsewhere, install, end before them, or lean on what stands in for it."""

_warnings_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Imports:
    """Sorted: local modules without the script, foreign top-level names, and local files that can't be parsed.

    `required` are those foreign names that the script can't start without, each with the file that imports it.
    `places` are those that were asked for: names of modules, each with a path, which is absolute outside of the files.
    """

    local: tuple[str, ...]
    foreign: tuple[str, ...]
    unparsed: tuple[str, ...]
    required: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[str, str], ...] = ()


Locate = Callable[[Iterable[str]], Mapping[str, Iterable[str]]]
"""Names of top-level modules in; where those stand that are no installed ones out, as relative or absolute paths."""


def find_imports(
    script: str, files: Collection[str], read: Callable[[str], bytes], locate: Locate | None = None
) -> Imports:
    """Find all that `script` may import, directly or through local modules.

    `files` are relative `/`-paths, and `read` returns the bytes of one. Modules are sought in the script's folder, then
    at the root, then where `locate` says; a local one wins over a library of its name. Imports in functions, conditions
    and `try` count, as do literal `import_module("name")` and `__import__("name")`; a star import of a package counts
    as all its modules.
    """
    parsed: dict[str, _Parsed] = {}

    def requests(file: str) -> _Parsed:
        if file not in parsed:
            parsed[file] = _requests(file, read)
        return parsed[file]

    asked, places = set[str](), dict[str, tuple[str, ...]]()
    while True:
        found = _find(posixpath.normpath(script), files, requests, places)
        new = set(found.foreign) - asked
        located = locate(new) if locate and new else {}
        asked |= new
        places |= {name: tuple(paths) for name, paths in located.items()}
        if not any(_is_inside(path) for paths in located.values() for path in paths):
            named = {(name, path) for name, paths in places.items() for path in paths}
            return replace(found, places=tuple(sorted(named)))


def _is_inside(path: str) -> bool:
    return not posixpath.isabs(path)


def _find(
    script: str, files: Collection[str], parse: Callable[[str], _Parsed], places: Mapping[str, tuple[str, ...]]
) -> Imports:
    search = _Search(files, (posixpath.dirname(script), ""), places)
    seen, foreign, unparsed = {script}, set[str](), set[str]()
    certain: dict[str, _Certain | None] = {}
    waiting = [script]
    while waiting:
        file = waiting.pop()
        requests, certain[file] = parse(file)
        if requests is None:
            unparsed.add(file)
            continue
        for request in requests:
            found = search.files_for(request, posixpath.dirname(file))
            if not found and not request.level:
                foreign.add(request.module.partition(".")[0])
            new = found - seen
            seen |= new
            waiting += [path for path in new if path.endswith(".py")]
    required = _required(script, certain, search, _words_of(files) | _NEVER_FOREIGN)
    return Imports(
        tuple(sorted(seen - {script})), tuple(sorted(foreign - _NEVER_FOREIGN)), tuple(sorted(unparsed)), required
    )


def _required(
    script: str, certain: Mapping[str, _Certain | None], search: _Search, excused: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Find the foreign names that every start of the script imports; none if it may change what can be imported."""
    found: dict[str, str] = {}
    seen, waiting = {script}, [script]
    while waiting:
        file = waiting.pop(0)
        requests = certain.get(file)
        if requests is None:
            return ()
        for request in requests:
            paths = search.files_for(request, posixpath.dirname(file))
            if not paths and not request.level:
                found.setdefault(request.module.partition(".")[0], file)
            new = sorted(path for path in paths - seen if path.endswith(".py"))
            seen.update(new)
            waiting += new
    return tuple(sorted((name, file) for name, file in found.items() if name not in excused))


def _words_of(files: Iterable[str]) -> set[str]:
    """Return the names of all folders and files: what a script may find by means that can't be seen."""
    return {part.partition(".")[0] for path in files for part in path.split("/")}


class _Request(NamedTuple):
    """`from <level dots><module> import <names>`; no names for a plain import."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


_Certain = tuple[_Request, ...]
"""What the top level of a file imports, whatever happens."""

_Parsed = tuple[list[_Request] | None, _Certain | None]


# From names to files ------------------------------------------------------------------------------------------------


class _Search:
    """An index of the files that can be imported, by folder and name."""

    def __init__(self, files: Collection[str], folders: tuple[str, ...], places: Mapping[str, tuple[str, ...]]) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._files = files
        self._places = places
        self._modules: dict[str, dict[str, list[str]]] = {}
        for path in files:
            folder, _, name = path.rpartition("/")
            if name.endswith((".py", *_EXTENSIONS)):
                stem = name.removesuffix(".py") if name.endswith(".py") else name.partition(".")[0]
                self._folder(folder).setdefault(stem, []).append(path)

    def _folder(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._modules:
            self._modules[folder] = {}
            if folder:
                self._folder(folder.rpartition("/")[0])  # so that folders of folders are known as packages too
        return self._modules[folder]

    def files_for(self, request: _Request, folder: str) -> set[str]:
        """Return the files that run for an import in a file of `folder`."""
        names = request.module.split(".") if request.module else []
        if not request.level:
            return self._first([names, *([*names, name] for name in request.names)])
        parts = folder.split("/") if folder else []
        up = request.level - 1
        if up > len(parts):
            return set()
        base = "/".join(parts[: len(parts) - up])
        chains = [names, *([*names, name] for name in request.names)]
        return self._package(base) | {path for chain in chains for path in self._chain(base, chain)}

    def _first(self, chains: list[list[str]]) -> set[str]:
        """Return the chains' files in the first folder with a module of the first name; of all if it's no package."""
        top, found = chains[0][0], set[str]()
        for folder in self._folders:
            here = {path for chain in chains for path in self._chain(folder, chain)}
            if self._module(folder, top):
                return here
            found |= here
        for place in self._places.get(top, ()) if not found else ():
            found |= {path for chain in chains for path in self._at(place, chain)}
        return set() if top in sys.stdlib_module_names else found

    def _at(self, place: str, names: list[str]) -> Iterator[str]:
        """Yield the files of a chain whose first module stands at a place."""
        if place in self._files:
            yield place
        elif place in self._modules:
            yield from self._package(place)
            yield from self._chain(place, names[1:])

    def _chain(self, folder: str, names: list[str]) -> Iterator[str]:
        for name in names:
            if name == "*":
                yield from self._all(folder)
                return
            yield from self._module(folder, name)
            folder = posixpath.join(folder, name)
            if folder not in self._modules:
                return

    def _module(self, folder: str, name: str) -> list[str]:
        package = self._package(posixpath.join(folder, name))
        return list(package) or self._modules.get(folder, {}).get(name, [])

    def _package(self, folder: str) -> set[str]:
        return set(self._modules.get(folder, {}).get("__init__", []))

    def _all(self, folder: str) -> Iterator[str]:
        for name in self._modules.get(folder, {}):
            yield from self._module(folder, name)
        below = folder + "/" if folder else ""
        for other in self._modules:
            if other.startswith(below) and "/" not in other[len(below) :] and other != folder:
                yield from self._package(other)


# From files to names ------------------------------------------------------------------------------------------------


def _requests(file: str, read: Callable[[str], bytes]) -> _Parsed:
    """Return what a file imports, None if it can't be parsed; and what it can't be without, None if that is unsure."""
    try:
        source = read(file)
        with _warnings_lock, warnings.catch_warnings():  # a bad escape in a script is not ours to report
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        has_calls = any(name.encode() in source for name in _LOADERS)
        nodes = list(ast.walk(tree) if has_calls else _statements(tree))
        loaders = _aliases(nodes)
        certain = None if _FINDS_MORE.search(source) else tuple(_of_top_level(tree))
        return [request for node in nodes for request in _of_node(node, loaders)], certain
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None, None


def _of_top_level(tree: ast.Module) -> Iterator[_Request]:
    for node in tree.body:
        for request in _of_node(node, set()) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            yield request._replace(names=tuple(name for name in request.names if name != "*"))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement, at any depth; expressions, which are most of a tree, are passed over."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in _BLOCKS:
            children = getattr(node, block, None)
            if isinstance(children, list):
                waiting += children


def _aliases(nodes: Iterable[ast.AST]) -> set[str]:
    names = [name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names]
    return _LOADERS | {name.asname for name in names if name.asname and name.name in _LOADERS}


def _of_node(node: ast.AST, loaders: set[str]) -> Iterator[_Request]:
    if isinstance(node, ast.Import):
        yield from (_Request(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield _Request(node.module or "", tuple(alias.name for alias in node.names), node.level)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, loaders)


def _of_call(node: ast.Call, loaders: set[str]) -> Iterator[_Request]:
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    name = _literal(node.args[0] if node.args else keywords.get("name"))
    if called not in loaders or not name.strip("."):
        return
    level = len(name) - len(name.lstrip("."))
    package = _literal(node.args[1] if len(node.args) > 1 else keywords.get("package"))
    if level and package:
        parts = package.split(".")
        yield _Request(".".join([*parts[: len(parts) - level + 1], name.lstrip(".")]))
    else:
        yield _Request(name.lstrip("."), level=level)


def _literal(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
