"""Binding: a step's definition, its source, parameters and data become a call with a fingerprint. No step runs here."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from stepwell.blocks.environments.packages import Packages, program_code
from stepwell.blocks.environments.survey import EDITABLE
from stepwell.blocks.processes.python_command import is_python, program_of, python_call, shell_commands, shell_text
from stepwell.blocks.source.ignore_rules import matching
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.keys.environment_rows import (
    distributions_behind,
    image_rows,
    inherited_rows,
    inherits,
    package_rows,
)
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.model.definitions import Argument, StepDefinition
from stepwell.model.digests import RECIPE, digest
from stepwell.model.fingerprint import ABSENT, CONTENT, PROBED, Fingerprint, Row
from stepwell.model.imports import Imports, find_imports
from stepwell.model.records import Artifact, OwnModule, StepCall
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Entry, Tree, listing

Keep = Callable[[str], str]
"""The absolute path of a module that people work on in; the digest of its kept copy out, '' if it can't be kept."""

_SHELL = "bash -eo pipefail, else sh -e"
_MOST_LINKS = 40
_NO_FILE = "\0command"


class Source:
    """A source directory at one moment: what its snapshot holds, and what the scripts in it import.

    `directory` is where people work on it; `root`, where what `tree` names can be read.
    """

    def __init__(self, root: Path, tree: Tree, directory: str = "") -> None:
        self.root = root
        self.tree = tree
        self._homes = {os.path.abspath(directory), os.path.realpath(directory)} if directory else set()
        self._imports: dict[tuple[str, bytes, Packages | None], Imports] = {}

    @cached_property
    def digest(self) -> str:
        """The snapshot's digest."""
        return self.tree.digest

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The snapshot's entries by path."""
        return {entry.path: entry for entry in self.tree.entries}

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders of the snapshot that hold something."""
        return frozenset(path[:end] for path in self.entries for end in range(len(path)) if path[end] == "/")

    def imports(self, script: str, packages: Packages | None = None, code: bytes = b"") -> Imports:
        """Return what the script imports, parsed once; `code` is that of a script that no file holds.

        `packages` tell where modules stand that are imported from where people work on them.
        """
        asked = script, code, packages
        if asked not in self._imports:
            self._imports[asked] = find_imports(
                script,
                self.entries.keys(),
                lambda path: code if code and path == script else read_bytes(self.root / path),
                (lambda names: self._located(packages.places_of(names))) if packages else None,
            )
        return self._imports[asked]

    def _located(self, places: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        return {name: [self.inside(path) or path for path in paths] for name, paths in places.items()}

    def inside(self, path: str) -> str:
        """Return the path in the snapshot of what stands at an absolute path, '' if it isn't in it."""
        for place in (path, os.path.realpath(path)):
            for home in self._homes:
                relative = place[len(home) + 1 :] if place.startswith(home + "/") else ""
                if relative and (relative in self.entries or relative in self.folders):
                    return relative
        return ""

    def resolve(self, path: str) -> str:
        """Return the path in its normal form, links on the way followed inside the snapshot."""
        for _ in range(_MOST_LINKS):
            parts = posixpath.normpath(path).split("/")
            for count in range(1, len(parts) + 1):
                entry = self.entries.get("/".join(parts[:count]))
                if entry is not None and entry.kind == "link":
                    path = posixpath.join(*parts[: count - 1], entry.digest, *parts[count:])
                    break
            else:
                return "/".join(parts)
        return path

    def content(self, path: str) -> str:
        """Return the row value of one file's content, of the names in a folder if `path` ends in `/`, or of a probe."""
        if path.endswith("/"):
            names = self.listing(path)
            return CONTENT + names.digest if names else ABSENT
        entry = self.entries.get(self.resolve(path))
        if entry is None or entry.kind != "file":
            return ABSENT if self.listing(path) is None else "folder"
        return "file" if path.endswith(PROBED) else CONTENT + entry.digest

    def listing(self, folder: str) -> Tree | None:
        """Return the names of what stands in a folder of the snapshot, None if there is no such folder."""
        place = self.resolve(folder)
        names = self.names(place)
        found = self.entries.get(place)
        return listing(names) if names or place == "." or (found and found.kind == "folder") else None

    def names(self, folder: str) -> set[str]:
        """Return the names of what stands in a folder of the snapshot."""
        start = "" if folder == "." else folder + "/"
        return {path[len(start) :].partition("/")[0] for path in self.entries if path.startswith(start)}

    def counts(self, path: str) -> bool:
        """Return whether a read of `path` counts: in the source or elsewhere, but not of a file that the step made."""
        return os.path.isabs(path) or path in self.entries or path.endswith(("/", PROBED))

    def outside(self, path: str) -> str:
        """Return where people work on what stands at a path in the snapshot."""
        return os.path.join(min(self._homes, default=""), path)

    def shell_script(self, path: str) -> str:
        """Return the text of a file if it is a shell script, else ''."""
        with suppress(OSError):
            text = read_bytes(self.root / path).decode("utf-8", "replace")
            if path.endswith((".sh", ".bash")) or re.match(r"#!.*\b(ba|da|z|k)?sh\b", text):
                return text
        return ""

    def below(self, path: str) -> Iterator[str]:
        """Yield the files at or below `path`."""
        clean = "" if path == "." else path.rstrip("/") + "/"
        return (name for name in self.entries if name == path or name.startswith(clean))


