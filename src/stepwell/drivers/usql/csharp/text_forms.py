"""Texts of values as C# writes them, and formats of C# in DuckDB's words."""

from __future__ import annotations

import re

from stepwell.drivers.usql.csharp.columns import WHOLE, Type, text

MACROS = (
    "usql_some(x, place) AS CASE WHEN x IS NULL THEN error(place) ELSE x END",
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
    "usql_left(t, n, c) AS CASE WHEN length(t) >= n THEN t ELSE lpad(t, CAST(n AS INTEGER), c) END",
    "usql_right(t, n, c) AS CASE WHEN length(t) >= n THEN t ELSE rpad(t, CAST(n AS INTEGER), c) END",
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


def date_format(form: str) -> str | None:
    """Return DuckDB's format for one of C#'s for DateTime; None if there is none."""
    if not form:
        return _GENERAL
    if len(form) == 1:
        return _STANDARD.get(form)
    made = []
    for found in re.finditer(
        r"'([^']*)'|\"([^\"]*)\"|\\(.)|%?(y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|z+|K|g+)|(.)", form, re.DOTALL
    ):
        if found[4]:
            if found[4] not in _PARTS:
                return None
            made.append(_PARTS[found[4]])
        else:
            made.append((found[1] or found[2] or found[3] or found[5] or "").replace("%", "%%"))
    return "".join(made)


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
        words = date_format(form)
        return None if words is None else f"strftime({sql}, {text(words)})"
    if not form or form in ("g", "G"):
        return text_of(sql, type)
    whole = type.name in WHOLE
    if not whole and type.name not in ("float", "double", "decimal"):
        return None
    found = re.fullmatch(r"([A-Za-z])(\d{0,2})", form)
    if found:
        return _standard_number(sql, type.name, found[1], found[2])
    found = re.fullmatch(r"(#,##)?(0+)(?:\.(0+))?(%?)", form)
    if found:
        digits, percent = len(found[3] or ""), "%" if found[4] else ""
        number = f"CAST({sql} AS DOUBLE)" + (" * 100" if percent else "")
        comma = "," if found[1] else ""
        width = f"0{len(found[2]) + (digits + 1 if digits else 0)}" if len(found[2]) > 1 and not comma else ""
        return f"format({text('{:' + width + comma + '.' + str(digits) + 'f}')}, round({number}, {digits})) || {text(percent)}"
    return None


def _standard_number(sql: str, type_name: str, letter: str, given: str) -> str | None:
    whole, kind = type_name in WHOLE, letter.upper()
    digits = int(given or 2)
    number = f"CAST({sql} AS DOUBLE)"
    if kind == "D" and whole:
        return f"CASE WHEN {sql} < 0 THEN '-' ELSE '' END || usql_left(CAST(abs({sql}) AS VARCHAR), {int(given or 0)}, '0')"
    if kind == "X" and whole:
        bits = f"to_hex(CAST({sql} AS BIGINT) & {4294967295 if type_name != 'long' else -1})"
        return f"{'upper' if letter == 'X' else 'lower'}(usql_left({bits}, {int(given or 0)}, '0'))"
    if kind == "F":
        return f"format('{{:.{digits}f}}', round({number}, {digits}))"
    if kind == "N":
        return f"format('{{:,.{digits}f}}', round({number}, {digits}))"
    if kind == "P":
        return f"format('{{:,.{digits}f}}', round({number} * 100, {digits})) || ' %'"
    if kind == "C":
        plain = f"format('{{:,.{digits}f}}', round(abs({number}), {digits}))"
        return f"CASE WHEN {number} < 0 THEN '($' || {plain} || ')' ELSE '$' || {plain} END"
    return None
