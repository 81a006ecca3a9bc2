"""Binding: a step's definition, its source, parameters and data become a call with a fingerprint. No step runs here."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from stepwell.blocks.datasets.sources import definition_in, patterns_of
from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.environments.survey import EDITABLE
from stepwell.blocks.source.ignore_rules import matching
from stepwell.blocks.source.notebooks import code_of
from stepwell.blocks.source.r_code import sourced_by
from stepwell.blocks.system.companions import companion_names
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.keys.command_code import command_code, words_of
from stepwell.flows.keys.environment_rows import (
    distributions_behind,
    image_rows,
    inherited_rows,
    inherits,
    package_rows,
)
from stepwell.flows.keys.named_keys import files_of_keys, key_rows, without_files
from stepwell.flows.keys.r_rows import r_rows
from stepwell.flows.keys.source_directory import Source
from stepwell.flows.parameters.pipeline_parameter import Value, as_text
from stepwell.model.datasets.file_names import order_of_places
from stepwell.model.definitions import Argument, Driver, StepDefinition
from stepwell.model.digests import RECIPE, digest
from stepwell.model.fingerprint import ABSENT, CONTENT, PROBED, Fingerprint, Row
from stepwell.model.imports import Imports
from stepwell.model.records import Artifact, OwnModule, StepCall, beside

Keep = Callable[[str], str]
"""The absolute path of a module that people work on in; the digest of its kept copy out, '' if it can't be kept."""

_SHELL = "bash -eo pipefail, else sh -e"


_WILDCARD = re.compile(r"[*?\[]")


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
    data = ("data", "dataset")
    texts = {p.name: as_text(values[p.name]) for p in definition.parameters if p.type not in data or p.name in shown}
    rows = [Row("recipe", "", str(RECIPE)), Row("step type", "", definition.type)]
    own_code = find_own_code(definition, source, packages, keep)
    keys = list(key_rows(definition, source))
    tracked = files_of_keys(definition, source)
    code = without_files(_code_rows(definition, source, packages, own_code), tracked, source)
    rows += code
    rows += keys
    rows += _argument_rows(definition)
    rows += _driver_rows(definition, source)
    rows += [_parameter_row(p.name, texts[p.name], p.secret) for p in definition.parameters if p.name in texts]
    rows += _port_rows(definition)
    rows += [
        Row("input", port.name, CONTENT + inputs[port.name].digest) for port in definition.inputs if port.name in inputs
    ]
    rows += _reading_rows(definition, inputs)
    rows += [
        Row("beside", port.name, CONTENT + inputs[beside(port.name)].digest)
        for port in definition.inputs
        if beside(port.name) in inputs
    ]
    rows += _rule_rows(definition)
    variables = definition.environment.variables
    rows += [Row("variable", name, CONTENT + digest("variable", variables[name])) for name in sorted(variables)]
    rows.append(Row("version", "", definition.version))
    declared = tuple(sorted({*tracked, *(row.name for row in code if row.kind in ("script", "module", "file"))}))
    return StepCall(definition, source.digest, dict(inputs), texts, Fingerprint(tuple(rows)), declared, own_code)


def _visible_parameters(definition: StepDefinition) -> set[str]:
    """Return the parameters whose text the script gets to see; data are otherwise known by content alone."""
    settings = definition.driver.settings.values() if definition.driver else ()
    arguments = (*definition.arguments, *definition.params.values(), *settings)
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
    kinds = ("script", "module", "file", "keys", "read", "source directory")
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
    if definition.driver is None and definition.script is None:
        yield from _command_code_rows(definition, source, packages, own_code)
        named = [path for path in map(source.resolve, words_of(definition)) if path in source.entries]
        if definition.hash_paths:
            yield from (Row("file", path, source.content(path)) for path in sorted({*hashed, *named}))
        elif source.tree.entries:
            yield Row("source directory", "", CONTENT + source.digest)
        return
    script = posixpath.normpath(definition.script) if definition.script is not None else ""
    if script and source.content(script) == ABSENT:
        raise UserErrorException(
            f"Step [{definition.id}]: script not found at: {definition.script}",
            {"source directory": definition.source_directory},
            "Correct its name or `source_directory`, or stop ignoring the file.",
        )
    imports = imports_of(definition, source, packages)
    if inherits(definition):
        yield Row("python", "", packages.python_version)
        yield from inherited_rows(imports.foreign, packages, own_code)
    if script:
        yield Row("script", script, source.content(script))
    yield from (Row("module", path, source.content(path)) for path in imports.local)
    covered = {script, *imports.local}
    yield from (Row("file", path, source.content(path)) for path in hashed if path not in covered)


