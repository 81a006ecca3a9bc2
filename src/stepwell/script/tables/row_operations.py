"""Operations of a dataset, done: on the rows of a DataFrame, or on a list of files."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import Operation
from stepwell.model.datasets.expressions import in_zone_of, names_in, worked_out

FEWEST_ROWS = 200
"""From how many rows types of columns are told at least, as v1 does."""

_T = TypeVar("_T")


def chosen(operation: Operation, count: int) -> list[bool] | slice | None:
    """Return which of so many items an operation keeps, None if that depends on what they are.

    Each item has its own draw, which depends on the seed and the item's position alone.
    """
    arguments = operation.arguments
    if operation.name == "take":
        return slice(0, arguments["count"])
    if operation.name == "skip":
        return slice(arguments["count"], None)
    if operation.name in ("sample", "split"):
        return list(islice(_draws(operation), count))
    return None


def _draws(operation: Operation) -> Iterator[bool]:
    """Yield for each item in turn whether a sample, or a part at random, has it."""
    arguments = operation.arguments
    share = arguments["probability" if operation.name == "sample" else "percentage"]
    draws = random.Random(arguments["seed"])  # noqa: S311  (the same on every machine)
    second = bool(arguments.get("second"))
    while True:
        yield (draws.random() < share) is not second


def after_operations(operations: Iterable[Operation], frame: Any) -> Any:
    """Return the DataFrame that the operations leave, its rows counted anew."""
    for operation in operations:
        which = chosen(operation, len(frame))
        if which is None:
            frame = _after(operation, frame)
        else:
            frame = frame.iloc[which] if isinstance(which, slice) else frame[which]
    return frame.reset_index(drop=True)


def _after(operation: Operation, frame: Any) -> Any:
    arguments = operation.arguments
    if operation.name in ("keep", "drop"):
        columns = arguments["columns"]
        require_columns(columns, frame)
        return frame[[name for name in frame.columns if (name in columns) is (operation.name == "keep")]]
    if operation.name == "filter":
        require_columns(names_in(arguments["expression"]), frame)
        mask = worked_out(arguments["expression"], lambda _, name: frame[name])
        return frame[_truths(mask, frame)]
    require_columns([arguments["column"]], frame)
    times = frame[arguments["column"]]
    if times.dtype.kind != "M":
        raise UserErrorException(
            f"The column {arguments['column']!r} holds no times",
            {"type": times.dtype},
            "Set its type: `set_column_types={…: DataType.to_datetime()}`.",
        )
    kept = times.notna()
    if arguments.get("after"):
        start = in_zone_of(times, datetime.fromisoformat(arguments["after"]))
        kept &= times >= start if arguments["boundary"] else times > start
    if arguments.get("before"):
        end = in_zone_of(times, datetime.fromisoformat(arguments["before"]))
        kept &= times <= end if arguments["boundary"] else times < end
    return frame[kept]


def _truths(mask: Any, frame: Any) -> Any:
    if not hasattr(mask, "dtype"):
        return [bool(mask)] * len(frame)
    return mask if mask.dtype == bool else mask.where(mask.notna(), other=False).astype(bool)


def require_columns(names: Sequence[str], frame: Any) -> None:
    """Raise UserErrorException if the table lacks one of the columns."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise UserErrorException(
            f"The dataset has no column {missing[0]!r}",
            {"columns": ", ".join(map(str, frame.columns)) or "none"},
            "Correct the name.",
        )


def most_rows(operations: Sequence[Operation]) -> int | None:
    """Return how many rows of the files are enough for the operations, and to tell types; None if all are needed."""
    for operation in operations:
        if operation.name == "take":
            return max(int(operation.arguments["count"]), FEWEST_ROWS)
        if operation.name not in ("keep", "drop"):
            return None
    return None


def chosen_files(operations: Iterable[Operation], files: Iterable[tuple[_T, Mapping[str, Any]]]) -> Iterator[_T]:
    """Yield the files that the operations leave, of files with their facts: size, time of change, extension."""
    for operation in operations:
        files = _chosen_files(operation, files)
    return (file for file, _ in files)


def _chosen_files(operation: Operation, files: Iterable[tuple[_T, Any]]) -> Iterable[tuple[_T, Any]]:
    arguments = operation.arguments
    if operation.name == "take":
        return islice(files, arguments["count"])
    if operation.name == "skip":
        return islice(files, arguments["count"], None)
    if operation.name in ("sample", "split"):
        return (file for file, kept in zip(files, _draws(operation), strict=False) if kept)
    if operation.name == "filter":
        tree = arguments["expression"]
        return (file for file in files if worked_out(tree, lambda _, name, facts=file[1]: facts[name]))  # type: ignore[misc]
    return files
