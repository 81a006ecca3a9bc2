"""What `run` may return, and the lines that are made of it where it was returned: nothing of it has to be pickled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any


class UnusableResultError(Exception):
    """`run` returned what holds no results."""


def rows_of(result: Any, *, wanted: bool = True) -> tuple[int, bytes]:
    """Return how many results there are, and if they are wanted, a line for each.

    Raises:
        UnusableResultError: It is no list, array or DataFrame.
    """
    if result is None:
        raise UnusableResultError(
            "run() returned None: let it return a list, an array or a DataFrame with a row for each item that it handled"
        )
    if isinstance(result, (str, bytes, Mapping)) or not (isinstance(result, Sized) and isinstance(result, Iterable)):
        raise UnusableResultError(
            f"run() returned a {type(result).__name__}: let it return a list, an array or a DataFrame with a row for each "
            "item that it handled"
        )
    try:
        count = len(result)
    except TypeError:  # an array without a dimension
        raise UnusableResultError("run() returned one value: let it return a list with a row for each item") from None
    if not wanted:
        return count, b""
    if hasattr(result, "to_csv") and hasattr(result, "columns"):
        text = result.to_csv(sep=" ", header=False, index=False)
    else:
        text = "".join(f"{row}\n" for row in result)
    return count, text.encode("utf-8", "surrogateescape")
