"""How files are read as a table, as plain values: what the factories of datasets do, of files that no step has written yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Place, ReadOptions
from stepwell.model.definitions import OUTPUT
from stepwell.script.tables.lazy_datasets import LazyTable
from stepwell.script.tables.reading_options import PromoteHeadersBehavior, headers_of, partition_format_of, types_of


class _Table(LazyTable):
    """A table of which nothing but the definition is known."""

    def _like(self, definition: DatasetDefinition) -> _Table:
        return _Table(definition)

    @property
    def definition(self) -> DatasetDefinition:
        """The definition."""
        return self._definition


def delimited(
    include_path: bool,
    separator: str,
    header: bool | PromoteHeadersBehavior | int,
    partition_format: str | None,
    types: Mapping[str, Any] | None,
) -> DatasetDefinition:
    """Return the table that is read from files of delimited text."""
    if not separator:
        raise UserErrorException("`separator` can't be empty", hint="Pass what stands between the values, as ','.")
    options = ReadOptions(
        separator=separator,
        headers=headers_of(header),
        include_path=include_path,
        partition_format=partition_format_of(partition_format),
        types=types_of(types),
    )
    return DatasetDefinition("tabular", format="delimited", options=options)


def parquet(include_path: bool, partition_format: str | None, types: Mapping[str, Any] | None) -> DatasetDefinition:
    """Return the table that is read from Parquet files."""
    options = ReadOptions(
        include_path=include_path, partition_format=partition_format_of(partition_format), types=types_of(types)
    )
    return DatasetDefinition("tabular", format="parquet", options=options)


def only(definition: DatasetDefinition, pattern: str) -> DatasetDefinition:
    """Return the definition of the files of an output that fit a pattern; '' is fitted by all."""
    wanted = pattern.lstrip("/")
    wanted = f"**/{wanted}" if wanted and "/" not in wanted else wanted
    return replace(definition, places=(Place(OUTPUT, wanted),) if wanted else ())


def keep(definition: DatasetDefinition, columns: str | Sequence[str]) -> DatasetDefinition:
    """Return the table with these columns alone."""
    return _Table(definition).keep_columns(columns).definition


def drop(definition: DatasetDefinition, columns: str | Sequence[str]) -> DatasetDefinition:
    """Return the table without these columns."""
    return _Table(definition).drop_columns(columns).definition


def split(
    definition: DatasetDefinition, percentage: float, seed: int | None
) -> tuple[DatasetDefinition, DatasetDefinition]:
    """Return the table's rows in two parts; without a seed always in the same ones, so that steps can be reused."""
    first, second = _Table(definition).random_split(percentage, 0 if seed is None else seed)
    return first.definition, second.definition
