"""Expressions of C# with what they mean: made at random, and evaluated in Python by C#'s rules.

An expression is its text and a function from a row to its value; null is None, and `Throws` what C# would throw.
"""

from __future__ import annotations

from collections import namedtuple

from hypothesis import strategies as st

Expression = namedtuple("Expression", "text evaluate")
COLUMNS = {"i": "int", "j": "int", "n": "int?", "m": "int?", "d": "double", "s": "string", "t": "string", "b": "bool"}
WORDS = ["", "a", "B", "abc", "aBcab", " x ", "7", "é;f"]


class Throws(Exception):
    """C# would throw there."""


ROWS = st.fixed_dictionaries({
    "i": st.integers(-9, 9), "j": st.integers(-3, 3), "n": st.none() | st.integers(-9, 9), "m": st.none() | st.integers(-3, 3),
    "d": st.sampled_from([0.0, 0.5, -2.25, 1e16, 100.0, 1e-7]), "s": st.none() | st.sampled_from(WORDS), "t": st.none() | st.sampled_from(WORDS),
    "b": st.booleans(),
})  # fmt: skip


def quotient(a, b):
    if b == 0:
        raise Throws
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a, b):
    return a - b * quotient(a, b)


def shown(value):
    """Return `value.ToString()`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value or 0.0:.15g}".replace("e", "E")
    return str(value)


def some(value):
    if value is None:
        raise Throws
    return value


def part(text, start, length=None):
    length = len(text) - start if length is None else length
    if start < 0 or length < 0 or start + length > len(text):
        raise Throws
    return text[start : start + length]


def lifted(function):
    return lambda a, b: None if a is None or b is None else function(a, b)


def unequal(function):
    return lambda a, b: a is not None and b is not None and function(a, b)


ARITHMETIC = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": quotient, "%": remainder}
ORDERS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


def column(*names):
    return st.sampled_from([Expression(name, lambda row, name=name: row[name]) for name in names])


def literal(value, text):
    return Expression(text, lambda row: value)


def combined(template, function, *parts):
    """Return an expression of others: the text has `{0}`, `{1}` …, the function gets their values, all computed."""
    return st.tuples(*parts).map(
        lambda found: Expression(
            template.format(*(one.text for one in found)), lambda row: function(*(one.evaluate(row) for one in found))
        )
    )


def lazily(template, function, *parts):
    """Return an expression whose function computes what it needs."""
    return st.tuples(*parts).map(
        lambda found: Expression(
            template.format(*(one.text for one in found)), lambda row: function(row, *(one.evaluate for one in found))
        )
    )


def expressions(depth=3):
    """Return, for each type, a strategy of expressions."""
    whole = column("i", "j") | st.integers(0, 9).map(lambda value: literal(value, str(value)))
    maybe = column("n", "m")
    text = column("s", "t") | st.sampled_from(WORDS).map(lambda word: literal(word, f'"{word}"'))
    truth = column("b") | st.sampled_from([literal(True, "true"), literal(False, "false")])
    double = column("d")
    for _ in range(depth):
        one, two, three, four, five = whole, maybe, text, truth, double
        whole = (
            one
            | st.sampled_from("+-*/%").flatmap(lambda o: combined(f"({{0}} {o} {{1}})", ARITHMETIC[o], one, one))
            | combined("{0}.Length", lambda s: len(some(s)), three)
            | combined("{0}.IndexOf({1})", lambda s, t: some(s).find(some(t)), three, three)
            | lazily("({0} ?? {1})", lambda row, a, b: b(row) if a(row) is None else a(row), two, one)
            | lazily("({0} ? {1} : {2})", lambda row, c, a, b: a(row) if c(row) else b(row), four, one, one)
            | combined("{0}.Value", some, two)
            | combined("{0}.GetValueOrDefault()", lambda n: n or 0, two)
            | combined("Math.Abs({0})", abs, one)
        )
        maybe = (
            two
            | st.sampled_from("+-*/%").flatmap(
                lambda o: combined(f"({{0}} {o} {{1}})", lifted(ARITHMETIC[o]), two, one)
            )
            | combined("((int?) {0})", lambda a: a, one)
            | combined("(-{0})", lambda n: None if n is None else -n, two)
        )
        text = (
            three
            | combined("({0} + {1})", lambda s, t: (s or "") + (t or ""), three, three)
            | combined("({0} + {1})", lambda s, n: (s or "") + shown(n), three, two | one | four | five)
            | combined("{0}.ToUpper()", lambda s: some(s).upper(), three)
            | combined("{0}.Trim()", lambda s: some(s).strip(), three)
            | combined("{0}.Substring({1})", lambda s, i: part(some(s), i), three, one)
            | combined("{0}.Substring({1}, {2})", lambda s, i, j: part(some(s), i, j), three, one, one)
            | combined('{0}.Replace("a", {1})', lambda s, t: some(s).replace("a", t or ""), three, three)
            | combined("{0}.ToString()", shown, one | two | four | five)
            | lazily("({0} ?? {1})", lambda row, a, b: b(row) if a(row) is None else a(row), column("s", "t"), three)
            | lazily("({0} ? {1} : {2})", lambda row, c, a, b: a(row) if c(row) else b(row), four, three, three)
        )
        truth = (
            four
            | lazily("({0} && {1})", lambda row, a, b: a(row) and b(row), four, four)
            | lazily("({0} || {1})", lambda row, a, b: a(row) or b(row), four, four)
            | combined("(!{0})", lambda a: not a, four)
            | combined("({0} == {1})", lambda a, b: a == b, two | one, two | one)
            | combined("({0} != {1})", lambda a, b: a != b, three, three)
            | combined("({0} == null)", lambda a: a is None, two | column("s", "t"))
            | st.sampled_from([*ORDERS]).flatmap(
                lambda o: combined(f"({{0}} {o} {{1}})", unequal(ORDERS[o]), two | one, two | one)
            )
            | combined("string.IsNullOrEmpty({0})", lambda s: not s, three)
            | combined("{0}.Contains({1})", lambda s, t: some(t) in some(s), three, three)
            | combined("{0}.HasValue", lambda n: n is not None, two)
            | combined("({0} IN (1, 2, {1}))", lambda a, b: a is not None and a in (1, 2, b), one, one)
        )
        double = (
            five
            | combined("({0} * {1})", lambda d, i: d * i, five, one)
            | combined("((double) {0} / 4)", lambda i: i / 4, one)
        )
    return {"int": whole, "int?": maybe, "string": text, "bool": truth, "double": double}
