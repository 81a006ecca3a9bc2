"""Values and type hints: what fits, and what is said of what doesn't."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, Protocol

import pytest

from stepwell.blocks.arguments.hints import Words, expected_of, mismatch


class Place:
    pass


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Careful:
    @property
    def name(self) -> str:
        raise AssertionError("nobody may ask for it")


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "hint"),
    [("a", str), (1, int), (1, float), (1.5, float), (True, bool), (True, bool | int), (None, str | None), (Place, Any),
     (["a"], Sequence[str]), (("a",), Sequence[str]), ([], list[int]), ((1, 2), tuple[int, ...]), (range(3), Sequence[int]),
     ({1, 2}, AbstractSet[int]), (iter("ab"), Iterable[str]), ({"a": 1}, Mapping[str, int]), ({"a": 1}, dict[str, Any]),
     (Path("a"), os.PathLike[str]), ("cpu", Literal["", "cpu"]), (Place(), Place), (len, Callable[..., Any]),
     (datetime(2026, 1, 1), datetime | str), (Enum("E", "A").A, str | Enum), ((Place(), 1), tuple[Place, int]),
     (SimpleNamespace(name="x"), Named), (Careful(), Named), (2, Annotated[int, "anything"])],
)  # fmt: skip
def test_what_fits(value, hint):
    assert mismatch("x", value, hint) is None


@pytest.mark.parametrize(
    ("value", "hint", "name", "given", "expected"),
    [("--rate 0.1", Sequence[Any] | None, "x", "'--rate 0.1'", "a list"),
     (b"ab", Iterable[int], "x", "bytes: b'ab'", "a list of whole numbers"),
     ("False", bool, "x", "'False'", "True or False"), (1, bool, "x", "1", "True or False"),
     (True, int, "x", "True", "a whole number"), (True, float | None, "x", "True", "a number"), (2.0, int, "x", "2.0", "a whole number"),
     (None, str, "x", "None", "a text"), (Path("a"), str, "x", f"a {type(Path()).__name__}: {Path('a')!r}", "a text"),
     (Place(), str | int, "x", "a Place", "a text or a whole number"), (Place, Place | None, "x", "the class Place", "a Place"),
     (["a", 1], Sequence[str], "x[1]", "1", "a text"), ({"a": {"b": 1}}, Mapping[str, Mapping[str, str]], "x['a']['b']", "1", "a text"),
     ((1,), tuple[int, str], "x", "(1,)", "a tuple (int, str)"), ((1, 2), tuple[int, str], "x[1]", "2", "a text"),
     ({1}, Sequence[int], "x", "a set: {1}", "a list of whole numbers"), ("a", Mapping[str, str], "x", "'a'", "a dict"),
     ("b", Literal["", "cpu"], "x", "'b'", "'' or 'cpu'"), (5, os.PathLike[str] | str, "x", "5", "a path or a text"),
     (5, Named, "x", "5", "a Named"), (Silent(), int, "x", "a Silent", "a whole number"),
     (5, Annotated[Place | str, Words("a place, or its name")], "x", "5", "a place, or its name")],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_is_given_and_what_is_expected(value, hint, name, given, expected):
    found = mismatch("x", value, hint)
    assert found is not None and found[:3] == (name, given, expected)
    assert found.hint[0].isupper() and found.hint.endswith(".")


@pytest.mark.parametrize(
    ("value", "hint", "advice"),
    [("--rate 0.1", Sequence[Any], "Write ['--rate', '0.1']."), (Place(), Sequence[Place], "Put it in a list."),
     ("False", bool, "Write False, without quotes."), ("3", int, "Write the number without quotes."),
     ({1}, Sequence[int], "Pass a list of whole numbers.")],
)  # fmt: skip
def test_the_hint_says_what_to_write(value, hint, advice):
    assert mismatch("x", value, hint).hint == advice


def test_secrets_and_long_values_are_not_shown():
    assert mismatch("password", 12345, str).given == "***"
    assert mismatch("options", {"token": Place()}, Mapping[str, str]).given == "***"
    assert len(mismatch("x", "a" * 500, int).given) < 100 and "\n" not in mismatch("x", "a\nb\n" * 90, int).given


def test_none_is_expected_only_where_nothing_else_is():
    assert (expected_of(str | None), expected_of(None)) == ("a text", "None")