_WILDCARD = re.compile(r"[*?\[]")
EMPTY_SOURCE = Source(Path(os.devnull), Tree(()))


def bind(
    definition: StepDefinition,
    source: Source,
    values: Mapping[str, Value],
    inputs: Mapping[str, Artifact],
    packages: Packages,
    keep: Keep = lambda _: "",
) -> StepCall:
    """Return the call of a step with these parameters and inputs; raise UserErrorException if its script is missing."""
    shown = _visible_parameters(definition)
    texts = {p.name: as_text(values[p.name]) for p in definition.parameters if p.type != "data" or p.name in shown}
    rows = [Row("recipe", "", str(RECIPE)), Row("step type", "", definition.type)]
    own_code = find_own_code(definition, source, packages, keep)
    code = list(_code_rows(definition, source, packages, own_code))
    rows += code
    rows += _argument_rows(definition)
    rows += [_parameter_row(p.name, texts[p.name], p.secret) for p in definition.parameters if p.name in texts]
    rows += _port_rows(definition)
    rows += [
        Row("input", port.name, CONTENT + inputs[port.name].digest) for port in definition.inputs if port.name in inputs
    ]
    variables = definition.environment.variables
    rows += [Row("variable", name, CONTENT + digest("variable", variables[name])) for name in sorted(variables)]
    rows.append(Row("version", "", definition.version))
    declared = tuple(sorted({row.name for row in code if row.kind in ("script", "module", "file")}))
    return StepCall(definition, source.digest, dict(inputs), texts, Fingerprint(tuple(rows)), declared, own_code)


def _visible_parameters(definition: StepDefinition) -> set[str]:
    """Return the parameters whose text the script gets to see; data are otherwise known by content alone."""
    arguments = (*definition.arguments, *definition.params.values())
    return {piece.value for argument in arguments for piece in argument if piece.kind == "parameter"}


def with_reads(call: StepCall, paths: Iterable[str], content: Mapping[str, str]) -> StepCall:
    """Return the call, its fingerprint extended by files that no row declares, each with its content."""
    covered = {*call.declared, *paths}
    undeclared = sorted(set(paths) - set(call.declared))
    reads = tuple(Row("read", path, content[path]) for path in undeclared if not _is_told(path, covered))
    rows = call.fingerprint.without("read").rows + reads
    return replace(call, fingerprint=Fingerprint(rows))


def relied_on(call: StepCall, source: Source) -> set[str]:
    """Return the paths of the source that the call's rows tell of; folders end in `/`, '' is the whole source."""
    kinds = ("script", "module", "file", "read", "source directory")
    names = [row.name for row in call.fingerprint.rows if row.kind in kinds]
    return {*names, *(source.resolve(name) + "/" * name.endswith("/") for name in names if name)}


def relies(relied: set[str], path: str) -> bool:
    """Return whether one of these paths is that file, or a folder that it is in."""
    parts = path.split("/")
    above = {"/".join(parts[:count]) + "/" for count in range(1, len(parts))}
    return bool(relied & {"", "./", path, *above})


def _is_told(path: str, covered: set[str]) -> bool:
    """Return whether what a probe of `path` tells is told by another row: of the content, or of the folder's files."""
    probed = path.removesuffix(PROBED)
    return probed != path and (probed in covered or f"{probed}/" in covered)


