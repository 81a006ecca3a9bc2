"""Texts of values as C# writes them, and formats of C# in DuckDB's words."""

from __future__ import annotations

import re

from stepwell.drivers.usql.csharp.columns import WHOLE, Type, text
from stepwell.drivers.usql.csharp.members import once

MACROS = (
    "usql_bool_text(x) AS CASE WHEN x THEN 'True' WHEN NOT x THEN 'False' END",
    # what .NET Framework's ToString() gives: 15 significant digits, 7 for float
    "usql_digits(x, t) AS CASE WHEN isnan(x) THEN 'NaN' WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END "
    "WHEN x = 0 THEN '0' ELSE replace(t, 'e', 'E') END",
    "usql_double_text(x) AS usql_digits(x, printf('%.15g', x))",
    "usql_float_text(x) AS usql_digits(x, printf('%.7g', CAST(x AS DOUBLE)))",
    "usql_decimal_text(x) AS regexp_replace(regexp_replace(CAST(x AS VARCHAR), '(\\.\\d*?)0+$', '\\1'), '\\.$', '')",
    "usql_span_text(x) AS CASE WHEN x < 0 THEN '-' ELSE '' END || CASE WHEN abs(x) >= 86400000000 THEN "
    "CAST(abs(x) // 86400000000 AS VARCHAR) || '.' ELSE '' END || strftime(make_timestamp(abs(x) % 86400000000), '%H:%M:%S') || "
    "CASE WHEN x % 1000000 = 0 THEN '' ELSE '.' || lpad(CAST(abs(x) % 1000000 AS VARCHAR), 6, '0') || '0' END",
    once(
        "usql_left(t, n, c)",
        "CASE WHEN usql_length(it) >= n THEN it ELSE lpad(it, CAST(n - usql_length(it) + length(it) AS INTEGER), c) END",
    ),
    once(
        "usql_right(t, n, c)",
        "CASE WHEN usql_length(it) >= n THEN it ELSE rpad(it, CAST(n - usql_length(it) + length(it) AS INTEGER), c) END",
    ),
    once("usql_some(x, place)", "CASE WHEN it IS NULL THEN error(place) ELSE it END"),
    "usql_day_text(x) AS ['Sunday','Monday','Tuesday','Wednesday','Thursday','Friday','Saturday'][x + 1]",
)

ROUND_TRIP = "%Y-%m-%dT%H:%M:%S.%f0"
_GENERAL = "%-m/%-d/%Y %-I:%M:%S %p"
_STANDARD = {
    "o": ROUND_TRIP,
    "O": ROUND_TRIP,
    "s": "%Y-%m-%dT%H:%M:%S",
    "u": "%Y-%m-%d %H:%M:%SZ",
    "d": "%-m/%-d/%Y",
    "D": "%A, %B %-d, %Y",
    "t": "%-I:%M %p",
    "T": "%-I:%M:%S %p",
    "g": "%-m/%-d/%Y %-I:%M %p",
    "G": _GENERAL,
    "f": "%A, %B %-d, %Y %-I:%M %p",
    "F": "%A, %B %-d, %Y %-I:%M:%S %p",
    "R": "%a, %d %b %Y %H:%M:%S GMT",
    "r": "%a, %d %b %Y %H:%M:%S GMT",
    "M": "%B %-d",
    "m": "%B %-d",
    "Y": "%B %Y",
    "y": "%B %Y",
}
_PARTS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dddd": "%A",
    "ddd": "%a",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "fffffff": "%f0",
    "ffffff": "%f",
    "fff": "%g",
    "tt": "%p",
}


INVARIANT = {
    "": "MM/dd/yyyy HH:mm:ss",
    "G": "MM/dd/yyyy HH:mm:ss",
    "g": "MM/dd/yyyy HH:mm",
    "d": "MM/dd/yyyy",
    "t": "HH:mm",
    "T": "HH:mm:ss",
    "D": "dddd, dd MMMM yyyy",
    "f": "dddd, dd MMMM yyyy HH:mm",
    "F": "dddd, dd MMMM yyyy HH:mm:ss",
}
"""The standard formats of dates that the invariant culture has another way."""

_DATE_PARTS = re.compile(r"'([^']*)'|\"([^\"]*)\"|\\(.)|%?(y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|z+|K|g+)|(.)", re.DOTALL)


def date_format(form: str) -> str | None:
    """Return DuckDB's format for one of C#'s for DateTime; None if there is none."""
    if not form:
        return _GENERAL
    if len(form) == 1:
        return _STANDARD.get(form)
    made = []
    for found in _DATE_PARTS.finditer(form):
        if found[4]:
            if found[4] not in _PARTS:
                return None
            made.append(_PARTS[found[4]])
        else:
            made.append(_plain_part(found).replace("%", "%%"))
    return "".join(made)


def date_pattern(form: str) -> str:
    """Return a pattern of the texts that have a format exactly; any text, for a standard one."""
    if len(form) == 1:
        return "(?s).*"
    made = []
    for found in _DATE_PARTS.finditer(form):
        word = found[4] or ""
        if not word:
            made.append(re.escape(_plain_part(found)))
        elif len(word) > 2 and word[0] in "Md":
            made.append(r"\p{L}+")
        else:
            made.append({"t": "[APap][Mm]"}.get(word[0], rf"\d{{{len(word)}}}" if len(word) > 1 else r"\d\d?"))
    return "".join(made)


