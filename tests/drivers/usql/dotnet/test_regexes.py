"""Patterns of .NET in the words of a library of Python's."""

from __future__ import annotations

import pytest

pytest.importorskip("regex")

from stepwell.drivers.usql.dotnet.regexes import PatternError, compiled, escaped, replaced, split


@pytest.mark.parametrize(
    ("text", "pattern", "options", "replacement", "made"),
    [
        ("abc", "(b)", "", "[$0|${1}|$$1|$2|$12|$+|$_]", "a[b|b|$1|$2|$12|b|abc]c"),
        ("abc", "b", "", "<$`|$'>", "a<a|c>c"),
        ("abc", "(?<x>b)(c)", "", "${x}-$1-$2-${y}", "ab-c-b-${y}"),
        ("b", "(a)?b", "", "[$1]", "[]"),
        ("aab", "a*", "", "-", "--b-"),
        ("a\nb", "a$", "", "X", "a\nb"),
        ("a\nb", "a$", "m", "X", "X\nb"),
        ("a\n", r"a\Z", "", "X", "X\n"),
        ("ä_1²٣", r"\w", "", ".", "...²."),
        ("a\x85b\xa0c", r"\s", "", "_", "a_b_c"),
        ("aA b", "(?i:a)a", "", "x", "aA b"),
        ("aAa", "a(?i)a", "", "x", "xa"),
        ("a b!", r"[\W_]", "", ".", "a.b."),
        ("a b!", r"[^\W_]", "", ".", ". .!"),
        ("xAy", "[a-y-[a-x]]", "i", "_", "xA_"),
        ("]-", "[]-]", "", ".", ".."),
        ("a{,2}", "a{,2}", "", "X", "X"),
        ("ab", "a b # c", "x", "X", "X"),
        ("kz", "(?n)(k)(?<z>z)", "", "$1", "z"),
        ("aa1", r"(?'n'a)\k<n>\u0031", "", "x", "x"),
        ("\x01", r"\cA|\x02|\003", "", "x", "x"),
        ("Ωa", r"\p{IsGreek}|\P{L}", "", "g", "ga"),
        ("k(?#no)", "k(?#yes)", "", "x", "x(?#no)"),
        ("a.b", r"(?s).\.", "", "x", "xb"),
    ],
)
def test_patterns_and_replacements_mean_what_they_mean_in_net(text, pattern, options, replacement, made):
    assert replaced(text, compiled(pattern, options), replacement) == made


@pytest.mark.parametrize(
    "pattern", ["(", ")", "*a", "a**", "a{2}{3}", "a{3,2}", r"\q", "\\", "[a", "[z-a]", r"[a-\d]", r"\1", r"\p{No Such}", "(?P<a>b)", "(?(1)a|b)", "(?<0a>b)", "(?#"]
)  # fmt: skip
def test_what_is_no_pattern_is_told_with_its_place(pattern):
    with pytest.raises(PatternError, match=r" at character \d+ of the pattern"):
        compiled(pattern)


def test_parts_and_escapes():
    assert split("a1b2c", compiled(r"(\d)")) == ["a", "1", "b", "2", "c"]
    assert split("abc", compiled("")) == ["", "a", "b", "c", ""]
    assert escaped("a.b c\t") == r"a\.b\ c\t"
