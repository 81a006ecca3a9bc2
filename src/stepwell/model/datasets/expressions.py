"""Expressions on columns of a table, or on facts of files: written with Python's operators, worked out later."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from stepwell.errors import UserErrorException

Tree = list[Any]
"""An expression as plain JSON values: the name of what is done, then what it is done to."""

_COMBINE = (
    "Write `(dataset['a'] > 1) & (dataset['b'] == 2)`: `&`, `|` and `~`, with parentheses around each comparison."
)


class Expression:
    """A column, a fact of a file, or what is worked out of them for each row."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("==", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("!=", other)

    def __lt__(self, other: object) -> Expression:
        return self._with("<", other)

    def __le__(self, other: object) -> Expression:
        return self._with("<=", other)

    def __gt__(self, other: object) -> Expression:
        return self._with(">", other)

    def __ge__(self, other: object) -> Expression:
        return self._with(">=", other)

    def __and__(self, other: object) -> Expression:
        return self._with("and", other)

    def __rand__(self, other: object) -> Expression:
        return Expression(["and", _tree(other), self.tree])

    def __or__(self, other: object) -> Expression:
        return self._with("or", other)

    def __ror__(self, other: object) -> Expression:
        return Expression(["or", _tree(other), self.tree])

    def __invert__(self) -> Expression:
        return Expression(["not", self.tree])

    def __add__(self, other: object) -> Expression:
        return self._with("+", other)

    def __radd__(self, other: object) -> Expression:
        return Expression(["+", _tree(other), self.tree])

    def __sub__(self, other: object) -> Expression:
        return self._with("-", other)

    def __rsub__(self, other: object) -> Expression:
        return Expression(["-", _tree(other), self.tree])

    def __mul__(self, other: object) -> Expression:
        return self._with("*", other)

    def __rmul__(self, other: object) -> Expression:
        return Expression(["*", _tree(other), self.tree])

    def __truediv__(self, other: object) -> Expression:
        return self._with("/", other)

    def __rtruediv__(self, other: object) -> Expression:
        return Expression(["/", _tree(other), self.tree])

    def __mod__(self, other: object) -> Expression:
        return self._with("%", other)

    def __neg__(self) -> Expression:
        return Expression(["-", ["value", 0], self.tree])

    def __bool__(self) -> bool:
        raise UserErrorException("An expression on columns is neither true nor false by itself", hint=_COMBINE)

    def is_null(self) -> Expression:
        """Return whether there is no value."""
        return Expression(["is_null", self.tree])

    def is_in(self, values: Any) -> Expression:
        """Return whether the value is one of these."""
        return Expression(["is_in", self.tree, *(_tree(value) for value in values)])

    def starts_with(self, text: str) -> Expression:
        """Return whether the text begins so."""
        return self._with("starts_with", text)

    def ends_with(self, text: str) -> Expression:
        """Return whether the text ends so."""
        return self._with("ends_with", text)

    def contains(self, text: str) -> Expression:
        """Return whether the text has this one in it."""
        return self._with("contains", text)

    def _with(self, name: str, other: object) -> Expression:
        return Expression([name, self.tree, _tree(other)])

    def __repr__(self) -> str:
        return f"Expression({in_words(self.tree)})"


def column(name: str) -> Expression:
    """Return the expression that is the column of this name."""
    return Expression(["column", name])


def metadata(name: str) -> Expression:
    """Return the expression that is this fact of a file."""
    return Expression(["metadata", name])


def _tree(value: object) -> Tree:
    if isinstance(value, Expression):
        return value.tree
    if isinstance(value, (datetime, date)):
        return ["time", value.isoformat()]
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a number of NumPy's
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return ["value", value]
    raise UserErrorException(
        f"A column can't be compared with a {type(value).__name__}",
        hint="Compare it with a text, a number, True, False, a time or another column.",
    )


