"""The values of pipeline parameters: as Python objects, as text of a command line, as text for a script."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, NoReturn, cast

from stepwell.blocks.datasets.sources import dataset_source, source_text, text_source
from stepwell.blocks.workspace.references import DataPath
from stepwell.errors import UserErrorException
from stepwell.model.definitions import THIS_MACHINE, DatasetSource, DataSource, ParameterDefinition, Scalar
from stepwell.model.redaction import SHORTEST_DECLARED, is_secret_name

Value = Scalar | DataSource | DatasetSource | tuple[Scalar, ...]
SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
"""The types of single values by their names; bool first, since Python's bool is an int too."""

_BOOLS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_NULLS = ("null", "none")
_TEXTS = {"data": "<datastore>/<path>", "dataset": "<name>:<version>"}
_WORDS = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "True or False",
    "str": "a text",
    "data": "a DataPath",
    "dataset": "a dataset, or <name>:<version> of a registered one",
}
_INVALID_IN_TEXT = re.compile(r"[\0\ud800-\udfff]")
_INVALID_IN_PATH = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_SHOWN = 200


class _InvalidValue(Exception):
    """What a value must be that is not valid for its parameter."""


# Python's values ----------------------------------------------------------------------------------------------------


def check(definition: ParameterDefinition, value: Any) -> Value:
    """Return `value` as the parameter stores it; raise UserErrorException if the parameter doesn't allow it.

    An int is taken for a float, an enumeration's member for its value, and None only where the parameter is nullable.
    """
    try:
        return _validated(definition, plain(value))
    except _InvalidValue as reason:
        return _raise_invalid(definition, str(reason), value, allowed(definition))


