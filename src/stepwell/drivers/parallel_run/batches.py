"""Items and mini-batches: how the files of the inputs are split, and which splits an earlier execution had already.

What an earlier execution has of a mini-batch is used again if all its files are there with the same content. Files that
are left over make new mini-batches, by name, as many in each as they may be: so one new file makes one new mini-batch,
and moves none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import LocalFile, full_path, partition_columns, typed_partition_values

_OF_THE_WHOLE = ("take", "skip", "sample", "split")


class Item(NamedTuple):
    """A file of an input. `digest` is that of its content, '' if it is not known; `size` in bytes, of tables alone."""

    name: str
    digest: str = ""
    size: int = 0


@dataclass(frozen=True)
class Source:
    """An input: its files in the order of reading, how they are read if it is a dataset, and its folder, or its only file."""

    name: str
    items: tuple[Item, ...]
    definition: DatasetDefinition | None = None
    place: str = ""

    def files(self, items: Iterable[Item]) -> list[LocalFile]:
        """Return the names and paths of some of its files."""
        lone = not os.path.isdir(self.place)
        return [LocalFile(item.name, self.place if lone else os.path.join(self.place, item.name)) for item in items]

    @property
    def is_table(self) -> bool:
        """Whether its items are the rows of a table."""
        return self.definition is not None and self.definition.kind == "tabular"

    @property
    def is_read_by_file(self) -> bool:
        """Whether the rows of each of its files are the same whatever the other files hold."""
        assert self.definition is not None
        names = {operation.name for operation in self.definition.operations_on_rows}
        return not names.intersection(_OF_THE_WHOLE) and self.definition.options.headers != "first"


class MiniBatch(NamedTuple):
    """What `run` is called with at once: files of an input, or one of so many parts of the rows that they hold.

    `values` are those of the partition keys.
    """

    input: str
    items: tuple[Item, ...]
    part: int = 0
    parts: int = 1
    values: Mapping[str, Any] | None = None

    @property
    def identity(self) -> Identity:
        """What an earlier mini-batch has to have for its result to be that of this one; None if that can't be told."""
        files = tuple((item.name, item.digest) for item in self.items)
        return (self.input, files, self.part, self.parts) if all(digest for _, digest in files) else None


Identity = tuple[str, tuple[tuple[str, str], ...], int, int] | None


def split(
    sources: Sequence[Source], files: int, size: int, keys: Sequence[str], earlier: Iterable[Identity] = ()
) -> Iterator[MiniBatch]:
    """Yield the mini-batches of the inputs; the identity of those that stand already is one of the `earlier`.

    Args:
        sources: The inputs.
        files: How many files a mini-batch has at most.
        size: How many bytes of a table's files a mini-batch has, about.
        keys: The partition keys; if there are some, each of their values is one mini-batch.
        earlier: The identities of what stands.
    """
    for source in sources:
        if keys:
            yield from _by_keys(source, keys)
        elif source.is_table:
            groups = [(item,) for item in source.items] if source.is_read_by_file else [source.items]
            yield from (part for group in groups if group for part in _parts(source.name, group, size))
        else:
            yield from _by_count(source, files, earlier)


def _by_count(source: Source, files: int, earlier: Iterable[Identity]) -> Iterator[MiniBatch]:
    left = {item.name: item for item in source.items}
    standing: dict[str, MiniBatch] = {}
    for identity in earlier:
        if identity is None or identity[0] != source.name:
            continue
        items = [left.get(name) for name, digest in identity[1] if digest]
        if items and all(item and item.digest == known[1] for item, known in zip(items, identity[1])):  # noqa: B905
            found = MiniBatch(source.name, tuple(item for item in items if item))
            standing[found.items[0].name] = found
            for item in found.items:
                del left[item.name]
    new = list(left.values())
    made = [MiniBatch(source.name, tuple(new[start : start + files])) for start in range(0, len(new), files)]
    firsts = {**standing, **{batch.items[0].name: batch for batch in made}}
    yield from (firsts[item.name] for item in source.items if item.name in firsts)


def _parts(name: str, items: tuple[Item, ...], size: int) -> Iterator[MiniBatch]:
    parts = max(1, -(-sum(item.size for item in items) // size))
    yield from (MiniBatch(name, items, part, parts) for part in range(parts))


def _by_keys(source: Source, keys: Sequence[str]) -> Iterator[MiniBatch]:
    definition = source.definition
    known = partition_columns(definition.options.partition_format) if definition else []
    missing = [key for key in keys if key not in known]
    if definition is None or missing:
        raise UserErrorException(
            f"The input {source.name!r} has no partition key {(missing or list(keys))[0]!r}",
            {"partition keys": ", ".join(known) or "none"},
            "Make them with `partition_by`, or read the files with `partition_format=`.",
        )
    groups: dict[str, tuple[dict[str, Any], list[Item]]] = {}
    for item in source.items:
        found = typed_partition_values(definition.options, full_path(definition, item.name))
        values = {key: found[key] for key in keys}
        groups.setdefault(repr(values), (values, []))[1].append(item)
    for values, items in groups.values():
        yield MiniBatch(source.name, tuple(items), values=values)
