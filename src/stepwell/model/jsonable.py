"""Frozen dataclasses as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from stepwell.model.fingerprint import Fingerprint, Row


class Jsonable:
    """A frozen dataclass that turns into plain JSON values and back, by its type hints."""

    def to_json(self) -> dict[str, Any]:
        """Return the field names and their plain values, nested ones included."""
        return {name: _plain(getattr(self, name)) for name in _fields(type(self))}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the value that `to_json` wrote.

        Missing or foreign fields raise TypeError, wrong shapes that or ValueError.
        """
        hints, found = _hints(cls), _object(data)  # type: ignore[arg-type]
        return cls(**{name: _revive(hints[name], value) if name in hints else value for name, value in found.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


@cache
def _fields(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, Fingerprint):
        return [list(row) for row in value.rows]
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _revive(hint: Any, value: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        if isinstance(value, list):
            return next((_revive(arg, value) for arg in args if get_origin(arg) is tuple), value)
        classes = [arg for arg in args if isinstance(arg, type) and issubclass(arg, Jsonable)]
        fitting = [
            cls
            for cls in classes
            if isinstance(value, dict) and {f.name for f in dataclasses.fields(cls)} == set(value)  # type: ignore[arg-type]
        ]
        return fitting[0].from_json(value) if fitting else value
    if hint is Fingerprint:
        return Fingerprint(tuple(Row(*row) for row in value))
    if origin is tuple:
        items = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(_revive(item, entry) for item, entry in zip(items, value, strict=True))
    if origin is dict:
        return {name: _revive(args[1], entry) for name, entry in _object(value).items()}
    if isinstance(hint, type) and issubclass(hint, Jsonable):
        return hint.from_json(value)
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return hint(*value)
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"there is a {type(value).__name__} where an object should be")
    return value
