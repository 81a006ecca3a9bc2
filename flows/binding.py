"""Holes to values: a step's definition, its source and its data become a call with a fingerprint. Nothing is run here."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from stepwell.blocks.packages import Packages
from stepwell.canonical import RECIPE, digest
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.fingerprint import CONTENT, Fingerprint, Row
from stepwell.flows.parameters import Value, as_text
from stepwell.imports import Imports, find_imports
from stepwell.tree import Entry, Tree
from stepwell.vocabulary import Argument, Artifact, StepCall, StepDefinition

ABSENT = "absent"


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
        """What the script imports, parsed once."""
        if script not in self._imports:
            self._imports[script] = find_imports(
                script, self.entries.keys(), lambda path: (self.root / path).read_bytes()
            )
        return self._imports[script]

    def content(self, path: str) -> str:
        """The row value of one file's content; links are followed inside the snapshot."""
        for _ in range(40):
            entry = self.entries.get(path)
            if entry is None or entry.kind == "file":
                return CONTENT + entry.digest if entry else ABSENT
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.digest))
        return ABSENT

    def below(self, path: str) -> Iterator[str]:
        """The files at or below `path`."""
        clean = "" if path == "." else path.rstrip("/") + "/"
        return (name for name in self.entries if name == path or name.startswith(clean))


EMPTY_SOURCE = Source(Path(os.devnull), Tree(()))


def bind(
    definition: StepDefinition,
    source: Source,
    values: Mapping[str, Value],
    inputs: Mapping[str, Artifact],
    packages: Packages,
) -> StepCall:
    """The call of a step whose parameters and inputs have these values; a missing script raises UserErrorException."""
    texts = {p.name: as_text(values[p.name]) for p in definition.parameters}
    rows = [Row("recipe", "", str(RECIPE)), Row("step type", "", definition.type)]
    code = list(_code_rows(definition, source, packages))
    rows += code
    rows += _argument_rows(definition)
    rows += [_parameter_row(p.name, texts[p.name], p.secret) for p in definition.parameters if p.type != "data"]
    rows += _port_rows(definition)
    rows += [
        Row("input", port.name, CONTENT + inputs[port.name].digest) for port in definition.inputs if port.name in inputs
    ]
    variables = definition.environment.variables
    rows += [Row("variable", name, CONTENT + digest("variable", variables[name])) for name in sorted(variables)]
    rows.append(Row("version", "", definition.version))
    declared = tuple(sorted({row.name for row in code if row.kind in ("script", "module", "file")}))
    return StepCall(definition, source.digest, dict(inputs), texts, Fingerprint(tuple(rows)), declared)


def with_reads(call: StepCall, paths: Iterable[str], content: Mapping[str, str]) -> StepCall:
    """The call whose fingerprint also covers files that no row declares, each with its content."""
    known = {row.name for row in call.fingerprint.rows if row.kind == "read"} | set(call.declared)
    extra = tuple(Row("read", path, content[path]) for path in sorted(set(paths) - known))
    if not extra:
        return call
    return StepCall(
        call.definition,
        call.snapshot,
        call.inputs,
        call.parameters,
        Fingerprint(call.fingerprint.rows + extra),
        call.declared,
    )


def _code_rows(definition: StepDefinition, source: Source, packages: Packages) -> Iterator[Row]:
    hashed = tuple(_hashed_files(definition, source))
    if definition.script is None:
        named = [
            piece.value for argument in definition.arguments for piece in argument if piece.value in source.entries
        ]
        if definition.hash_paths:
            yield from (Row("file", path, source.content(path)) for path in sorted({*hashed, *named}))
        elif source.tree.entries:
            yield Row("source directory", "", CONTENT + source.digest)
        return
    script = posixpath.normpath(definition.script)
    if source.content(script) == ABSENT:
        raise UserErrorException(
            f"Step [{definition.name}]: script not found at: {definition.script}",
            {"source directory": definition.source_directory},
            "Correct `script_name` or `source_directory`, or stop ignoring the file.",
        )
    imports = source.imports(script)
    yield Row("python", "", packages.python_version)
    found = packages.distributions_of(name for name in imports.foreign if name != "stepwell")  # logging decides nothing
    yield from (Row("package", name, version) for name, version in sorted(found.items()))
    yield Row("script", script, source.content(script))
    yield from (Row("module", path, source.content(path)) for path in imports.local)
    covered = {script, *imports.local}
    yield from (Row("file", path, source.content(path)) for path in hashed if path not in covered)


def _hashed_files(definition: StepDefinition, source: Source) -> Iterator[str]:
    for path in definition.hash_paths:
        relative = posixpath.normpath(
            os.path.relpath(path, definition.source_directory) if os.path.isabs(path) else path
        )
        files = sorted(source.below(relative))
        if not files:
            raise SnapshotException(
                f"A path in `hash_paths` of step {definition.name!r} is not in the source directory",
                {"path": path, "source directory": definition.source_directory},
                "Correct the path, or stop ignoring it.",
            )
        yield from files


def _argument_rows(definition: StepDefinition) -> Iterator[Row]:
    for position, argument in enumerate(definition.arguments, 1):
        yield Row("argument", str(position), template(argument))
    for name, argument in definition.params.items():
        yield Row("param", name, template(argument))


def template(argument: Argument) -> str:
    """An argument with its holes by name, such as `--rate` or `{parameter:rate}`; distinct arguments, distinct texts."""
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
