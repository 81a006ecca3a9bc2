"""`checked`: a class whose public functions take what their type hints say, and refuse the rest in a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from difflib import get_close_matches
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, Unpack, get_args, get_origin, get_type_hints

import stepwell
from stepwell.blocks.arguments import hints
from stepwell.blocks.arguments.hints import Fitting, fitting, mismatch
from stepwell.errors import UserErrorException

C = TypeVar("C", bound=type)
_CONSTRUCTORS = ("__init__", "__new__")
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


def checked(cls: C) -> C:
    """Return the class, its constructor and public functions checking what they are called with, by their type hints.

    A function with `**more: Unpack[SomeTypedDict]` takes the names of that dictionary; any other `**more` takes every name.
    Functions of bases that say `checked_by_heirs`, since they travel to where nothing is checked, are checked too.
    """
    bases = [base for base in cls.__mro__[:0:-1] if vars(base).get("checked_by_heirs")]
    inherited = {
        name: member
        for base in bases
        for name, member in vars(base).items()
        if inspect.getattr_static(cls, name) is member
    }
    for name, member in [*inherited.items(), *vars(cls).items()]:
        if name.startswith(("_", "model_")) and name not in _CONSTRUCTORS:
            continue
        if isinstance(member, (classmethod, staticmethod)):
            setattr(cls, name, type(member)(_checking(member.__func__, cls, isinstance(member, staticmethod))))
        elif inspect.isfunction(member):
            setattr(cls, name, _checking(member, cls, False))
    return cls


@contextmanager
def unchecked() -> Iterator[None]:
    """Let fields be filled with what isn't of their types but can be converted: what was stored, or typed in as text."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def is_checking() -> bool:
    """Return whether values have to be of the types that the hints name; only `unchecked` lets them be others."""
    return not _unchecked.get()


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise UserErrorException if one of the given names is none of the known ones, with the nearest of these."""
    known = [*known]
    names = [name for name in known if not name.startswith("_")]
    for name in given:
        if name not in known:
            near = get_close_matches(name, names, 1, 0.5)
            hint = f"Write `{near[0]}`." if near else "Remove it, or write one of these."
            raise UserErrorException(
                f"{what} takes no argument {name!r}", {"arguments": ", ".join(names) or "none"}, hint
            )


def refuse_mistyped(what: str, name: str, value: Any, hint: Any) -> None:
    """Raise UserErrorException if the value of the argument is not what its type hint says."""
    wrong = mismatch(name, value, hint)
    if wrong is not None:
        raise UserErrorException(
            f"`{wrong.name}` of {what} must be {wrong.expected}, not {wrong.given}", hint=wrong.hint
        )


def hints_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the type hints of the function's arguments, as far as they can be read while it runs.

    A class that only type checkers import is looked for among the public names; of another one nothing is known.
    """
    scope = inspect.unwrap(function).__globals__  # of what another decorator may have wrapped, too
    found: dict[str, Any] = {}
    for name, hint in function.__annotations__.items():
        alone = SimpleNamespace(__annotations__={name: hint})
        with suppress(NameError):
            found |= get_type_hints(alone, scope, _PublicNames(scope), include_extras=True) if name != "return" else {}
    return found


class _PublicNames(dict[str, Any]):
    """The public names that a module does not import itself, and their bases `Base…`."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        super().__init__()
        self._scope = scope

    def __missing__(self, name: str) -> Any:
        public = name.removeprefix("Base")
        if name in self._scope or public not in stepwell.__all__:
            raise KeyError(name)
        return next(kind for kind in getattr(stepwell, public).__mro__ if kind.__name__ == name)


def read_ahead(*functions: Any) -> None:
    """Read what these functions of checked classes take, so that it is known once they are called."""
    for function in functions:
        inner = getattr(getattr(function, "__func__", function), "__wrapped__", None)
        for hint in _takes(inner, False).types.values() if inner is not None else ():
            hints.read_ahead(hint)


def _checking(function: Callable[..., Any], owner: type, static: bool) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _check(function, _words(function, owner, None if static else args[0]), args, kwargs, static)
        return function(*args, **kwargs)

    call.__signature__ = signature  # type: ignore[attr-defined]  # (v1's users look at `inspect.getfullargspec`)
    return call


def _words(function: Callable[..., Any], owner: type, bound: Any) -> str:
    """Return the words for what is called: the class, or the class and its function."""
    kind = owner if bound is None else bound if isinstance(bound, type) else type(bound)
    return kind.__name__ if function.__name__ in _CONSTRUCTORS else f"{kind.__name__}.{function.__name__}"


class _Takes(NamedTuple):
    """What a function takes, as its signature and its hints say."""

    placed: tuple[str, ...]
    """Those that may be passed without their names."""

    needed: tuple[str, ...]
    types: Mapping[str, Any]
    """The type hint of each, also of those that `**more` lists."""

    fits: Mapping[str, Fitting]
    """What tells of a value of each whether it is of that type; of those that are no words of users there is none."""

    repeats: bool
    """Whether it takes any number without names."""

    any_name: bool


@cache
def _takes(function: Callable[..., Any], static: bool) -> _Takes:
    parameters = [*inspect.signature(function).parameters.values()][0 if static else 1 :]
    known = hints_of(function)
    rest = next((p for p in parameters if p.kind is p.VAR_KEYWORD), None)
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    more = _more(known.get(rest.name)) if rest else {}
    types = {**{p.name: known.get(p.name, Any) for p in named}, **(more or {})}
    return _Takes(
        tuple(p.name for p in named if p.kind in _BY_POSITION),
        tuple(p.name for p in named if p.default is p.empty),
        types,
        {name: fitting(hint) for name, hint in types.items() if not name.startswith("_")},
        any(p.kind is p.VAR_POSITIONAL for p in parameters),
        more is None,
    )


def _check(
    function: Callable[..., Any], what: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], static: bool
) -> None:
    takes = _takes(function, static)
    given = args if static else args[1:]
    if not (takes.any_name or kwargs.keys() <= takes.types.keys()):
        refuse_unknown(what, kwargs, takes.types)
    if len(given) > len(takes.placed) and not takes.repeats:
        raise UserErrorException(
            f"{what} takes at most {len(takes.placed)} arguments without their names, not {len(given)}",
            {"arguments": ", ".join(takes.placed) or "none"},
            "Name the arguments.",
        )
    values = dict(zip(takes.placed, given, strict=False))
    for name in values.keys() & kwargs.keys():
        raise UserErrorException(f"{what} is given `{name}` twice", hint="Pass it once.")
    values.update(kwargs)
    for name in takes.needed:
        if name not in values:
            raise UserErrorException(f"{what} needs `{name}`", hint=f"Pass `{name}=`.")
    for name, value in values.items():
        if name in takes.fits and not takes.fits[name](value):
            refuse_mistyped(what, name, value, takes.types[name])


def _more(hint: Any) -> dict[str, Any] | None:
    """Return the names and types that `**more` takes, None if it takes any."""
    return get_type_hints(get_args(hint)[0], include_extras=True) if get_origin(hint) is Unpack else None
