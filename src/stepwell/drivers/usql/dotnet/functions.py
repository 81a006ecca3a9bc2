"""What of .NET DuckDB has no words for, as functions in Python that its SQL calls."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

from stepwell.drivers.usql.dotnet import regexes

_EXACT = Context(prec=400, Emax=999_999, Emin=-999_999)
ROUNDINGS = {
    "ToEven": ROUND_HALF_EVEN,
    "AwayFromZero": ROUND_HALF_UP,
    "ToZero": ROUND_DOWN,
    "ToNegativeInfinity": ROUND_FLOOR,
    "ToPositiveInfinity": ROUND_CEILING,
}
"""What MidpointRounding is called, and how decimals are rounded so."""


def upper(text: str) -> str:
    """Return a text in capital letters as .NET has it: each character by itself, and never as two."""
    return text.translate(_cases()[0])


def lower(text: str) -> str:
    """Return a text in small letters as .NET has it."""
    return text.translate(_cases()[1])


@lru_cache(maxsize=1)
def _cases() -> tuple[dict[int, str], dict[int, str]]:
    capital, small = {}, {}
    for number in range(0x10000):
        one = chr(number)
        larger = next((made for made in (one.upper(), one.title()) if len(made) == 1), one)
        smaller = one.lower() if len(one.lower()) == 1 else one
        if larger != one:
            capital[number] = larger
        if smaller != one:
            small[number] = smaller
    capital.pop(0x131)  # no culture is Turkish here: the dotless i, and the I with a dot, are alone
    small.pop(0x130, None)
    return capital, small


def rounded(number: Decimal, digits: int, way: str) -> Decimal:
    """Return a decimal, rounded exactly."""
    return number.quantize(Decimal(1).scaleb(-digits), ROUNDINGS[way], _EXACT) if digits < 10 else number


def fixed(text: str, digits: int, form: str) -> str:
    """Return a number's text with so many digits after its point, the last one rounded away from zero.

    Args:
        text: The number's digits, all that .NET keeps of it.
        digits: How many.
        form: Letters: `,` for groups of three, `%` for a hundred times as much, `0` and a number for the least width before
            the point, `#` for no more zeros at the end than that many, `-` for no sign.
    """
    number = Decimal(text)
    if not number.is_finite():
        return {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}[str(number)]
    number = _EXACT.multiply(number, Decimal(100)) if "%" in form else number
    number = number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _EXACT)
    sign = "-" if number < 0 and "-" not in form else ""
    before, _, after = f"{abs(number):f}".partition(".")
    width, least = (int(word) for word in form.strip(",%-").split("#")) if "#" in form else (1, digits)
    before = before.lstrip("0").rjust(width, "0")
    after = after[:least] + after[least:].rstrip("0")
    if "," in form:
        first = len(before) % 3
        before = ",".join(filter(None, [before[:first], *(before[at : at + 3] for at in range(first, len(before), 3))]))
    return sign + before + ("." + after if after else "")


def quotient(one: Decimal, other: Decimal) -> Decimal:
    """Return a quotient of decimals with the ten digits that are kept."""
    return _EXACT.divide(one, other).quantize(Decimal("1e-10"), ROUND_HALF_EVEN, _EXACT)


def product(one: Decimal, other: Decimal) -> Decimal:
    """Return a product of decimals with the ten digits that are kept."""
    return _EXACT.multiply(one, other).quantize(Decimal("1e-10"), ROUND_HALF_EVEN, _EXACT)


# Regular expressions ------------------------------------------------------------------------------------------------------


def _pattern(pattern: str, options: str, place: str) -> regexes.Pattern:
    try:
        return regexes.compiled(pattern, options)
    except regexes.PatternError as error:
        raise ValueError(f"{place}: {error}@{pattern}") from None


def matches(text: str, pattern: str, options: str, place: str) -> bool:
    """Return whether a pattern is found in a text."""
    return _pattern(pattern, options, place).compiled.search(text) is not None


def replaced(text: str, pattern: str, replacement: str, options: str, place: str) -> str:
    """Return a text with each match replaced."""
    return regexes.replaced(text, _pattern(pattern, options, place), replacement)


def split(text: str, pattern: str, options: str, place: str) -> list[str]:
    """Return the parts of a text between matches."""
    return regexes.split(text, _pattern(pattern, options, place))


def group(text: str, pattern: str, options: str, name: str, place: str) -> str | None:
    """Return what a group of the first match holds; None if there is no match, or the group took no part in it."""
    known = _pattern(pattern, options, place)
    found = known.compiled.search(text)
    return None if found is None else known.group(found, name)


def found_at(text: str, pattern: str, options: str, place: str) -> int:
    """Return where the first match begins; 0 if there is none."""
    found = _pattern(pattern, options, place).compiled.search(text)
    return 0 if found is None else int(found.start())


# Texts as UTF-16 -----------------------------------------------------------------------------------------------------------


def units(text: str) -> int:
    """Return how many characters .NET counts: those beyond the first 65,536 are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def part(text: str, start: int, count: int) -> str | None:
    """Return a part by .NET's counting; None if it begins or ends within a character."""
    held = text.encode("utf-16-le")[2 * start : 2 * (start + count)]
    try:
        return held.decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def find(text: str, other: str, start: int) -> int:
    """Return where a text holds another from a place on, by .NET's counting; -1 if it does not."""
    skipped = text.encode("utf-16-le")[: 2 * start].decode("utf-16-le", "ignore")
    found = text.find(other, len(skipped))
    return found if found < 0 else units(text[:found])


