"""Types of columns: found out from texts, or as their author wants them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import ColumnType

_ISO = re.compile(
    r"\d{4}([-/])\d{2}\1\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)?(?:\s?(?:Z|UTC|[+-]\d{2}:?\d{2}))?"
)
_AMERICAN = re.compile(r"\d{1,2}/(\d{1,2})/\d{4}(?: \d{1,2}:\d{2}(?::\d{2})?(?: [AP]M)?)?")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def kind_of(values: Any) -> str:
    """Return what pandas took a column of texts for: number, truth, text, other, or none if nothing is there."""
    if values.dtype.kind in "if":
        return "number" if values.notna().any() else "none"
    if values.dtype.kind != "O" or values.dtype != object:
        return {"b": "truth", "O": "text"}.get(values.dtype.kind, "other")
    first = next(iter(values.dropna()), "")
    return "truth" if isinstance(first, bool) else "text" if isinstance(first, str) else "other"


def inferred(texts: Any) -> Any:
    """Return a column as what all of its texts are: truth values, numbers, times, else texts."""
    import pandas as pd

    if kind_of(texts) != "text":
        return texts
    present = texts.dropna()
    if present.empty:
        return texts.astype("float64")
    lowered = present.str.lower()
    if lowered.isin(["true", "false"]).all():
        truths = texts.str.lower() == "true"
        return truths.astype(bool) if len(present) == len(texts) else truths.astype(object).where(texts.notna())
    numbers = _numbers(texts, pd)
    if numbers is not None:
        return numbers
    times = _times(texts, present, pd, sure=True)
    return texts if times is None else times


def _numbers(texts: Any, pd: Any) -> Any:
    try:
        numbers = pd.to_numeric(texts.astype(object))
        # pandas is off by one in the last digit of some, Python is not
        return numbers if numbers.dtype.kind in "iu" else texts.astype(object).astype("float64")
    except (ValueError, TypeError, OverflowError):
        return None


def _times(texts: Any, present: Any, pd: Any, *, sure: bool) -> Any:
    """Return the texts as times in UTC, None if they are none; `sure`: only if day and month can't be mistaken."""
    first = present.iloc[0]
    try:
        if _ISO.fullmatch(first):
            if not present.map(lambda text: bool(_ISO.fullmatch(text))).all():
                return None
            plain = texts.str.replace("/", "-", regex=False)
            return naive(pd.to_datetime(plain, format="ISO8601", utc=True))
        if _AMERICAN.fullmatch(first):
            found = present.map(_AMERICAN.fullmatch)
            if not found.map(bool).all() or (sure and not found.map(lambda match: int(match[1]) > 12).any()):
                return None
            return naive(pd.to_datetime(texts, format="mixed", dayfirst=False, utc=True))
    except (ValueError, OverflowError):
        return None
    return None


def naive(times: Any) -> Any:
    """Return times with a zone as those in UTC without one."""
    if getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times


def converted(name: str, values: Any, wanted: ColumnType, *, strict: bool, strict_times: bool) -> Any:
    """Return a column as its author wants it; what can't be is no value, or raises UserErrorException if `strict`."""
    result = _CONVERSIONS[wanted.type](values, wanted)
    lost = result.isna() & values.notna()
    if lost.any() and (strict_times if wanted.type == "datetime" and strict_times else strict):
        raise UserErrorException(
            f"A value of the column {name!r} is no {wanted.type}",
            {"value": repr(values[lost].iloc[0]), "rows": int(lost.sum())},
            "Choose another type in `set_column_types`, or pass `on_error='null'`.",
        )
    return result


def _to_text(values: Any, _: ColumnType) -> Any:
    return values if values.dtype == "str" else values.astype(str).where(values.notna())


def _to_long(values: Any, _: ColumnType) -> Any:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce")
    whole = numbers.where(numbers.isna() | (numbers % 1 == 0))
    return whole if whole.isna().any() else whole.astype("int64")


def _to_float(values: Any, wanted: ColumnType) -> Any:
    import pandas as pd

    if wanted.decimal_mark != "." and values.dtype.kind not in "iuf":
        values = values.str.replace(".", "", regex=False).str.replace(wanted.decimal_mark, ".", regex=False)
    exact = _numbers(values, pd)
    return (pd.to_numeric(values, errors="coerce") if exact is None else exact).astype("float64")


def _to_bool(values: Any, wanted: ColumnType) -> Any:
    if values.dtype == bool:
        return values
    true = [text.lower() for text in wanted.true_values or _TRUE]
    false = [text.lower() for text in wanted.false_values or _FALSE]
    otherwise = {"true": True, "false": False, "error": None}[wanted.mismatch_as]

    def truth(value: Any) -> Any:
        text = str(value).lower()
        return True if text in true else False if text in false else otherwise

    found = values.astype(object).map(truth, na_action="ignore")
    return found.astype(bool) if found.notna().all() else found


def _to_time(values: Any, wanted: ColumnType) -> Any:
    import pandas as pd

    if values.dtype.kind == "M":
        return naive(values)
    if not wanted.formats:
        present = values.dropna()
        texts = bool(len(present)) and present.map(lambda value: isinstance(value, str)).all()
        times = _times(values, present, pd, sure=False) if texts else None
        if times is not None:
            return times
        return naive(pd.to_datetime(values, format="mixed" if texts else None, errors="coerce", utc=True))
    result = None
    for pattern in wanted.formats:
        times = naive(pd.to_datetime(values, format=pattern, errors="coerce", utc=True))
        result = times if result is None else result.fillna(times)
    return result


_CONVERSIONS: dict[str, Callable[[Any, ColumnType], Any]] = {
    "string": _to_text,
    "stream": _to_text,
    "long": _to_long,
    "float": _to_float,
    "bool": _to_bool,
    "datetime": _to_time,
}