def dated(sql: str, form: str) -> str | None:
    """Return the SQL of a DateTime's text in a format; None if the format isn't known."""
    words = date_format(form)
    if words is not None:
        return f"strftime({sql}, {text(words)})"
    if len(form) == 1:
        return None
    pieces = []
    for found in _DATE_PARTS.finditer(form):
        word = found[4] or ""
        if not word:
            pieces.append(text(_plain_part(found)))
            continue
        part = f"strftime({sql}, {text(_PARTS[word])})" if word in _PARTS else _other_part(sql, word)
        if part is None:
            return None
        pieces.append(part)
    return "(" + " || ".join(pieces) + ")"


def _other_part(sql: str, word: str) -> str | None:
    """Return the SQL of a part of a date that DuckDB has no word for."""
    if word[0] in "fF" and len(word) <= 7:
        digits = f"left(strftime({sql}, '%f') || '0', {len(word)})"
        return digits if word[0] == "f" else f"rtrim({digits}, '0')"
    if word[0] == "y":
        return (
            f"lpad(CAST(year({sql}) AS VARCHAR), {len(word)}, '0')"
            if len(word) > 2
            else f"CAST(year({sql}) % 100 AS VARCHAR)"
        )
    if word[0] in "Md" and len(word) > 4:
        return f"strftime({sql}, '{'%B' if word[0] == 'M' else '%A'}')"
    if word[0] in "Hhms" and len(word) > 2:
        return f"strftime({sql}, '{_PARTS[word[:2]]}')"
    if word[0] == "t":
        return f"left(strftime({sql}, '%p'), 1)" if len(word) == 1 else f"strftime({sql}, '%p')"
    return {"K": "''", "g": "'A.D.'"}.get(word[0])  # a DateTime of U-SQL's has no zone


def _plain_part(found: re.Match[str]) -> str:
    return found[1] or found[2] or found[3] or found[5] or ""


def text_of(sql: str, type: Type) -> str:
    """Return the SQL of a value's `ToString()`; null stays null."""
    plain = {
        "string": sql,
        "char": sql,
        "bool": f"usql_bool_text({sql})",
        "double": f"usql_double_text({sql})",
        "float": f"usql_float_text({sql})",
        "decimal": f"usql_decimal_text({sql})",
        "DateTime": f"strftime({sql}, {text(_GENERAL)})",
        "TimeSpan": f"usql_span_text({sql})",
        "DayOfWeek": f"usql_day_text({sql})",
    }
    return plain.get(type.name, f"CAST({sql} AS VARCHAR)")


def formatted(sql: str, type: Type, form: str) -> str | None:
    """Return the SQL of `ToString(form)`; None if the format isn't known."""
    if type.name == "DateTime":
        return dated(sql, form)
    if not form or form in ("g", "G"):
        return text_of(sql, type)
    whole = type.name in WHOLE
    if not whole and type.name not in ("float", "double", "decimal"):
        return None
    found = re.fullmatch(r"([A-Za-z])(\d{0,2})", form)
    if found:
        return _standard_number(sql, type, found[1], found[2])
    found = re.fullmatch(r"([#0,]*[#0])(?:\.(0*)(#*))?(%?)", form)
    if found:
        zeros, digits = len(found[2] or ""), len(found[2] or "") + len(found[3] or "")
        flags = "," * ("," in found[1]) + "%" * bool(found[4])
        shown = f"usql_fixed({_all_digits(sql, type)}, {digits}, '{flags}{found[1].count('0')}#{zeros}')"
        return f"{shown} || '%'" if found[4] else shown
    return None


def _all_digits(sql: str, type: Type) -> str:
    """Return the SQL of the digits of a number that .NET keeps when it writes it."""
    form = {"double": "%.15g", "float": "%.7g"}.get(type.name)
    return f"printf('{form}', CAST({sql} AS DOUBLE))" if form else f"CAST({sql} AS VARCHAR)"


def _standard_number(sql: str, type: Type, letter: str, given: str) -> str | None:
    whole, kind = type.name in WHOLE, letter.upper()
    digits, number = int(given or 2), _all_digits(sql, type)
    if kind == "D" and whole:
        return f"CASE WHEN {sql} < 0 THEN '-' ELSE '' END || usql_left(ltrim(CAST({sql} AS VARCHAR), '-'), {int(given or 0)}, '0')"
    if kind == "X" and whole:
        bits = f"to_hex(CAST({sql} AS BIGINT) & {4294967295 if type.name != 'long' else -1})"
        return f"{'upper' if letter == 'X' else 'lower'}(usql_left({bits}, {int(given or 0)}, '0'))"
    if kind == "F":
        return f"usql_fixed({number}, {digits}, '')"
    if kind == "N":
        return f"usql_fixed({number}, {digits}, ',')"
    if kind == "P":
        return f"usql_fixed({number}, {digits}, ',%') || ' %'"
    if kind == "C":
        plain = f"usql_fixed({number}, {digits}, ',-')"
        return f"CASE WHEN {sql} < 0 AND regexp_matches({plain}, '[1-9]') THEN '($' || {plain} || ')' ELSE '$' || {plain} END"
    return None
