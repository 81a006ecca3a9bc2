"""Keys of files that a script reads itself: as rows of its step's key, and the files as it finds them, with these keys alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.errors import SnapshotException, UserErrorException
from stepwell.flows.keys.source_directory import Source
from stepwell.flows.parameters.file_keys import at, is_below, leaves, only, written
from stepwell.flows.parameters.parameter_files import parsed, plain
from stepwell.flows.parameters.values import as_text, check, plain_value
from stepwell.model.definitions import ParameterDefinition, ParameterKeys, StepDefinition
from stepwell.model.digests import bytes_digest
from stepwell.model.fingerprint import ABSENT, CONTENT, Row
from stepwell.model.records import StepCall
from stepwell.model.tree import Tree, resolve, scan

_MISSED_KEY = re.compile(r"^KeyError: (['\"])(?P<name>.+)\1\s*\Z", re.MULTILINE)


def key_rows(definition: StepDefinition, source: Source) -> Iterator[Row]:
    """Yield which keys of files a step has, and the values of those that are no parameters; raise for a missing one."""
    known = {parameter.name for parameter in definition.parameters}
    for file in definition.parameter_files:
        path = source.resolve(file.path)
        if source.content(path) == ABSENT:
            raise SnapshotException(
                f"The step {definition.id!r} names keys of a file that is not in its snapshot",
                {"file": file.path, "source directory": definition.source_directory},
                "Correct the path, or stop ignoring the file.",
            )
        yield Row("keys", path, ", ".join(sorted(file.keys)) or "all")
        data = _read(file.path, source.read(path))
        values = {
            name: value for key in file.keys for name, value in leaves(at(data, key, PurePosixPath(file.path)), key)
        }
        for name in sorted(values.keys() - known):
            yield Row("parameter", name, json.dumps(values[name], sort_keys=True, ensure_ascii=False, default=str))


def files_of_keys(definition: StepDefinition, source: Source) -> set[str]:
    """Return the paths of the files of which a step has named keys."""
    return {source.resolve(file.path) for file in definition.parameter_files}


def without_files(rows: Iterable[Row], paths: set[str], source: Source) -> list[Row]:
    """Return the rows of a step's code without those that tell of the whole content of these files."""
    if not paths:
        return list(rows)
    kept = [row for row in rows if not (row.kind == "file" and row.name in paths)]
    return [
        row._replace(value=CONTENT + tree_without(source, paths).digest) if row.kind == "source directory" else row
        for row in kept
    ]


def tree_without(source: Source, paths: Iterable[str]) -> Tree:
    """Return the files of a source directory but for those at these paths."""
    left_out = set(paths)
    return Tree(tuple(entry for entry in source.tree.entries if entry.path not in left_out))


def as_seen(call: StepCall, snapshot: Snapshot | None, folder: Path) -> tuple[StepCall, Snapshot | None]:
    """Return the call with its snapshot as its script finds it: files with the keys alone that it names, and its values.

    `folder` gets what is not as it is kept.
    """
    files = call.definition.parameter_files
    if snapshot is None or not files:
        return call, snapshot
    seen = {resolve(snapshot.entries, file.path): _seen(file, snapshot.read(file.path), call) for file in files}
    found = (
        _in_folder(snapshot, seen, folder)
        if snapshot.tree is None
        else _by_content(snapshot, snapshot.tree, seen, folder)
    )
    return replace(call, snapshot=found.digest), found


def _by_content(snapshot: Snapshot, tree: Tree, seen: Mapping[str, bytes], folder: Path) -> Snapshot:
    for data in seen.values():
        digest = bytes_digest(data)
        (folder / digest[:2]).mkdir(parents=True, exist_ok=True)
        (folder / digest[:2] / digest).write_bytes(data)
    entries = (
        entry._replace(digest=bytes_digest(seen[entry.path]), size=len(seen[entry.path]))
        if entry.path in seen
        else entry
        for entry in tree.entries
    )
    found = Tree(tuple(entries))
    return Snapshot(found.digest, (*snapshot.folders, folder), found)


def _in_folder(snapshot: Snapshot, seen: Mapping[str, bytes], folder: Path) -> Snapshot:
    """Return the snapshot as earlier releases kept them, as a folder."""
    snapshot.copy_to(folder / "files")
    for path, data in seen.items():
        (folder / "files" / path).unlink()
        (folder / "files" / path).write_bytes(data)
    return Snapshot(scan(folder / "files").digest, (folder / "files",))


def key_hint(definition: StepDefinition, lines: str) -> str:
    """Return what to do about a script that missed a key of a file of which it finds the named ones alone, '' if it did not."""
    missed = _MISSED_KEY.search(lines)
    if missed is None or not definition.parameter_files:
        return ""
    file = definition.parameter_files[0]
    return (
        f"If {missed['name']!r} is a key of {file.path}, name it in the step's `params`, too: the script finds there only what "
        f"these name ({', '.join(file.keys)})."
    )


def _read(path: str, content: bytes) -> Any:
    try:
        return parsed(PurePosixPath(path), content.decode()) or {}
    except UnicodeDecodeError:
        raise UserErrorException(f"{path} is no text", hint="Write it in UTF-8.") from None


def _seen(file: ParameterKeys, content: bytes, call: StepCall) -> bytes:
    data = _read(file.path, content)
    known = {one.name: one for one in call.definition.parameters if is_below(one.name, file.keys)}
    found = dict(leaves(data))
    values = {
        name: plain_value(one, call.parameters[name])
        for name, one in known.items()
        if name in found and name in call.parameters and not _is_same(one, found[name], call.parameters[name])
    }
    return written(PurePosixPath(file.path), only(data, file.keys, values))


def _is_same(definition: ParameterDefinition, in_file: Any, text: str) -> bool:
    """Return whether the file has the value that the run has: it then stays as it is written there."""
    try:
        return as_text(check(definition, plain(in_file))) == text
    except UserErrorException:
        return False