def in_words(tree: Tree) -> str:
    """Return the expression as its author may have written it."""
    name, *parts = tree
    if name in ("column", "metadata"):
        return f"dataset[{parts[0]!r}]" if name == "column" else f"dataset.file_metadata({parts[0]!r})"
    if name in ("value", "time"):
        return repr(parts[0])
    if name == "not":
        return f"~{in_words(parts[0])}"
    if name.isidentifier() and name not in ("and", "or"):
        return f"{in_words(parts[0])}.{name}({', '.join(map(in_words, parts[1:]))})"
    sign = {"and": "&", "or": "|"}.get(name, name)
    return f"({in_words(parts[0])} {sign} {in_words(parts[1])})"


def names_in(tree: Tree, kind: str = "column") -> list[str]:
    """Return the columns, or facts of files, that the expression names."""
    if tree[0] in ("column", "metadata"):
        return [tree[1]] if tree[0] == kind else []
    found = [name for part in tree[1:] if isinstance(part, list) for name in names_in(part, kind)]
    return list(dict.fromkeys(found))


# Working it out -----------------------------------------------------------------------------------------------------


def worked_out(tree: Tree, value_of: Callable[[str, str], Any]) -> Any:
    """Return the expression's value, of all rows at once if `value_of` returns columns; it takes what is named, and its name.

    Raises:
        UserErrorException: Values can't be compared.
    """
    try:
        return _value(tree, value_of)
    except (TypeError, AttributeError) as error:
        raise UserErrorException(
            "A filter can't be worked out",
            {"filter": in_words(tree), "reason": error},
            "Compare a column with values of its own type.",
        ) from error


def _value(tree: Tree, value_of: Callable[[str, str], Any]) -> Any:
    name, *parts = tree
    if name in ("column", "metadata"):
        return value_of(name, parts[0])
    if name == "value":
        return parts[0]
    if name == "time":
        return datetime.fromisoformat(parts[0])
    values = [_value(part, value_of) for part in parts]
    if name in ("and", "or"):
        left, right = (_truth(value) for value in values)
        return left & right if name == "and" else left | right
    if name == "not":
        truth = _truth(values[0])
        return ~truth if hasattr(truth, "dtype") else not truth
    if name in _TESTS:
        return _TESTS[name](*values)
    left, right = _of_one_zone(*values)
    return _OPERATORS[name](left, right)


def _truth(value: Any) -> Any:
    """Return a column's values as true or false; where there is none, it is false."""
    if not hasattr(value, "dtype"):
        return bool(value)
    return value if value.dtype == bool else value.where(value.notna(), other=False).astype(bool)


def _of_one_zone(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two values to be compared, times among them both in UTC: with a zone if the column has one, else without."""
    if isinstance(right, datetime):
        return left, in_zone_of(left, right)
    if isinstance(left, datetime):
        return in_zone_of(right, left), right
    return left, right


def in_zone_of(values: Any, time: datetime) -> datetime:
    """Return the time so that it can be compared with the values of a column, or with another time."""
    zone = getattr(getattr(values, "dtype", None), "tz", None) or getattr(values, "tzinfo", None)
    if zone is not None:
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def _is_null(value: Any) -> Any:
    return value.isna() if hasattr(value, "isna") else value is None


def _is_in(value: Any, *others: Any) -> Any:
    return value.isin(list(others)) if hasattr(value, "isin") else value in others


def _text_test(name: str) -> Callable[[Any, str], Any]:
    def test(value: Any, text: str) -> Any:
        if hasattr(value, "str"):
            return getattr(value.str, name)(text, **({"regex": False} if name == "contains" else {}), na=False)
        return text in value if name == "contains" else getattr(value, name)(text)

    return test


_TESTS: dict[str, Callable[..., Any]] = {
    "is_null": _is_null,
    "is_in": _is_in,
    "starts_with": _text_test("startswith"),
    "ends_with": _text_test("endswith"),
    "contains": _text_test("contains"),
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
