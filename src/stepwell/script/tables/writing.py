"""Tables written to files."""

from __future__ import annotations

import os
from typing import Any

from stepwell.script.tables.reading import library


def write_table(frame: Any, place: str | os.PathLike[str], separator: str = ",") -> None:
    """Write a DataFrame as a file, without its index, in the format that the file's name ends with."""
    if os.fspath(place).endswith(".csv"):
        frame.to_csv(place, index=False, sep=separator)
        return
    library("pyarrow")
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    frame.to_parquet(place, index=False, engine="pyarrow")
