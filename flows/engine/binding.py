"""Binding: a step's definition, its source, parameters and data become a call with a fingerprint. No step runs here."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.source.ignore_rules import matching
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.engine.environment_rows import image_rows, package_rows
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.model.definitions import Argument, StepDefinition
from stepwell.model.digests import RECIPE, digest
from stepwell.model.fingerprint import ABSENT, CONTENT, PROBED, Fingerprint, Row
from stepwell.model.imports import Imports, find_imports
from stepwell.model.records import Artifact, StepCall
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Entry, Tree, listing

_SHELL = "bash -eo pipefail, else sh -e"
_MOST_LINKS = 40


class Source:
    """A source directory at one moment: what its snapshot holds, and what the scripts in it import."""

    def __init__(self, root: Path, tree: Tree) -> None:
        self.root = root
        self.tree = tree
        self._imports: dict[str, Imports] = {}

    @cached_property
    def digest(self) -> str:
        """The snapshot's digest."""
        return self.tree.digest

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The snapshot's entries by path."""
        return {entry.path: entry for entry in self.tree.entries}

    def imports(self, script: str) -> Imports:
        """Return what the script imports, parsed once."""
        if script not in self._imports:
            self._imports[script] = find_imports(script, self.entries.keys(), lambda path: read_bytes(self.root / path))
        return self._imports[script]

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
) -> StepCall:
    """Return the call of a step with these parameters and inputs; raise UserErrorException if its script is missing."""
    shown = _visible_parameters(definition)
    texts = {p.name: as_text(values[p.name]) for p in definition.parameters if p.type != "data" or p.name in shown}
    rows = [Row("recipe", "", str(RECIPE)), Row("step type", "", definition.type)]
    code = list(_code_rows(definition, source, packages))
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
    return StepCall(definition, source.digest, dict(inputs), texts, Fingerprint(tuple(rows)), declared)


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
    return StepCall(call.definition, call.snapshot, call.inputs, call.parameters, Fingerprint(rows), call.declared)


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


def _code_rows(definition: StepDefinition, source: Source, packages: Packages) -> Iterator[Row]:
    hashed = tuple(_hashed_files(definition, source))
    environment = definition.environment
    yield from image_rows(environment)
    if environment.isolated:
        yield from package_rows(environment, packages.python_version)
    if definition.script is None:
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
    imports = source.imports(script)
    if not (environment.isolated or environment.image or environment.dockerfile):  # an image speaks for itself
        yield Row("python", "", packages.python_version)
        foreign = (name for name in imports.foreign if name != "stepwell")  # logging decides nothing
        found = packages.distributions_of(foreign)
        yield from (Row("package", name, version) for name, version in sorted(found.items()))
    yield Row("script", script, source.content(script))
    yield from (Row("module", path, source.content(path)) for path in imports.local)
    covered = {script, *imports.local}
    yield from (Row("file", path, source.content(path)) for path in hashed if path not in covered)


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
