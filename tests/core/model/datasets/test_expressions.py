"""Expressions on columns: written with operators, kept as plain values, worked out later."""

import json
from datetime import UTC, datetime

import pytest

from stepwell.errors import UserErrorException
from stepwell.model.datasets.expressions import Expression, column, in_words, metadata, names_in, worked_out


def value(expression: Expression, **row):
    tree = json.loads(json.dumps(expression.tree))
    return worked_out(tree, lambda kind, name: row[name])


def test_operators_mean_what_they_mean() -> None:
    a, b = column("a"), column("b")
    assert value((a > 1) & (b == "x"), a=2, b="x") is True
    assert value((a > 1) & ~(b == "x"), a=2, b="x") is False
    assert value((a + 1) * 2 - 4 / b >= 0, a=1, b=2) and value(3 - a == 1, a=2) and value(-a < 0, a=2)
    assert value(a % 2 == 1, a=3) and value(True | (a > 1), a=0) and value((a != b) | (a <= b), a=1, b=1)


def test_texts_and_nothing_can_be_asked() -> None:
    a = column("a")
    assert value(a.starts_with("x") & a.ends_with("z") & a.contains("y"), a="xyz")
    assert value(a.is_null(), a=None) and not value(a.is_null(), a=0)
    assert value(a.is_in([1, "x"]), a="x")


def test_times_are_compared_in_utc() -> None:
    when = column("when")
    at = datetime(2020, 1, 1, 12, tzinfo=UTC)
    assert value(when == at, when=at) and value(when == at, when=datetime(2020, 1, 1, 12))
    assert value(when > datetime(2020, 1, 1), when=at)


def test_python_words_for_logic_are_refused() -> None:
    with pytest.raises(UserErrorException, match="neither true nor false") as caught:
        _ = column("a") > 1 and column("b") > 2
    assert "`&`" in caught.value.hint


def test_values_of_other_types_are_refused() -> None:
    with pytest.raises(UserErrorException, match="compared with a dict"):
        _ = column("a") == {}
    with pytest.raises(UserErrorException, match="can't be worked out"):
        value(column("a") > 1, a="x")


def test_they_are_told_in_words() -> None:
    tree = ((column("a") > 1) & ~column("b").is_null()).tree
    assert in_words(tree) == "((dataset['a'] > 1) & ~dataset['b'].is_null())"
    assert names_in(tree) == ["a", "b"] and names_in((metadata("Size") > 1).tree, "metadata") == ["Size"]
