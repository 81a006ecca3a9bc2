"""The values of pipeline parameters: what one may be, as Python's value, as text on a command line, as a script's text."""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from typing import Any, NoReturn, cast

from stepwell.blocks.workspace.references import DataPath
from stepwell.errors import UserErrorException
from stepwell.model.definitions import DataSource, ParameterDefinition, Scalar

Value = Scalar | DataSource | tuple[Scalar, ...]
SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
"""The types of single values by their names; bool first, since Python's bool is an int too."""

_BOOLS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_NULLS = ("null", "none")
_WORDS = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "True or False",
    "str": "a text",
    "data": "a DataPath",
}
_UNFIT_IN_TEXT = re.compile(r"[\0\ud800-\udfff]")
_UNFIT_IN_PATH = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_SHOWN = 200


class _Misfit(Exception):
    """Why a value is none of a parameter's: what it must do."""


# Python's values ----------------------------------------------------------------------------------------------------


def check(definition: ParameterDefinition, value: Any) -> Value:
    """`value` as the parameter keeps it; one that it doesn't allow raises UserErrorException.

    An int is taken for a float, an enumeration's member for its value, and None only where the parameter is nullable.
    """
    try:
        return _fitted(definition, plain(value))
    except _Misfit as misfit:
        return _refuse(definition, str(misfit), value, allowed(definition))


def plain(value: Any) -> Any:
    """The value without its wrapping: an enumeration's member is its value, a DataPath where it leads, a list a tuple."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return tuple(item.value if isinstance(item, Enum) else item for item in value)
    return value.source if isinstance(value, DataPath) else value


def _fitted(definition: ParameterDefinition, value: Any) -> Value:
    if value is None and definition.nullable:
        return None
    if definition.type == "data":
        return _fitted_data(value)
    if definition.type != "list":
        return _fitted_scalar(definition, definition.type, value)
    if not isinstance(value, tuple):
        raise _Misfit(f"be of type {type_name(definition)}")
    return tuple(_fitted_scalar(definition, definition.item_type, item) for item in value)


def _fitted_data(value: Any) -> DataSource:
    if not isinstance(value, DataSource):
        raise _Misfit("be of type data")
    if value.path.startswith("/") or ".." in re.split(r"[/\\]", value.path) or _UNFIT_IN_PATH.search(value.path):
        raise _Misfit("stay inside of its datastore")
    return value


def _fitted_scalar(definition: ParameterDefinition, kind: str, value: Any) -> Scalar:
    found = _typed(kind, value)
    if found is None:
        raise _Misfit(f"be of type {type_name(definition)}")
    if isinstance(found, str) and _UNFIT_IN_TEXT.search(found):
        raise _Misfit("be a text that a program can be given: without NUL, in valid Unicode")
    if definition.choices and found not in definition.choices:
        raise _Misfit("be one of its choices")
    low, high = definition.minimum, definition.maximum
    if (low is not None and cast("float", found) < low) or (high is not None and cast("float", found) > high):
        raise _Misfit(f"be {_limits(definition)}")
    return found


def _typed(kind: str, value: Any) -> Scalar:
    """The value in the type of this name, None if it is of another."""
    if isinstance(value, bool) is not (kind == "bool"):
        return None
    try:
        if kind == "float":
            return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
        if not isinstance(value, SCALARS[kind]):
            return None
        str(value)  # Python writes no number of many thousand digits
    except (OverflowError, ValueError):
        return None
    return cast("Scalar", value)


# What is said of them -----------------------------------------------------------------------------------------------


def type_name(definition: ParameterDefinition) -> str:
    """The type in words of Python, such as `list[int]`."""
    return f"list[{definition.item_type}]" if definition.type == "list" else definition.type


def allowed(definition: ParameterDefinition) -> str:
    """What the parameter may be, such as `a whole number from 1 to 10, or None`."""
    words = _WORDS[definition.item_type or definition.type]
    if definition.choices:
        words = "one of " + _shown(", ".join(map(repr, definition.choices)))
    limits = _limits(definition)
    if limits:
        words += f"{',' if limits.startswith('at') else ''} {limits}"
    if definition.type == "list":
        words = f"a list, each item {words}"
    return words + (", or None" if definition.nullable else "")


def _limits(definition: ParameterDefinition) -> str:
    low, high = definition.minimum, definition.maximum
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""


def _shown(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + " …"


def _refuse(definition: ParameterDefinition, misfit: str, value: Any, instead: str) -> NoReturn:
    try:
        shown = "***" if definition.secret else _shown(repr(value))
    except (ValueError, RecursionError):
        shown = f"a {type(value).__name__} too large to show"
    raise UserErrorException(
        f"The parameter {definition.name!r} must {misfit}", {"value": shown}, f"Pass {instead}."
    ) from None


# Text ---------------------------------------------------------------------------------------------------------------


def parse(definition: ParameterDefinition, text: str) -> Value:
    """The value that `text` from a command line means for the parameter; nonsense raises UserErrorException.

    `null` and `none` are None for nullable parameters, unless they are among the choices; a list is `1,2`, or JSON: `[1, 2]`.
    """
    if definition.nullable and text.strip().lower() in _NULLS and text not in definition.choices:
        return None
    try:
        value = _read(definition, text)
    except (ValueError, KeyError, RecursionError):
        instead = "<datastore>/<path>" if definition.type == "data" else allowed(definition)
        return _refuse(definition, f"be of type {type_name(definition)}", text, instead)
    return check(definition, value)


def _read(definition: ParameterDefinition, text: str) -> Any:
    if definition.type == "data":
        datastore, separator, path = text.partition("/")
        if not separator:
            raise ValueError(text)
        return DataSource(datastore, path)
    if definition.type != "list":
        return _read_scalar(definition.type, text)
    if text.strip().startswith("["):
        return json.loads(text)
    return [_read_scalar(definition.item_type, part.strip()) for part in text.split(",")] if text.strip() else []


def _read_scalar(kind: str, text: str) -> Any:
    return _BOOLS[text.strip().lower()] if kind == "bool" else SCALARS[kind](text)


def as_text(value: Value) -> str:
    """What a script is given for a value: v1's text forms (`True`, `0.25`, `None`), and JSON for a list."""
    if isinstance(value, DataSource):
        return f"{value.datastore}/{value.path}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else str(value)
