"""The kind of a pipeline parameter, inferred from its default or named by its author's `type=`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, EnumMeta
from typing import Any, NamedTuple, cast, get_args, get_origin

from stepwell.blocks.datasets.sources import dataset_source
from stepwell.blocks.workspace.references import DataPath
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.values import SCALARS, plain
from stepwell.model.definitions import Scalar


class Kind(NamedTuple):
    """A parameter's type by name, the type of its items if it is a list, and the values of its enumeration."""

    type: str
    item_type: str = ""
    choices: tuple[Scalar, ...] = ()


def kind_of(name: str, default: Any, wanted: Any) -> Kind:
    """Return the kind that `wanted` names, else the default's; raise UserErrorException if there is none."""
    found = _kind_of_type(wanted) if wanted is not None else _kind_of_value(default)
    if found is None:
        raise UserErrorException(
            f"The pipeline parameter {name!r} has no type that there is"
            if wanted is not None
            else f"The default of pipeline parameter {name!r} has a type that can't be passed to a script",
            {
                "type" if wanted is not None else "default": repr(default if wanted is None else wanted),
                "types": "int, float, bool, str, an Enum of these, a list of these, DataPath, a dataset",
            },
            "Pass `type=` one of these; a DataPath and a dataset need none."
            if wanted is not None
            else "Give it a default of one of these types.",
        )
    return found


def _kind_of_type(wanted: Any) -> Kind | None:
    if wanted is list or get_origin(wanted) is list:
        return _list_of(_single(next(iter(get_args(wanted)), str)))
    return _single(wanted)


def _kind_of_value(value: Any) -> Kind | None:
    if value is None:
        return Kind("str")
    if isinstance(value, DataPath):
        return Kind("data")
    if dataset_source(value):
        return Kind("dataset")
    if isinstance(value, Enum):
        return _single(type(value))
    if not isinstance(value, (list, tuple)):
        return _named(_common([value]))
    classes = {type(item) for item in value}
    if len(classes) == 1 and isinstance(value[0], Enum):
        return _list_of(_single(classes.pop()))
    return _list_of(_named(_common(value) if value else "str"))


def _single(kind: Any) -> Kind | None:
    if isinstance(kind, EnumMeta):
        values = plain([member.value for member in cast("Iterable[Enum]", kind)])
        common = _common(values)
        return Kind(common, "", tuple(map(SCALARS[common], values))) if common else None
    return _named(next((known for known, python in SCALARS.items() if python is kind), ""))


def _common(values: Iterable[Any]) -> str:
    """Return the name of the type that all values have, '' if there is none; whole numbers among floats are floats."""
    names = {next((name for name, kind in SCALARS.items() if isinstance(value, kind)), "") for value in values}
    return "float" if names == {"int", "float"} else names.pop() if len(names) == 1 else ""


def _named(name: str) -> Kind | None:
    return Kind(name) if name else None


def _list_of(item: Kind | None) -> Kind | None:
    return Kind("list", item.type, item.choices) if item else None
