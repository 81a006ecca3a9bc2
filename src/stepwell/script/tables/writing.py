"""Tables written to files."""

from __future__ import annotations

import os
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.script.tables.reading import library


def write_table(frame: Any, place: str | os.PathLike[str], separator: str = ",") -> None:
    """Write a DataFrame as a file, without its index, in the format that the file's name ends with."""
    if os.fspath(place).endswith(".csv"):
        for name, column in frame.items():
            if column.dtype == object and any(isinstance(value, bytes) for value in column):
                hint = "Make a Parquet file, or turn them into texts before, such as by hex."
                raise UserErrorException(f"A text file can't hold the bytes of the column {name!r}", hint=hint)
        frame.to_csv(place, index=False, sep=separator)
        return
    library("pyarrow")
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    frame.to_parquet(place, index=False, engine="pyarrow")