def plain(value: Any) -> Any:
    """Unwrap the value: return an enumeration's member as its value, data as their source, a list as a tuple."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return tuple(item.value if isinstance(item, Enum) else item for item in value)
    if isinstance(value, DataPath):
        return value.source
    return dataset_source(value) or value


def _validated(definition: ParameterDefinition, value: Any) -> Value:
    if value is None and definition.nullable:
        return None
    if definition.type == "data":
        return _validated_data(value)
    if definition.type == "dataset":
        return _validated_dataset(value)
    if definition.type != "list":
        return _validated_scalar(definition, definition.type, value)
    if not isinstance(value, tuple):
        raise _InvalidValue(f"be of type {type_name(definition)}")
    return tuple(_validated_scalar(definition, definition.item_type, item) for item in value)


def _validated_data(value: Any) -> DataSource:
    if not isinstance(value, DataSource):
        raise _InvalidValue("be of type data")
    if value.datastore == THIS_MACHINE:
        raise _InvalidValue("stand on a datastore")
    if value.path.startswith("/") or ".." in re.split(r"[/\\]", value.path) or _INVALID_IN_PATH.search(value.path):
        raise _InvalidValue("stay inside of its datastore")
    return value


def _validated_dataset(value: Any) -> DatasetSource:
    try:
        found = text_source(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, DatasetSource):
        raise _InvalidValue("be a dataset")
    return found


def _validated_scalar(definition: ParameterDefinition, kind: str, value: Any) -> Scalar:
    found = _typed(kind, value)
    if found is None:
        raise _InvalidValue(f"be of type {type_name(definition)}")
    if isinstance(found, str) and _INVALID_IN_TEXT.search(found):
        raise _InvalidValue("be a text that a program can be given: without NUL, in valid Unicode")
    if definition.choices and found not in definition.choices:
        raise _InvalidValue("be one of its choices")
    if masks_short_values(definition) and 0 < len(str(found).strip()) < SHORTEST_DECLARED:
        raise _InvalidValue(
            f"have at least {SHORTEST_DECLARED} characters, since a shorter secret can't be masked: any text may hold it"
        )
    low, high = definition.minimum, definition.maximum
    if (low is not None and cast("float", found) < low) or (high is not None and cast("float", found) > high):
        raise _InvalidValue(f"be {_limits(definition)}")
    return found


def _typed(kind: str, value: Any) -> Scalar:
    """Return the value in the type of this name, None if it is of another."""
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


def masks_short_values(definition: ParameterDefinition) -> bool:
    """Return whether the parameter's values are masked though they are short, or refused if they are too short for that.

    Numbers are so only if they were called secret: of those with names that sound so, most only count something.
    """
    return definition.secret and (definition.type == "str" or not is_secret_name(definition.name))


# Descriptions -------------------------------------------------------------------------------------------------------


def type_name(definition: ParameterDefinition) -> str:
    """Return the type as Python writes it, such as `list[int]`."""
    return f"list[{definition.item_type}]" if definition.type == "list" else definition.type


def allowed(definition: ParameterDefinition) -> str:
    """Describe what the parameter may be, such as `a whole number from 1 to 10, or None`."""
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


def _raise_invalid(definition: ParameterDefinition, reason: str, value: Any, instead: str) -> NoReturn:
    try:
        shown = "***" if definition.secret else _shown(repr(value))
    except (ValueError, RecursionError):
        shown = f"a {type(value).__name__} too large to show"
    raise UserErrorException(
        f"The parameter {definition.name!r} must {reason}", {"value": shown}, f"Pass {instead}."
    ) from None


# Text ---------------------------------------------------------------------------------------------------------------


def parse(definition: ParameterDefinition, text: str) -> Value:
    """Return the value that a command line's `text` means for the parameter; raise UserErrorException if it has none.

    `null` and `none` are None for nullable parameters, unless they are among the choices; a list is `1,2`, or JSON:
    `[1, 2]`.
    """
    if definition.nullable and text.strip().lower() in _NULLS and text not in definition.choices:
        return None
    try:
        value = _read(definition, text)
    except (ValueError, KeyError, RecursionError):
        instead = _TEXTS.get(definition.type) or allowed(definition)
        return _raise_invalid(definition, f"be of type {type_name(definition)}", text, instead)
    return check(definition, value)


def plain_value(definition: ParameterDefinition, text: str) -> Any:
    """Return the plain Python value of which `as_text` made the text; that of secrets and data is the text itself."""
    if definition.secret or definition.type in _TEXTS:
        return text
    try:
        value = parse(definition, text)
    except UserErrorException:  # of a definition that allowed more
        return text
    return list(value) if isinstance(value, tuple) else value


def _read(definition: ParameterDefinition, text: str) -> Any:
    if definition.type == "data":
        datastore, separator, path = text.partition("/")
        if not separator:
            raise ValueError(text)
        return DataSource(datastore, path)
    if definition.type == "dataset":
        return text
    if definition.type != "list":
        return _read_scalar(definition.type, text)
    if text.strip().startswith("["):
        return json.loads(text)
    return [_read_scalar(definition.item_type, part.strip()) for part in text.split(",")] if text.strip() else []


def _read_scalar(kind: str, text: str) -> Any:
    if kind in ("int", "float") and not text.isascii():  # Python reads the digits of every script
        raise ValueError(text)
    return _BOOLS[text.strip().lower()] if kind == "bool" else SCALARS[kind](text)


def as_text(value: Value) -> str:
    """Return the text that a script is given for a value: v1's forms (`True`, `0.25`, `None`), and JSON for a list."""
    if isinstance(value, DataSource):
        return f"{value.datastore}/{value.path}"
    if isinstance(value, DatasetSource):
        return source_text(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else str(value)


def values_in(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run's parameters in their own types, as far as what is kept of the run tells these."""
    known: dict[str, ParameterDefinition] = {}
    for plain in facts.get("pipeline", {}).get("parameters", []):
        with suppress(TypeError, ValueError, AttributeError):  # of a record that somebody edited
            definition = ParameterDefinition.from_json(plain)
            known[definition.name] = definition
    found = dict(facts.get("parameters", {}))
    for name in known.keys() & found.keys():
        with suppress(TypeError, ValueError, AttributeError, KeyError):
            found[name] = plain_value(known[name], found[name])
    return found
