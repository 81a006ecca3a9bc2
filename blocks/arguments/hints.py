"""Values and type hints: whether they fit, and in which words to say that they don't."""

from __future__ import annotations

import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cache, cached_property, partial
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from stepwell.model.redaction import is_secret_name

_SCALARS = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", bytes: "bytes"}
_LISTS = (list, tuple, Sequence, Iterable, AbstractSet, set, frozenset)
_LONGEST = 80
_NAMES = {
    "Storage": "Datastore",
    "DatastoreOwner": "Workspace",
    "ExperimentLike": "Experiment",
    "EnumType": "enumeration",
    "EnumMeta": "enumeration",
}


class Words(NamedTuple):
    """The words for what a hint takes, in `Annotated`, where the hint alone would be told in too many."""

    text: str


MISPLACED = "_hint_if_misplaced"
"""The attribute of a class with the hint for who passes an object of it where it has no place."""


class Mismatch(NamedTuple):
    """An argument, or an item of it, that is not what its type hint says, and what to do about it."""

    name: str
    given: str
    expected: str
    hint: str


def mismatch(name: str, value: Any, hint: Any) -> Mismatch | None:
    """Return what is wrong with the value of an argument, None if it fits the type hint."""
    if fitting(hint)(value):
        return None
    for part, item, inner in _parts(name, value, hint):
        found = mismatch(part, item, inner)
        if found is not None:
            return found
    expected = expected_of(hint)
    given = "***" if is_secret_name(re.sub(r"\W", "_", name).strip("_")) else _given(value)
    return Mismatch(name, given, expected, _advice(value, hint, expected))


def expected_of(hint: Any) -> str:
    """Return words for what a type hint takes, such as `a list of texts`; of None only if it is all."""
    kinds = [kind for kind in _alternatives(hint) if kind is not types.NoneType]
    words = list(dict.fromkeys(_word(kind) for kind in kinds))
    return _either(words or ["None"])


class Fitting:
    """Tells whether a value fits a hint; to be kept, since to look up a hint takes longer than most values."""

    def __init__(self, hint: Any) -> None:
        self._hint, self._kinds = hint, _sure_kinds(hint)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What pydantic makes of the hint."""
        return TypeAdapter(_strict(self._hint), config=ConfigDict(strict=True, arbitrary_types_allowed=True))

    def __call__(self, value: Any) -> bool:
        """Return whether the value fits."""
        if type(value) in self._kinds:
            return True
        try:
            self.adapter.validate_python(value)
        except ValidationError:
            return False
        return True


fitting = cache(Fitting)


def read_ahead(hint: Any) -> None:
    """Have what tells whether values fit the hint."""
    with suppress(Exception):  # it is told once there is a value
        _ = fitting(hint).adapter


def _sure_kinds(hint: Any) -> frozenset[type]:
    """Return the types of which every value fits the hint, subclasses aside, as far as that is known without pydantic."""
    if get_origin(hint) is Annotated:
        return _sure_kinds(get_args(hint)[0])
    kinds = [kind for kind in _alternatives(hint) if isinstance(kind, type) and get_origin(kind) is None]
    return frozenset(kind for kind in kinds if kind is not object and not getattr(kind, "_is_protocol", False))


def _strict(hint: Any) -> Any:
    """Return the hint as pydantic is to take it: classes by instance only, and no text for a list of anything."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return Any
    if hint is None or hint in _SCALARS or hint is types.NoneType or origin is Literal:
        return hint
    if origin is Annotated:
        return _strict(args[0])
    if origin in (Union, types.UnionType):
        return Union[tuple(_strict(arg) for arg in args)]  # noqa: UP007  (of as many as there are)
    if origin in (Sequence, Iterable, AbstractSet):
        return Annotated[Any, BeforeValidator(partial(_listed, origin, fitting(args[0])))]
    if origin is Mapping:
        keyed: Any = Mapping
        return keyed[_strict(args[0]), _strict(args[1])]
    if origin in (list, tuple, dict, set, frozenset):
        return origin[tuple(arg if arg is Ellipsis else _strict(arg) for arg in args)]
    if origin is Callable:
        return Callable
    kind = origin or hint
    return _instance_of(kind) if isinstance(kind, type) else kind


class _Instance(NamedTuple):
    """What lets pydantic ask for an instance, and look no further: into no dataclass and no model."""

    kind: type

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        """Return pydantic's schema of an instance, or of what has a protocol's members; their values are not asked for."""
        if getattr(self.kind, "_is_protocol", False):
            return core_schema.no_info_plain_validator_function(self._with_members)
        return core_schema.is_instance_schema(self.kind)

    def _with_members(self, value: Any) -> Any:
        missing, kind = object(), type(value)
        lacking = _lacking(kind, self.kind)  # type: ignore[arg-type]
        if any(inspect.getattr_static(value, name, missing) is missing for name in lacking):
            raise ValueError("lacks a member of the protocol")
        return value