def _code_rows(
    definition: StepDefinition, source: Source, packages: Packages, own_code: Iterable[OwnModule]
) -> Iterator[Row]:
    hashed = tuple(_hashed_files(definition, source))
    environment = definition.environment
    yield from image_rows(environment)
    if environment.isolated:
        yield from package_rows(environment, packages.python_version)
    if definition.script is None:
        yield from _command_code_rows(definition, source, packages, own_code)
        named = [path for path in map(source.resolve, words_of(definition)) if path in source.entries]
        if definition.hash_paths:
            yield from (Row("file", path, source.content(path)) for path in sorted({*hashed, *named}))
        elif source.tree.entries:
            yield Row("source directory", "", CONTENT + source.digest)
        return
    script = posixpath.normpath(definition.script)
    if source.content(script) == ABSENT:
        raise UserErrorException(
            f"Step [{definition.id}]: script not found at: {definition.script}",
            {"source directory": definition.source_directory},
            "Correct `script_name` or `source_directory`, or stop ignoring the file.",
        )
    imports = imports_of(definition, source, packages)
    if inherits(definition):
        yield Row("python", "", packages.python_version)
        yield from inherited_rows(imports.foreign, packages, own_code)
    yield Row("script", script, source.content(script))
    yield from (Row("module", path, source.content(path)) for path in imports.local)
    covered = {script, *imports.local}
    yield from (Row("file", path, source.content(path)) for path in hashed if path not in covered)


# What is imported -------------------------------------------------------------------------------------------------------


def imports_of(definition: StepDefinition, source: Source, packages: Packages) -> Imports:
    """Return what a step's script, or the Python code of its command, imports as far as can be told."""
    known = packages if inherits(definition) else None
    if definition.script is not None:
        return source.imports(posixpath.normpath(definition.script), known)
    found = [source.imports(script, known, code) for script, code in command_code(definition, source)]
    together = [tuple(sorted({name for each in found for name in getattr(each, field)})) for field in _IMPORTS]
    return Imports(*together)


_IMPORTS = ("local", "foreign", "unparsed", "required", "places")


def find_own_code(definition: StepDefinition, source: Source, packages: Packages, keep: Keep) -> tuple[OwnModule, ...]:
    """Return the modules that a step imports from where people work on them, those outside of its source kept."""
    if not (inherits(definition) and source.tree.entries):
        return ()
    imports = imports_of(definition, source, packages)
    places = {(name, path) for name, path in imports.places if name != "stepwell"}
    required = [
        name for name, version in distributions_behind(imports.foreign, packages).items() if version.endswith(EDITABLE)
    ]
    more = packages.places_of(packages.modules_of(set(required) - {"stepwell"})) if required else {}
    places |= {(name, source.inside(path) or path) for name, paths in more.items() for path in paths}
    found = [OwnModule(name, source.outside(path)) for name, path in sorted(places) if not os.path.isabs(path)]
    kept = ((name, path, keep(path)) for name, path in sorted(places) if os.path.isabs(path))
    return (*found, *(OwnModule(name, path, digest) for name, path, digest in kept if digest))


# Commands ---------------------------------------------------------------------------------------------------------------


def _command_code_rows(
    definition: StepDefinition, source: Source, packages: Packages, own_code: Iterable[OwnModule]
) -> Iterator[Row]:
    code = list(command_code(definition, source))
    imports = imports_of(definition, source, packages)
    if code and inherits(definition):
        yield Row("command python", "", packages.python_version)
        yield from inherited_rows(imports.foreign, packages, own_code, kind="command package")
    scripts = {script for script, text in code if not text}
    yield from (Row("script", path, source.content(path)) for path in sorted(scripts))
    yield from (Row("module", path, source.content(path)) for path in imports.local if path not in scripts)