# What is imported -------------------------------------------------------------------------------------------------------


def imports_of(definition: StepDefinition, source: Source, packages: Packages) -> Imports:
    """Return what a step's script, or the Python code of its command, imports as far as can be told."""
    known = packages if inherits(definition) else None
    if definition.driver is not None:
        return _driver_imports(definition.driver, definition.script, source, known)
    if definition.script is not None:
        return source.imports(posixpath.normpath(definition.script), known)
    found = [source.imports(script, known, code) for script, code in command_code(definition, source)]
    together = [tuple(sorted({name for each in found for name in getattr(each, field)})) for field in _IMPORTS]
    return Imports(*together)


_IMPORTS = ("local", "foreign", "unparsed", "required", "places")


def _driver_imports(driver: Driver, script: str | None, source: Source, packages: Packages | None) -> Imports:
    found = Imports((), (), ())
    if script is not None and driver.language == "python":
        found = source.imports(posixpath.normpath(script), packages)
    elif script is not None and driver.language == "notebook":
        path = posixpath.normpath(script)
        code = code_of(source.read(path))
        found = source.imports(path, packages, code) if code else found
    elif script is not None and driver.language == "r":
        found = replace(found, local=tuple(sorted(sourced_by(posixpath.normpath(script), source.read))))
    return found if driver.on_host else replace(found, foreign=tuple(sorted({*found.foreign, *driver.modules})))


def _driver_rows(definition: StepDefinition, source: Source) -> Iterator[Row]:
    driver = definition.driver
    if driver is not None:
        if driver.language == "r" and definition.script is not None and inherits(definition):
            yield from r_rows(driver, definition.script, source, definition.environment.variables)
        yield Row("driver", driver.name, str(driver.version))
        yield from (Row("setting", name, template(value)) for name, value in sorted(driver.settings.items()))


def find_own_code(definition: StepDefinition, source: Source, packages: Packages, keep: Keep) -> tuple[OwnModule, ...]:
    """Return the modules that a step imports from where people work on them, those outside of its source kept."""
    if not (inherits(definition) and source.tree.entries):
        return ()
    imports = imports_of(definition, source, packages)
    ours = {"stepwell", *companion_names()}
    places = {(name, path) for name, path in imports.places if name not in ours}
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


def _rule_rows(definition: StepDefinition) -> Iterator[Row]:
    """Yield a row for each rule of v1 under which the same execution can have another result."""
    if definition.may_leave_empty:
        yield Row("rule", "outputs not written", "empty")
    if definition.keeps_files_beside:
        yield Row("rule", "files beside outputs", "kept")


def _port_rows(definition: StepDefinition) -> Iterator[Row]:
    for port in () if definition.joins else definition.inputs:
        yield Row("way of input", port.name, " ".join(filter(None, (port.mode, port.path_on_compute))))
    for output in definition.outputs:
        words = (output.mode, output.path_on_compute, output.variable, output.source_globs)
        yield Row("output", output.name, " ".join(filter(None, words)))


def _reading_rows(definition: StepDefinition, inputs: Mapping[str, Artifact]) -> Iterator[Row]:
    """Yield how the datasets are read that the script gets, and in which order: they are their files, and this."""
    for port in definition.inputs:
        dataset = inputs[port.name].dataset if port.name in inputs else None
        if port.mode != "direct" or dataset is None:
            continue
        table = definition_in(dataset.document)
        names = [posixpath.basename(inputs[port.name].path)] if table.shows_paths else []
        reading = [table.reading, *sorted(patterns_of(table)), *names]
        if table.reading:
            yield Row("reading", port.name, CONTENT + digest("reading", reading))
        order = order_of_places(table)
        yield Row("order", port.name, CONTENT + digest("order", order) if order else "by name")
