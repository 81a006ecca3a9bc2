"""The inputs whose items are handled: their files where the step runs, and what the host knows of these by content."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from stepwell.drivers.parallel_run.batches import Item, Source
from stepwell.errors import StepwellError, UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import files_below
from stepwell.model.datasets.on_disk import Spool, in_order
from stepwell.model.records import Contents
from stepwell.script import channel
from stepwell.script.tables.local_dataset import local_files

_LINES = 1000


def sources_of(context: Mapping[str, Any], names: Sequence[str], *, by_content: bool) -> list[Source]:
    """Return the inputs of these names, of a step with that context; `by_content`: with the digests of their files."""
    return _alike([_source(context, name, by_content) for name in names])


def foretold_sources(contents: Mapping[str, Contents], names: Sequence[str]) -> list[Source]:
    """Return the inputs of these names as the host knows them; no file has a path."""
    return _alike([_foretold(name, contents[name]) for name in names])


def _source(context: Mapping[str, Any], name: str, by_content: bool) -> Source:
    path, facts = str(context["input_datasets"][name]), context.get("datasets", {}).get(name)
    definition = DatasetDefinition.from_json(json.loads(facts["document"])) if facts else None
    files = local_files(path, facts) if facts else files_below(DatasetDefinition("file"), path)
    is_table = definition is not None and definition.kind == "tabular"
    found: Iterator[tuple[str, int]] = ((file.name, os.path.getsize(file.path) if is_table else 0) for file in files)
    if not by_content:
        items: Iterator[Item] = ((file, "", size) for file, size in found)
    elif definition is None or len(definition.places) < 2:
        items = _with_digests(found, name)
    else:
        sizes = Spool(found)
        by_name = in_order((file, position) for position, (file, _) in enumerate(sizes))
        known = in_order((position, digest) for _, digest, position in _with_digests(by_name, name))
        items = ((file, digest, size) for (file, size), (_, digest) in zip(sizes, known, strict=True))
    return Source(name, Spool(items), definition, path)


def _with_digests(files: Iterable[tuple[str, int]], name: str) -> Iterator[Item]:
    """Yield the files of an input, which come sorted, with their digests: '' if the host can't be asked."""
    digests = _digests(name)
    held = next(digests, None)
    lone = held is not None and held[0] == ""
    for file, size in files:
        while held is not None and held[0] < file and not lone:
            held = next(digests, None)
        yield file, held[1] if held is not None and (lone or held[0] == file) else "", size


def _digests(name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of an input's files, sorted, and their digests; nothing if the host can't be asked."""
    with suppress(StepwellError, OSError, ValueError):
        if channel.available():
            with open(channel.receive("input.files", name=name), encoding="ascii") as stream:
                while lines := list(islice(stream, _LINES)):
                    entries = (line.rstrip(",\n") for line in lines if line.strip() not in ("[", "]"))
                    for file, kind, digest, *_ in json.loads(f"[{','.join(entries)}]"):
                        if kind == "file":
                            yield str(file), str(digest)


def _foretold(name: str, contents: Contents) -> Source:
    definition = DatasetDefinition.from_json(json.loads(contents.document)) if contents.document else None
    return Source(name, Spool((file.name, file.digest, file.size) for file in contents.files), definition)


def _alike(sources: list[Source]) -> list[Source]:
    refuse_kinds({source.name: source.is_table for source in sources})
    return sources


def refuse_kinds(tables: Mapping[str, bool]) -> None:
    """Raise UserErrorException if some inputs are tables and some are files."""
    if len(set(tables.values())) > 1:
        kinds = ", ".join(f"{name}: {'table' if is_table else 'files'}" for name, is_table in tables.items())
        raise UserErrorException(
            "The inputs of a ParallelRunStep are all files or all tables",
            {"inputs": kinds},
            "Pass inputs of one kind, and others as `side_inputs`.",
        )


def written_beside(context: Mapping[str, Any], own: Sequence[str]) -> str:
    """Return what the script writes to its outputs that is no result of a mini-batch, in words, '' if it writes nothing.

    `own` are paths that the driver writes to.
    """
    outputs = {name: str(path) for name, path in context.get("output_datasets", {}).items()}
    for name, path in outputs.items():
        if any(file not in own for file in _files(path)):
            return f"the script writes files of its own to {name!r}"
    around = {os.path.dirname(path) for path in outputs.values()} - {os.getcwd()}
    for folder in around:
        known = {os.path.basename(path) for path in outputs.values()}
        if not folder.startswith(os.getcwd() + os.sep):
            with os.scandir(folder) as found:
                if any(entry.name not in known for entry in found):
                    return "the script writes files beside its outputs"
    return ""


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    for place, _, names in os.walk(path):
        yield from (os.path.join(place, name) for name in names)
