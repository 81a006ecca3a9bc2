"""Metrics: values of any library as plain JSON and back, and what the values logged under one name add up to.

JSON has no NaN: `encoded` writes {"$float": "NaN"}, "Infinity" or "-Infinity", and puts one more `$` before keys that
begin with `$`; `decoded` turns that back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stepwell.errors import UserErrorException

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any, Literal

    Scope = Literal["step", "parent"]

KINDS: dict[str, type] = {
    "scalar": object,
    "list": list,
    "row": dict,
    "table": dict,
    "confusion_matrix": object,
    "accuracy_table": object,
    "residuals": object,
    "predictions": object,
}
"""The kinds of metrics, and what an encoded value of each must be."""


def encoded(value: Any, name: str = "value") -> Any:
    """Return `value` in plain JSON values, NaN and infinities included; raise UserErrorException if it can't be so."""
    try:
        return _plain(value)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise UserErrorException(
            f"Metric {name!r} can't be logged",
            {
                "found": f"{type(value).__module__}.{type(value).__qualname__}",
                "because": str(error) or "it can't be read",
            },
            "Log numbers, text, or lists and dictionaries of them; upload other things as files.",
        ) from error


def decoded(value: Any) -> Any:
    """Return the value that `encoded` wrote, with its floats; never raise."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$float"] and value["$float"] in ("NaN", "Infinity", "-Infinity"):
        return float(value["$float"])
    return {key.removeprefix("$"): decoded(item) for key, item in value.items()}


def finite(value: Any) -> Any:
    """Return the value with the texts `NaN`, `Infinity` and `-Infinity` for the numbers that JSON lacks."""
    if isinstance(value, float):
        plain = _plain_float(value)
        return plain["$float"] if isinstance(plain, dict) else value
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def metrics_of(events: Iterable[Mapping[str, Any]], scope: Scope = "step") -> dict[str, Any]:
    """Return the metrics by name, decoded, in v1's shapes.

    Repeated values make a list, lists are joined, rows and tables become columns (None where a row lacks one), an image
    is the path of its file. Of a name used for several kinds, the last kind counts.
    """
    found: dict[str, tuple[str, list[Any]]] = {}
    for event in events:
        if event["scope"] == scope and event["type"] in ("metric", "image"):
            name, kind = event["name"], event.get("kind", "image")
            if name not in found or found[name][0] != kind:
                found[name] = (kind, [])
            found[name][1].append(decoded(event["value"]))
    return {name: _shaped(kind, values) for name, (kind, values) in found.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        str(int(value))  # fails here, not in the reader, beyond Python's limit of digits
        return int(value)
    if isinstance(value, float):
        return _plain_float(float(value))
    if isinstance(value, Mapping):
        return {("$" + str(key) if str(key).startswith("$") else str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item) for item in value]
    return _plain_foreign(value)


def _plain_float(value: float) -> Any:
    if value - value == 0:
        return value
    return {"$float": "Infinity" if value > 0 else "-Infinity" if value < 0 else "NaN"}


def _plain_foreign(value: Any) -> Any:
    """Return what numbers, arrays and dates of other libraries stand for, without importing these."""
    for method in ("tolist", "item", "numpy"):
        if hasattr(value, method):
            own = getattr(value, method)()
            if type(own) is not type(value):
                return _plain(own)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "__float__"):
        return _plain_float(float(value))
    raise TypeError(f"an object of type {type(value).__name__} is neither number nor text")


def _shaped(kind: str, values: list[Any]) -> Any:
    if kind == "row":
        return {column: [row.get(column) for row in values] for column in _columns(values)}
    if kind == "list":
        return [item for part in values for item in part]
    if len(values) == 1:
        return values[0]
    if kind == "table":
        return {column: [cell for table in values for cell in _cells(table, column)] for column in _columns(values)}
    return values


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def _cells(table: Mapping[str, Any], column: str) -> list[Any]:
    cells = table.get(column, [])
    return cells if isinstance(cells, list) else [cells]