@cache
def _lacking(kind: type, protocol: type) -> tuple[str, ...]:
    """Return the protocol's members that a class lacks, so that only its objects may have them."""
    members = (name for base in protocol.__mro__ for name in vars(base) if name[0] != "_" and base is not object)
    return tuple(name for name in members if not any(name in vars(base) for base in kind.__mro__))


def _instance_of(kind: Any) -> Any:
    return Annotated[Any, _Instance(kind)]


def _listed(kind: type, fits: Callable[[Any], bool], value: Any) -> Any:
    """Return the value; raise ValueError if it is of another kind, a text, or holds an item that doesn't fit."""
    if not isinstance(value, kind) or isinstance(value, (str, bytes)):
        raise ValueError("no list")  # noqa: TRY004  (what pydantic takes for a refusal)
    if isinstance(value, (Sequence, AbstractSet)) and not all(map(fits, value)):
        raise ValueError("holds something else")
    return value


def _parts(name: str, value: Any, hint: Any) -> list[tuple[str, Any, Any]]:
    """Return the items of a list or dict with their names and the hints that they have to fit; none of other values."""
    found: list[tuple[str, Any, Any]] = []
    for kind in _alternatives(hint):
        origin, args = get_origin(kind), get_args(kind)
        if origin in (list, tuple, Sequence) and isinstance(value, origin) and not isinstance(value, (str, bytes)):
            inner = args if origin is tuple and Ellipsis not in args else args[:1] * len(value)
            if len(inner) == len(value):
                found += [(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(value, inner, strict=True))]
        if origin in (dict, Mapping) and isinstance(value, Mapping):
            found += [(f"{name}[{key!r}]", item, args[1]) for key, item in value.items()]
    return found


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the hints that a union joins, nested ones too; the hint itself if it is none."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for arg in get_args(hint) for kind in _alternatives(arg))
    return (types.NoneType,) if hint is None else (hint,)


def _word(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if origin is Literal:
        return _either(list(map(repr, args)))
    if origin is Annotated:
        return "".join(word.text for word in args[1:] if isinstance(word, Words)) or expected_of(args[0])
    if origin is tuple and Ellipsis not in args:
        return f"a tuple ({', '.join(map(_plain, args))})"
    if origin in _LISTS:
        words = "a list" if origin in (Sequence, Iterable) else f"a {origin.__name__.lower()}"
        return f"{words} of {_plural(args[0])}" if _plural(args[0]) else words
    if origin in (dict, Mapping):
        return "a dict"
    if origin is Callable or kind is Callable:
        return "a function"
    if (origin or kind) is os.PathLike:
        return "a path"
    name = _NAMES.get(_plain(origin or kind), _plain(origin or kind))
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def _plain(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).removeprefix("Base")


def _plural(kind: Any) -> str:
    """Return the word for several values of a kind, '' if there is none in one word."""
    return {str: "texts", int: "whole numbers", float: "numbers"}.get(kind, "")


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def _given(value: Any) -> str:
    """Return the value as its user wrote it, or what it is if that is long."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if "__repr__" not in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}:
        return _word(type(value))
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  (a user's own class)
        return _word(type(value))
    kind = (
        "" if type(value) in (str, int, float, bool, list, tuple, dict, types.NoneType) else f"{_word(type(value))}: "
    )
    lines = shown.splitlines() or [""]
    if len(lines) > 1 or len(shown) > _LONGEST:
        return f"{_word(type(value))}" if kind else f"{lines[0][:_LONGEST]} …"
    return f"{kind}{shown}"


def _advice(value: Any, hint: Any, expected: str) -> str:
    """Return a hint that begins with a verb: that of the value's class, if it is one that people may misplace."""
    own = getattr(type(value), MISPLACED, None)
    if isinstance(own, str):
        return own
    kinds = _alternatives(hint)
    listed = any(get_origin(kind) in _LISTS for kind in kinds)
    if isinstance(value, str) and listed:
        words = value.split() if " " in value.strip() else [value]
        return f"Write {words!r}."
    if (
        listed
        and not isinstance(value, Iterable)
        and any(fitting(kind)([value]) for kind in kinds if get_origin(kind) in _LISTS)
    ):
        return "Put it in a list."
    if isinstance(value, str) and bool in kinds and value.strip().lower() in ("true", "false"):
        return f"Write {value.strip().capitalize()}, without quotes."
    if isinstance(value, str) and (int in kinds or float in kinds):
        return "Write the number without quotes."
    return f"Pass {expected}."
