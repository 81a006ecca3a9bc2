"""Tables written to a datastore: as one file, or the rows of each combination of columns' values in a folder of their own."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Literal

from stepwell.blocks.system.temporary_folder import temporary_folder
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import ColumnType, DatasetDefinition, Place, ReadOptions
from stepwell.model.datasets.file_names import quoted_value
from stepwell.model.tree import scan
from stepwell.script.tables.row_operations import require_columns
from stepwell.script.tables.writing import write_table

_NAME_OF_KEY = re.compile(r"[^{}:/]+")
_TYPES: dict[str, Literal["long", "float", "bool", "datetime"]] = {
    "i": "long",
    "u": "long",
    "f": "float",
    "b": "bool",
    "M": "datetime",
}


def write_partitions(frame: Any, keys: list[str], datastore: Datastore, folder: str) -> tuple[DatasetDefinition, int]:
    """Write the partitions of a table below a folder, and return the definition of the table that they are, and their number.

    Their own folder is named by what they hold, so that the same table is written to the same place.
    """
    require_columns(keys, frame)
    wrong = [key for key in keys if not _NAME_OF_KEY.fullmatch(key)]
    if wrong:
        raise UserErrorException(
            f"The column {wrong[0]!r} can't be a partition key", hint="Rename it to one without braces, ':' and '/'."
        )
    types = {key: ColumnType(_TYPES.get(frame[key].dtype.kind, "string")) for key in keys}
    with temporary_folder() as scratch:
        for values, rows in frame.groupby(keys, dropna=False, sort=True, observed=True):
            folders = [quoted_value(_text(value)) for value in values]
            place = Path(scratch, *folders, "part-00000.parquet")
            place.parent.mkdir(parents=True)
            write_table(rows.drop(columns=keys), place)
        return _delivered(scratch, datastore, folder, keys, types)


def _delivered(
    scratch: Path, datastore: Datastore, folder: str, keys: list[str], types: dict[str, ColumnType]
) -> tuple[DatasetDefinition, int]:
    tree = scan(scratch)
    target = posixpath.join(folder, tree.digest[:32])
    for entry in tree.entries:
        datastore.put_file(scratch / entry.path, f"{target}/{entry.path}")
    keys_format = "/".join(f"{{{key}}}" for key in keys)
    options = ReadOptions(types=types, partition_format=f"/{keys_format}/part-00000.parquet", quoted=True)
    return DatasetDefinition("tabular", (Place(datastore.name, target),), "parquet", options), len(tree.entries)


def write_frame(frame: Any, datastore: Datastore, folder: str, *, unique: bool) -> DatasetDefinition:
    """Write a table as one file below a folder, and return the definition of it; `unique`: in a folder named by content."""
    with temporary_folder() as scratch:
        place = scratch / "part-00000.parquet"
        write_table(frame, place)
        target = posixpath.join(folder, scan(scratch).digest[:32]) if unique else folder
        path = f"{target}/{place.name}".lstrip("/")
        datastore.put_file(place, path)
    return DatasetDefinition("tabular", (Place(datastore.name, path),), "parquet")


def _text(value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124  (what is not a number is not itself)
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)
