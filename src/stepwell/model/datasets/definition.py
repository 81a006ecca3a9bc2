"""Datasets as their authors wrote them: which files, how they are read, and what is done with them; JSON-able values.

A definition holds no secret: of an address on the web that has one, it has the address without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stepwell.model.digests import digest
from stepwell.model.jsonable import Jsonable

Kind = Literal["file", "tabular"]
Format = Literal["", "delimited", "parquet", "json_lines", "sql"]
"""Of files; `sql` is a query, its place a datastore that holds tables and the query, its file a Parquet one."""

Headers = Literal["none", "first", "combined", "all"]

TO_FILES = "to_files"
"""The operation that makes files of a table: those before it work on rows, those after it on files."""


@dataclass(frozen=True, slots=True)
class Place(Jsonable):
    """Where files are: a path or pattern on a datastore, or with '' for the datastore, an address on the web."""

    datastore: str
    path: str


@dataclass(frozen=True, slots=True)
class ColumnType(Jsonable):
    """What a column is converted to, and how its texts are understood."""

    type: Literal["string", "long", "float", "bool", "datetime", "stream"]
    formats: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    mismatch_as: Literal["error", "true", "false"] = "error"
    decimal_mark: str = "."


@dataclass(frozen=True, slots=True)
class ReadOptions(Jsonable):
    """How a table is read from files.

    `headers`: which files begin with the names of columns. `partition_format`: the end of the files' paths, whose words in
    braces become columns; `quoted`: what stands there is percent-encoded. `timestamp` and `partition_timestamp` are the
    columns that time is chosen by.
    """

    separator: str = ","
    headers: Headers = "all"
    encoding: str = "utf8"
    infer_types: bool = True
    types: dict[str, ColumnType] = field(default_factory=dict)
    empty_as_string: bool = False
    invalid_lines: Literal["error", "drop"] = "error"
    include_path: bool = False
    partition_format: str = ""
    quoted: bool = False
    timestamp: str = ""
    partition_timestamp: str = ""


@dataclass(frozen=True, slots=True)
class Operation(Jsonable):
    """What is done with the rows of a table, or with a list of files. `arguments` are plain JSON values.

    take {count} · skip {count} · sample {probability, seed} · split {percentage, seed, second} · keep {columns} ·
    drop {columns} · filter {expression} · time {after, before, boundary} · to_files {format, separator}
    """

    name: Literal["take", "skip", "sample", "split", "keep", "drop", "filter", "time", "to_files"]
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetDefinition(Jsonable):
    """Files, or a table that is read from files, with what is done to them, in order.

    `root` is what comes before the names of its files, and known once they have been looked for: 'a/b' if `a/b/c/d.csv` is
    called `c/d.csv`. Files of several datastores have names that begin with that of their datastore.
    """

    kind: Kind
    places: tuple[Place, ...] = ()
    format: Format = ""
    options: ReadOptions = field(default_factory=ReadOptions)
    operations: tuple[Operation, ...] = ()
    root: str | None = None

    def then(self, name: str, **arguments: Any) -> DatasetDefinition:
        """Return the definition with one more operation."""
        return replace(self, operations=(*self.operations, Operation(name, arguments)))  # type: ignore[arg-type]

    def with_options(self, **options: Any) -> DatasetDefinition:
        """Return the definition with these options of reading."""
        return replace(self, options=replace(self.options, **options))

    @property
    def operations_on_rows(self) -> tuple[Operation, ...]:
        """The operations that work on rows of a table."""
        return self._parts()[0]

    @property
    def operations_on_files(self) -> tuple[Operation, ...]:
        """The operations that work on a list of files."""
        return self._parts()[1]

    @property
    def written(self) -> Operation | None:
        """The operation that makes files of its table, None if it has no such one."""
        return next((operation for operation in self.operations if operation.name == TO_FILES), None)

    @property
    def is_made(self) -> bool:
        """Whether its files are made when somebody asks for them, and stand nowhere before."""
        return self.format == "sql" or self.written is not None

    @property
    def table(self) -> DatasetDefinition:
        """The table that is made from the files, or that its files are made of."""
        return replace(self, kind="tabular", operations=self.operations_on_rows)

    @property
    def shows_paths(self) -> bool:
        """Whether the paths of its files are in its table."""
        return bool(self.options.include_path or self.options.partition_format)

    @property
    def reading(self) -> str:
        """The digest of everything but the files that decides what is in its table, or what their paths tell; else ''."""
        if self.kind == "file" and not self.shows_paths:
            return ""
        shown = {**self.to_json(), "places": [], "root": self.root if self.shows_paths else None}
        return digest("dataset-reading", shown)

    @property
    def digest(self) -> str:
        """64 hex digits that tell it from other definitions, whatever its files hold."""
        return digest("dataset-definition", {**self.to_json(), "root": None})

    def _parts(self) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
        names = [operation.name for operation in self.operations]
        if TO_FILES in names:
            place = names.index(TO_FILES)
            return self.operations[:place], self.operations[place + 1 :]
        return (self.operations, ()) if self.kind == "tabular" else ((), self.operations)


def datastores_of(definition: DatasetDefinition) -> tuple[str, ...]:
    """Return the names of the datastores that hold its files, each once."""
    return tuple(dict.fromkeys(place.datastore for place in definition.places if place.datastore))


def addresses_of(definition: DatasetDefinition) -> Iterator[str]:
    """Yield the addresses on the web where its files are."""
    yield from (place.path for place in definition.places if not place.datastore)