def find_last(text: str, other: str) -> int:
    """Return where a text holds another last, by .NET's counting; -1 if it does not."""
    found = text.rfind(other)
    return found if found < 0 else units(text[:found])


def split_line(line: str, delimiter: str, mark: str, quoting: bool) -> list[str]:
    """Return the fields of a line with escapes; a field in quotes keeps them."""
    fields, field, at, quoted = [], "", 0, False
    while at < len(line):
        one = line[at]
        if one == mark and at + 1 < len(line):
            field += line[at + 1]
            at += 2
            continue
        if quoting and one == '"' and (quoted or not field):
            quoted = not quoted
        if one == delimiter and not quoted:
            fields.append(field)
            field = ""
        else:
            field += one
        at += 1
    return [*fields, field]


_DECIMAL = "DECIMAL(38,10)"
_TEXT, _NUMBER = "VARCHAR", "INTEGER"
FUNCTIONS: dict[str, tuple[Callable[..., Any], list[str], str]] = {
    "usql_split": (split_line, [_TEXT, _TEXT, _TEXT, "BOOLEAN"], "VARCHAR[]"),
    "usql_upper_of": (upper, [_TEXT], _TEXT),
    "usql_lower_of": (lower, [_TEXT], _TEXT),
    "usql_rounded": (rounded, [_DECIMAL, _NUMBER, _TEXT], _DECIMAL),
    "usql_fixed": (fixed, [_TEXT, _NUMBER, _TEXT], _TEXT),
    "usql_quotient": (quotient, [_DECIMAL, _DECIMAL], _DECIMAL),
    "usql_product": (product, [_DECIMAL, _DECIMAL], _DECIMAL),
    "usql_matches": (matches, [_TEXT] * 4, "BOOLEAN"),
    "usql_replaced": (replaced, [_TEXT] * 5, _TEXT),
    "usql_parts": (split, [_TEXT] * 4, "VARCHAR[]"),
    "usql_group": (group, [_TEXT] * 5, _TEXT),
    "usql_found_at": (found_at, [_TEXT] * 4, _NUMBER),
    "usql_escaped": (regexes.escaped, [_TEXT], _TEXT),
    "usql_units": (units, [_TEXT], _NUMBER),
    "usql_part_of": (part, [_TEXT, _NUMBER, _NUMBER], _TEXT),
    "usql_place_of": (find, [_TEXT, _TEXT, _NUMBER], _NUMBER),
    "usql_last_place_of": (find_last, [_TEXT, _TEXT], _NUMBER),
}
"""The functions by the names that SQL calls them by, with their types; of null, each makes null."""