def command_code(definition: StepDefinition, source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts of a command, or code that imports what it runs under the name of no file."""
    for folder, words in _commands(definition, source):
        at = next((number for number, word in enumerate(words) if is_python(word)), None)
        call = python_call(words[at:]) if at is not None else None
        if call and call.module:
            yield posixpath.join(folder, _NO_FILE), f"import {call.module}\nimport {call.module}.__main__\n".encode()
        elif call and call.code:
            yield posixpath.join(folder, _NO_FILE), call.code.encode("utf-8", "replace")
        elif at is None:
            program = program_code(words[0])
            if program:
                yield posixpath.join(folder, _NO_FILE), program
        scripts = (
            source.resolve(posixpath.join(folder, word))
            for word in words
            if word.endswith(".py") or word == (call and call.script)
        )
        yield from ((path, b"") for path in scripts if path in source.entries)


def uncovered_programs(definition: StepDefinition, source: Source) -> tuple[str, ...]:
    """Return the programs of a command of which no row tells the version, unless its environment does."""
    if definition.script is not None or not inherits(definition):
        return ()
    programs = {program_of(words): folder for folder, words in _commands(definition, source)}
    return tuple(
        program
        for program, folder in sorted(programs.items())
        if program
        and source.resolve(posixpath.join(folder, program)) not in source.entries
        and not program_code(program)
    )


def _commands(definition: StepDefinition, source: Source) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the folder and the words of each command, also those of shell scripts in the source that it starts."""
    texts = [
        "".join(piece.value if piece.kind == "text" else "\0" for piece in argument)
        for argument in definition.arguments
    ]
    waiting = [("", words) for words in (shell_commands("\n".join(texts)) if definition.shell else [tuple(texts)])]
    seen = set[object]()
    while waiting:
        folder, words = waiting.pop(0)
        if (folder, words) in seen or not words:
            continue
        seen.add((folder, words))
        yield folder, words
        text = shell_text(words)
        if text is None:
            named = (source.resolve(posixpath.join(folder, word)) for word in words[:2])
            text = next((source.shell_script(path) for path in named if path in source.entries), "")
        for inner in shell_commands(text or ""):
            if inner[0] == "cd" and inner[1:]:
                folder = posixpath.normpath(posixpath.join(folder, inner[1]))
            waiting.append((folder, inner))


def words_of(definition: StepDefinition) -> Iterator[str]:
    """Yield the words of a command that may name files of its source."""
    for piece in (piece for argument in definition.arguments for piece in argument if piece.kind == "text"):
        try:
            yield from shlex.split(piece.value) if definition.shell else (piece.value,)
        except ValueError:
            yield from piece.value.split()


def _hashed_files(definition: StepDefinition, source: Source) -> Sequence[str]:
    """Return the files that `hash_paths` names: by path, by pattern, and without those of a pattern that begins with `!`."""
    found: list[str] = []
    for path in definition.hash_paths:
        relative = posixpath.normpath(
            os.path.relpath(path, definition.source_directory) if os.path.isabs(path) else path
        )
        files = sorted(source.below(source.resolve(relative)))
        if not files and path.startswith("!"):
            left_out = set(matching(path[1:], found))
            found = [file for file in found if file not in left_out]
            continue
        if not files and _WILDCARD.search(path):
            pattern = relative + "/" * path.endswith("/") if os.path.isabs(path) else path.removeprefix("./")
            files = sorted(matching(pattern, source.entries))
        if not files:
            what = "No file of the source directory matches a pattern" if _WILDCARD.search(path) else "A path"
            there = "" if _WILDCARD.search(path) else " is not in the source directory"
            raise SnapshotException(
                f"{what} in `hash_paths` of step {definition.id!r}{there}",
                {"path": path, "source directory": definition.source_directory},
                "Correct the path, or stop ignoring it.",
            )
        found += files
    return found


def _argument_rows(definition: StepDefinition) -> Iterator[Row]:
    if definition.shell:
        yield Row("shell", "", shlex.join(definition.shell_command) or _SHELL)
    for position, argument in enumerate(definition.arguments, 1):
        yield Row("argument", str(position), template(argument))
    for name, argument in definition.params.items():
        yield Row("param", name, template(argument))


def template(argument: Argument) -> str:
    """Return the argument with a placeholder for each value, as in `{parameter:rate}`; distinct arguments differ."""
    return "".join(
        piece.value.replace("{", "{{") if piece.kind == "text" else f"{{{piece.kind}:{piece.value}}}"
        for piece in argument
    )


def _parameter_row(name: str, text: str, secret: bool) -> Row:
    return Row("parameter", name, CONTENT + digest("secret", [name, text]) if secret else text)


def _port_rows(definition: StepDefinition) -> Iterator[Row]:
    for port in definition.inputs:
        yield Row("way of input", port.name, " ".join(filter(None, (port.mode, port.path_on_compute))))
    for output in definition.outputs:
        yield Row("output", output.name, " ".join(filter(None, (output.mode, output.path_on_compute, output.variable))))
