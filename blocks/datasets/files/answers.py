"""What databases answer, as tables: each column in the one type that holds all its values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.script.tables.reading import library

_LONG = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)
_PLAIN = (str, bytes, bool, int, float, Decimal, date, datetime, time, timedelta)
_WORDS = {str: "texts", bytes: "bytes", bool: "truth values", int: "whole numbers", float: "numbers with a point"}


def table_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a DataFrame of an answer.

    Raises:
        UserErrorException: Two columns have one name, or one column has values that no type holds.
    """
    pandas = library("pandas")
    for place, name in enumerate(names):
        if name in names[:place]:
            title = (
                f"Two columns of the answer are called {name!r}"
                if name
                else "Several columns of the answer have no name"
            )
            hint = "Name the columns in the query, each another way: SELECT a.id AS a_id, …."
            raise UserErrorException(title, {"columns": ", ".join(names)}, hint)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pandas.DataFrame({name: _column(name, values) for name, values in zip(names, columns, strict=True)})


def _column(name: str, given: Sequence[Any]) -> Any:
    pandas, pyarrow = library("pandas"), library("pyarrow")
    values = [_plain(value) for value in given]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, Decimal}:
        values, kinds = [Decimal(value) if isinstance(value, int) else value for value in values], {Decimal}
    if kinds == {bool}:
        return pandas.array(values, dtype="boolean")
    if kinds == {int} and all(value in _LONG for value in values if value is not None):
        return pandas.array(values, dtype="Int64")
    if kinds == {float} or (kinds == {int, float} and all(value in _EXACT for value in values if type(value) is int)):
        return pandas.array([None if value is None else float(value) for value in values], dtype="Float64")
    if kinds == {str} or (values and not kinds):
        return pandas.array(values, dtype="string")
    if kinds == {int}:
        values, kinds = [None if value is None else Decimal(value) for value in values], {Decimal}
    if len(kinds) > 1:
        what = " and ".join(sorted(_WORDS.get(kind, kind.__name__) for kind in kinds))
        raise UserErrorException(
            f"The column {name!r} of the answer has values of several types: {what}",
            {"rows": _first_of_each(values, kinds)},
            f"Cast it in the query, such as CAST({name} AS TEXT) AS {name}.",
        )
    try:
        made = pandas.Series(values, dtype=None if kinds == {datetime} else object)
        pyarrow.array(made, from_pandas=True)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise UserErrorException(
            f"The column {name!r} of the answer has values that no table holds",
            {"reason": str(error)},
            f"Cast it in the query, such as CAST({name} AS TEXT) AS {name}.",
        ) from None
    return made


def _plain(value: Any) -> Any:
    """Return a value as a table can hold it: what only the database's driver knows as its text."""
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value if value is None or isinstance(value, (*_PLAIN, list)) else str(value)


def _first_of_each(values: Sequence[Any], kinds: set[type]) -> str:
    first = {kind: next(place for place, value in enumerate(values) if type(value) is kind) for kind in kinds}
    return ", ".join(f"{place + 1}: {values[place]!r}"[:80] for place in sorted(first.values()))
