"""Items and mini-batches: files of the inputs, and what `run` is called with at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import LocalFile
from stepwell.model.datasets.on_disk import Spool

_OF_THE_WHOLE = ("take", "skip", "sample", "split")

Item = tuple[str, str, int]
"""A file of an input: its name, the digest of its content, '' if it is not known, and its size, of tables alone."""


@dataclass(frozen=True)
class Source:
    """An input: its files in the order of reading, how they are read if it is a dataset, and its folder, or its only file."""

    name: str
    items: Spool[Item]
    definition: DatasetDefinition | None = None
    place: str = ""

    def paths(self, names: Iterable[str]) -> list[str]:
        """Return the paths of some of its files."""
        above = self._above
        return [above + name for name in names] if above else [self.place] * len(tuple(names))

    def files(self, names: Collection[str]) -> list[LocalFile]:
        """Return the names and paths of some of its files."""
        return list(map(LocalFile, names, self.paths(names)))

    @cached_property
    def _above(self) -> str:
        return os.path.join(self.place, "") if os.path.isdir(self.place) else ""

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
    """What `run` is called with at once: files of an input, or one of so many parts of the rows that they hold."""

    input: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    part: int = 0
    parts: int = 1

    @property
    def is_known(self) -> bool:
        """Whether the content of its files is known, so that its result can be told from others."""
        return all(self.digests)


def batch_of(name: str, items: Iterable[Item], part: int = 0, parts: int = 1) -> MiniBatch:
    """Return the mini-batch of these items of the input of that name."""
    names, digests, _ = zip(*items, strict=True)
    return MiniBatch(name, names, digests, part, parts)
