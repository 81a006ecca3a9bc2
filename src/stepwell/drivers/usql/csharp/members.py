"""What C# has on its types and classes: methods, properties and constants, in DuckDB's words."""

from __future__ import annotations

from stepwell.drivers.usql.csharp.columns import WHOLE, Type

SPACE = " || ".join(
    f"chr({code})" for code in (*range(9, 14), 32, 133, 160, 5760, *range(8192, 8203), 8232, 8233, 8239, 8287, 12288)
)
"""What .NET takes for white space."""

_DATES = """%m/%d/%Y %I:%M:%S %p|%m/%d/%Y %H:%M:%S|%m/%d/%Y %I:%M %p|%m/%d/%Y %H:%M|%m/%d/%Y|%Y/%m/%d %H:%M:%S|%Y/%m/%d %H:%M
|%Y/%m/%d|%d %b %Y %H:%M:%S|%d %b %Y|%d %B %Y|%b %d, %Y|%B %d, %Y|%b %d %Y|%a, %d %b %Y %H:%M:%S GMT|%A, %B %d, %Y|%m/%d/%y
|%m/%d/%Y %I:%M:%S.%f %p|%m/%d/%Y %H:%M:%S.%f|%Y-%m-%d %I:%M:%S %p|%b %d, %Y %I:%M:%S %p|%m-%d-%Y""".replace("\n", "")

_ASCII = "CASE WHEN strlen(it) = length(it)"


def once(head: str, body: str) -> str:
    """Return a macro that computes its first argument, `it` in the body, once: it may be a long expression itself."""
    first = head.partition("(")[2].partition(",")[0].rstrip(")")
    return f"{head} AS list_transform([{first}], lambda it: {body})[1]"


MACROS = (
    "usql_date(s) AS CASE WHEN regexp_full_match(s, '\\s*\\d{4}-\\d\\d?-\\d\\d?([T ]\\d\\d?:\\d\\d(:\\d\\d(\\.\\d+)?)?(Z|[+-]\\d\\d:?\\d\\d)?)?\\s*') "
    "THEN CASE WHEN regexp_matches(s, '(Z|:\\d\\d(\\.\\d+)?[+-]\\d\\d:?\\d\\d)\\s*$') "
    "THEN make_timestamp(epoch_us(TRY_CAST(s AS TIMESTAMPTZ))) ELSE TRY_CAST(s AS TIMESTAMP) END "
    "WHEN regexp_matches(s, '\\d') THEN try_strptime(trim(s), ["
    + ", ".join(f"'{form}'" for form in _DATES.split("|"))
    + "]) END",
    # days, then a point, or nothing; hours, minutes and seconds
    "usql_span(s) AS CASE WHEN regexp_full_match(s, '-?(\\d+|(\\d+\\.)?([01]?\\d|2[0-3]):[0-5]?\\d(:[0-5]?\\d(\\.\\d{1,7})?)?)') "
    "THEN (CASE WHEN s[1] = '-' THEN -1 ELSE 1 END) * (COALESCE(TRY_CAST(regexp_extract(s, '^-?(\\d+)(\\.\\d+:|$)', 1) AS BIGINT), 0) * 86400000000 "
    "+ COALESCE(TRY_CAST(regexp_extract(s, '(\\d+):', 1) AS BIGINT), 0) * 3600000000 + COALESCE(TRY_CAST(regexp_extract(s, ':(\\d+)', 1) AS BIGINT), 0) * 60000000 "
    "+ CAST(COALESCE(TRY_CAST(regexp_extract(s, ':\\d+:(\\d+(\\.\\d+)?)', 1) AS DECIMAL(12,7)), 0) * 1000000 AS BIGINT)) END",
    "usql_bool(s) AS CASE lower(trim(s)) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END",
    "usql_double(s) AS CASE WHEN regexp_matches(s, '[^0-9+\\-.,eE \\t]') THEN CASE trim(s) WHEN 'NaN' THEN CAST('nan' AS DOUBLE) "
    "WHEN 'Infinity' THEN CAST('inf' AS DOUBLE) WHEN '-Infinity' THEN CAST('-inf' AS DOUBLE) END "
    "ELSE TRY_CAST(replace(s, ',', '') AS DOUBLE) END",
    # most texts are ASCII; .NET counts each character beyond the first 65,536 as two
    once("usql_narrow(s)", f"{_ASCII} THEN TRUE ELSE NOT regexp_matches(it, '[\\x{{10000}}-\\x{{10FFFF}}]') END"),
    once("usql_length(s)", f"{_ASCII} THEN CAST(length(it) AS INTEGER) ELSE usql_units(it) END"),
    once("usql_upper(s)", f"{_ASCII} THEN upper(it) ELSE usql_upper_of(it) END"),
    once("usql_lower(s)", f"{_ASCII} THEN lower(it) ELSE usql_lower_of(it) END"),
    once(
        "usql_part(s, i, n, place)",
        "CASE WHEN i < 0 OR n < 0 OR CAST(i AS BIGINT) + n > usql_length(it) THEN error(place) "
        "WHEN usql_narrow(it) THEN substring(it, i + 1, n) ELSE COALESCE(usql_part_of(it, i, n), error(place)) END",
    ),
    once("usql_rest(s, i, place)", "usql_part(it, i, greatest(usql_length(it) - i, 0), place)"),
    once(
        "usql_find(s, x)",
        "CASE WHEN usql_narrow(it) THEN CAST(strpos(it, x) - 1 AS INTEGER) ELSE usql_place_of(it, x, 0) END",
    ),
    once(
        "usql_find_from(s, x, i, place)",
        "CASE WHEN i < 0 OR i > usql_length(it) THEN error(place) WHEN NOT usql_narrow(it) THEN usql_place_of(it, x, i) "
        "WHEN strpos(substring(it, i + 1), x) = 0 THEN -1 ELSE CAST(strpos(substring(it, i + 1), x) - 1 + i AS INTEGER) END",
    ),
    once(
        "usql_find_last(s, x)",
        "CASE WHEN strlen(it) <> length(it) THEN usql_last_place_of(it, x) WHEN strpos(reverse(it), reverse(x)) = 0 THEN -1 "
        "ELSE CAST(length(it) - length(x) - strpos(reverse(it), reverse(x)) + 1 AS INTEGER) END",
    ),
    "usql_replace(s, x, y, place) AS CASE WHEN x = '' THEN error(place) ELSE replace(s, x, COALESCE(y, '')) END",
    once("usql_not_below(n, place)", "CASE WHEN it < 0 THEN error(place) ELSE it END"),
    # as .NET rounds: what is multiplied by a power of ten, and divided again
    "usql_scaled(x, d, place) AS CASE WHEN d < 0 OR d > 15 THEN error(place) ELSE x * pow(10.0::DOUBLE, d) END",
    once(
        "usql_round(x, d, place)",
        "CASE WHEN abs(it) < 1e16 THEN round_even(usql_scaled(it, d, place), 0) / pow(10.0::DOUBLE, d) ELSE it END",
    ),
    once(
        "usql_round_up(x, d, place)",
        "CASE WHEN NOT abs(it) < 1e16 THEN it ELSE (trunc(usql_scaled(it, d, place)) + CASE WHEN "
        "abs(usql_scaled(it, d, place) - trunc(usql_scaled(it, d, place))) >= 0.5 THEN sign(it) ELSE 0 END) / pow(10.0::DOUBLE, d) END",
    ),
    once(
        "usql_in_years(t, place)",
        "CASE WHEN it < TIMESTAMP '0001-01-01' OR it >= TIMESTAMP '10000-01-01' THEN error(place) ELSE it END",
    ),
    "usql_product_of(a, b) AS CASE WHEN abs(a) < 1000000000 AND abs(b) < 1000000000 THEN CAST(a * b AS DECIMAL(38,10)) "
    "ELSE usql_product(a, b) END",
    "usql_wrapped(x, bits) AS (x % bits + bits + bits // 2) % bits - bits // 2",
    "usql_divisor(x, of, place) AS CASE WHEN x = 0 AND of IS NOT NULL THEN error(place) ELSE NULLIF(x, 0) END",
    "usql_item(a, i, place) AS CASE WHEN i < 0 OR i >= len(a) THEN error(place) ELSE a[i + 1] END",
    "usql_order(a, b) AS CASE WHEN a IS NOT DISTINCT FROM b THEN 0 WHEN a IS NULL OR a < b THEN -1 ELSE 1 END",
    # words as dictionaries have them: letters first, then accents, then small before capital
    "usql_plain(x) AS strip_accents(lower(replace(x, chr(173), '')))",
    "usql_words(a, b) AS CASE WHEN a IS NULL OR b IS NULL OR usql_plain(a) <> usql_plain(b) THEN usql_order(usql_plain(a), usql_plain(b)) "
    "WHEN lower(replace(a, chr(173), '')) <> lower(replace(b, chr(173), '')) THEN usql_order(lower(a), lower(b)) "
    "ELSE usql_order(replace(b, chr(173), ''), replace(a, chr(173), '')) END",
    # what StringComparison says: how texts are made alike, and how they are put in order
    "usql_as_ordinal(x) AS x",
    "usql_as_words(x) AS x",
    "usql_as_ordinal_small(x) AS usql_upper(x)",
    "usql_as_words_small(x) AS usql_upper(x)",
    "usql_by_ordinal(a, b) AS usql_order(a, b)",
    "usql_by_words(a, b) AS usql_words(a, b)",
    "usql_by_ordinal_small(a, b) AS usql_order(usql_upper(a), usql_upper(b))",
    "usql_by_words_small(a, b) AS usql_words(usql_lower(a), usql_lower(b))",
    "usql_whole(x, place) AS CASE WHEN isnan(x) OR isinf(x) THEN error(place) ELSE trunc(x) END",
)


def parsed(sql: str, type: Type) -> str | None:
    """Return the SQL of a value from its text, null for what is none; None if the type has no texts."""
    if type.name in WHOLE:
        return f"CASE WHEN NOT regexp_matches({sql}, '[^0-9+\\- \\t]') THEN TRY_CAST(trim({sql}) AS {type.held}) END"
    if type.name in ("double", "float"):
        return f"CAST(usql_double({sql}) AS {type.held})"
    if type.name == "decimal":
        return f"CASE WHEN NOT regexp_matches({sql}, '[^0-9+\\-., \\t]') THEN TRY_CAST(replace({sql}, ',', '') AS {type.held}) END"
    plain = {
        "string": "{}",
        "char": "CASE WHEN length({0}) = 1 THEN {0} END",
        "bool": "usql_bool({})",
        "DateTime": "usql_date({})",
        "Guid": "TRY_CAST(trim({}) AS UUID)",
        "TimeSpan": "usql_span(trim({}))",
    }
    return plain[type.name].format(sql) if type.name in plain else None


def moved_bits(sql: str, by: str, operator: str, type: Type) -> str:
    """Return the SQL of bits, moved as C# does: by what the lowest bits of `by` say, and without an overflow."""
    bits = 64 if "long" in type.name else 32
    power = f"(CAST(1 AS HUGEINT) << (CAST({by} AS INTEGER) & {bits - 1}))"
    held, whole = f"CAST({sql} AS HUGEINT)", f"CAST('{2**bits}' AS HUGEINT)"
    if operator == ">>":
        made = f"({held} // {power} - CASE WHEN {held} < 0 AND {held} % {power} <> 0 THEN 1 ELSE 0 END)"
    else:
        made = f"({held} * {power}) % {whole}" if type.name[0] == "u" else f"usql_wrapped({held} * {power}, {whole})"
    return f"CAST({made} AS {type.held})"


Overload = tuple[str, str, str]
"""The types of the arguments, the SQL with `{0}` for the value and `{1}` on for the arguments, and the result's type.

`text` is a string or char; `{place}` is where it stands, for an error. A `-` before the arguments: a property."""


def _table(lines: str) -> dict[str, list[Overload]]:
    table: dict[str, list[Overload]] = {}
    for line in lines.strip().splitlines():
        name, arguments, result, sql = (part.strip() for part in line.split("|", 3))
        table.setdefault(name, []).append((arguments, sql, result))
    return table


OF_VALUES = _table(
    f"""
string.Length | - | int | usql_length({{0}})
string.ToUpper | | string | usql_upper({{0}})
string.ToLower | | string | usql_lower({{0}})
string.ToUpperInvariant | | string | usql_upper({{0}})
string.ToLowerInvariant | | string | usql_lower({{0}})
string.Trim | | string | trim({{0}}, {SPACE})
string.TrimStart | | string | ltrim({{0}}, {SPACE})
string.TrimEnd | | string | rtrim({{0}}, {SPACE})
string.Substring | int | string | usql_rest({{0}}, {{1}}, {{place}})
string.Substring | int int | string | usql_part({{0}}, {{1}}, {{2}}, {{place}})
string.IndexOf | text | int | usql_find({{0}}, {{1}})
string.IndexOf | text int | int | usql_find_from({{0}}, {{1}}, {{2}}, {{place}})
string.IndexOf | string StringComparison | int | usql_find(usql_as_{{2}}({{0}}), usql_as_{{2}}({{1}}))
string.IndexOf | text int int | int | usql_find_from(usql_part({{0}}, 0, {{2}} + {{3}}, {{place}}), {{1}}, {{2}}, {{place}})
string.LastIndexOf | text | int | usql_find_last({{0}}, {{1}})
string.Contains | text | bool | contains({{0}}, {{1}})
string.Contains | string StringComparison | bool | contains(usql_as_{{2}}({{0}}), usql_as_{{2}}({{1}}))
string.StartsWith | text | bool | starts_with({{0}}, {{1}})
string.StartsWith | string StringComparison | bool | starts_with(usql_as_{{2}}({{0}}), usql_as_{{2}}({{1}}))
string.EndsWith | text | bool | ends_with({{0}}, {{1}})
string.EndsWith | string StringComparison | bool | ends_with(usql_as_{{2}}({{0}}), usql_as_{{2}}({{1}}))
string.Replace | text text? | string | usql_replace({{0}}, {{1}}, {{2}}, {{wrong}})
string.PadLeft | int | string | usql_left({{0}}, usql_not_below({{1}}, {{wrong}}), ' ')
string.PadLeft | int char | string | usql_left({{0}}, usql_not_below({{1}}, {{wrong}}), {{2}})
string.PadRight | int | string | usql_right({{0}}, usql_not_below({{1}}, {{wrong}}), ' ')
string.PadRight | int char | string | usql_right({{0}}, usql_not_below({{1}}, {{wrong}}), {{2}})
string.Insert | int string | string | usql_part({{0}}, 0, {{1}}, {{place}}) || {{2}} || usql_rest({{0}}, {{1}}, {{place}})
string.Remove | int | string | usql_part({{0}}, 0, {{1}}, {{place}})
string.Remove | int int | string | usql_part({{0}}, 0, {{1}}, {{place}}) || usql_rest({{0}}, {{1}} + usql_not_below({{2}}, {{place}}), {{place}})
string.Equals | string? | bool | {{0}} IS NOT DISTINCT FROM {{1}}
string.Equals | string? StringComparison | bool | usql_as_{{2}}({{0}}) IS NOT DISTINCT FROM usql_as_{{2}}({{1}})
string.CompareTo | string? | int | usql_words({{0}}, {{1}})
string.ToString | | string | {{0}}
string.ToCharArray | | char[] | regexp_split_to_array({{0}}, '')
char.ToString | | string | {{0}}
array.Count | - | int | CAST(len({{0}}) AS INTEGER)
array.Length | - | int | CAST(len({{0}}) AS INTEGER)
array.Count | | int | CAST(len({{0}}) AS INTEGER)
DateTime.Year | - | int | CAST(year({{0}}) AS INTEGER)
DateTime.Month | - | int | CAST(month({{0}}) AS INTEGER)
DateTime.Day | - | int | CAST(day({{0}}) AS INTEGER)
DateTime.Hour | - | int | CAST(hour({{0}}) AS INTEGER)
DateTime.Minute | - | int | CAST(minute({{0}}) AS INTEGER)
DateTime.Second | - | int | CAST(second({{0}}) AS INTEGER)
DateTime.Millisecond | - | int | CAST(millisecond({{0}}) % 1000 AS INTEGER)
DateTime.DayOfYear | - | int | CAST(dayofyear({{0}}) AS INTEGER)
DateTime.DayOfWeek | - | DayOfWeek | CAST(dayofweek({{0}}) AS INTEGER)
DateTime.Date | - | DateTime | date_trunc('day', {{0}})
DateTime.TimeOfDay | - | TimeSpan | (epoch_us({{0}}) - epoch_us(date_trunc('day', {{0}})))
DateTime.Ticks | - | long | (epoch_us({{0}}) * 10 + 621355968000000000)
DateTime.AddDays | double | DateTime | usql_in_years({{0}} + to_microseconds(CAST(round({{1}} * 86400000) AS BIGINT) * 1000), {{wrong}})
DateTime.AddHours | double | DateTime | usql_in_years({{0}} + to_microseconds(CAST(round({{1}} * 3600000) AS BIGINT) * 1000), {{wrong}})
DateTime.AddMinutes | double | DateTime | usql_in_years({{0}} + to_microseconds(CAST(round({{1}} * 60000) AS BIGINT) * 1000), {{wrong}})
DateTime.AddSeconds | double | DateTime | usql_in_years({{0}} + to_microseconds(CAST(round({{1}} * 1000) AS BIGINT) * 1000), {{wrong}})
DateTime.AddMilliseconds | double | DateTime | usql_in_years({{0}} + to_microseconds(CAST(round({{1}}) AS BIGINT) * 1000), {{wrong}})
DateTime.AddMonths | int | DateTime | usql_in_years({{0}} + to_months({{1}}), {{wrong}})
DateTime.AddYears | int | DateTime | usql_in_years({{0}} + to_years({{1}}), {{wrong}})
DateTime.Add | TimeSpan | DateTime | usql_in_years({{0}} + to_microseconds({{1}}), {{wrong}})
DateTime.Subtract | DateTime | TimeSpan | (epoch_us({{0}}) - epoch_us({{1}}))
DateTime.Subtract | TimeSpan | DateTime | usql_in_years({{0}} - to_microseconds({{1}}), {{wrong}})
DateTime.CompareTo | DateTime | int | usql_order({{0}}, {{1}})
DateTime.ToShortDateString | | string | strftime({{0}}, '%-m/%-d/%Y')
DateTime.ToLongDateString | | string | strftime({{0}}, '%A, %B %-d, %Y')
DateTime.ToShortTimeString | | string | strftime({{0}}, '%-I:%M %p')
DateTime.ToLongTimeString | | string | strftime({{0}}, '%-I:%M:%S %p')
TimeSpan.TotalDays | - | double | ({{0}} / 86400000000.0::DOUBLE)
TimeSpan.TotalHours | - | double | ({{0}} / 3600000000.0::DOUBLE)
TimeSpan.TotalMinutes | - | double | ({{0}} / 60000000.0::DOUBLE)
TimeSpan.TotalSeconds | - | double | ({{0}} / 1000000.0::DOUBLE)
TimeSpan.TotalMilliseconds | - | double | ({{0}} / 1000.0::DOUBLE)
TimeSpan.Days | - | int | CAST({{0}} // 86400000000 AS INTEGER)
TimeSpan.Hours | - | int | CAST({{0}} // 3600000000 % 24 AS INTEGER)
TimeSpan.Minutes | - | int | CAST({{0}} // 60000000 % 60 AS INTEGER)
TimeSpan.Seconds | - | int | CAST({{0}} // 1000000 % 60 AS INTEGER)
TimeSpan.Milliseconds | - | int | CAST({{0}} // 1000 % 1000 AS INTEGER)
TimeSpan.Ticks | - | long | ({{0}} * 10)
"""
)

_ROUNDED = "usql_whole(round_even({1}, 0), {place})"
_SAME = "".join(
    f"""
Math.Abs | {kind} | {kind} | abs({{1}})
Math.Max | {kind} {kind} | {kind} | greatest({{1}}, {{2}})
Math.Min | {kind} {kind} | {kind} | {"CASE WHEN isnan({1}) THEN {1} WHEN isnan({2}) THEN {2} ELSE least({1}, {2}) END" if kind in ("float", "double") else "least({1}, {2})"}
Math.Sign | {kind} | int | CAST(sign({{1}}) AS INTEGER)"""
    for kind in ("int", "long", "float", "double", "decimal")
)
_LIKE_DOUBLE = "".join(
    f"\nMath.{name} | double | double | {sql}({{1}})"
    for name, sql in {
        "Ceiling": "ceil",
        "Floor": "floor",
        "Truncate": "trunc",
        "Exp": "exp",
        "Log": "ln",
        "Log10": "log10",
        "Sin": "sin",
        "Cos": "cos",
        "Tan": "tan",
        "Asin": "asin",
        "Acos": "acos",
        "Atan": "atan",
        "Sinh": "sinh",
        "Cosh": "cosh",
        "Tanh": "tanh",
    }.items()
)
OF_CLASSES = _table(
    f"""
string.Empty | - | string | ''
string.IsNullOrEmpty | string? | bool | (COALESCE({{1}}, '') = '')
string.IsNullOrWhiteSpace | string? | bool | (trim(COALESCE({{1}}, ''), {SPACE}) = '')
string.Compare | string? string? | int | usql_words({{1}}, {{2}})
string.Compare | string int string int int | int | usql_words(substring({{1}}, {{2}} + 1, {{5}}), substring({{3}}, {{4}} + 1, {{5}}))
string.CompareOrdinal | string int string int int | int | usql_order(substring({{1}}, {{2}} + 1, {{5}}), substring({{3}}, {{4}} + 1, {{5}}))
string.CompareOrdinal | string? string? | int | usql_order({{1}}, {{2}})
string.Compare | string? string? StringComparison | int | usql_by_{{3}}({{1}}, {{2}})
string.Compare | string? string? bool | int | CASE WHEN {{3}} THEN usql_by_words_small({{1}}, {{2}}) ELSE usql_words({{1}}, {{2}}) END
string.Equals | string? string? | bool | {{1}} IS NOT DISTINCT FROM {{2}}
string.Equals | string? string? StringComparison | bool | usql_as_{{3}}({{1}}) IS NOT DISTINCT FROM usql_as_{{3}}({{2}})
char.IsDigit | char | bool | regexp_full_match({{1}}, '\\p{{{{Nd}}}}')
char.IsLetter | char | bool | regexp_full_match({{1}}, '\\p{{{{L}}}}')
char.IsLetterOrDigit | char | bool | regexp_full_match({{1}}, '[\\p{{{{L}}}}\\p{{{{Nd}}}}]')
char.IsUpper | char | bool | regexp_full_match({{1}}, '\\p{{{{Lu}}}}')
char.IsLower | char | bool | regexp_full_match({{1}}, '\\p{{{{Ll}}}}')
char.IsNumber | char | bool | regexp_full_match({{1}}, '\\p{{{{N}}}}')
char.IsPunctuation | char | bool | regexp_full_match({{1}}, '\\p{{{{P}}}}')
char.IsSymbol | char | bool | regexp_full_match({{1}}, '\\p{{{{S}}}}')
char.IsControl | char | bool | regexp_full_match({{1}}, '\\p{{{{Cc}}}}')
char.IsWhiteSpace | char | bool | (trim({{1}}, {SPACE}) = '')
char.IsDigit | string int | bool | regexp_full_match(usql_part({{1}}, {{2}}, 1, {{place}}), '\\p{{{{Nd}}}}')
char.IsLetter | string int | bool | regexp_full_match(usql_part({{1}}, {{2}}, 1, {{place}}), '\\p{{{{L}}}}')
char.IsUpper | string int | bool | regexp_full_match(usql_part({{1}}, {{2}}, 1, {{place}}), '\\p{{{{Lu}}}}')
char.IsLower | string int | bool | regexp_full_match(usql_part({{1}}, {{2}}, 1, {{place}}), '\\p{{{{Ll}}}}')
char.ToUpper | char | char | usql_upper({{1}})
char.ToLower | char | char | usql_lower({{1}})
char.ToUpperInvariant | char | char | usql_upper({{1}})
char.ToLowerInvariant | char | char | usql_lower({{1}})
DateTime.Now | - | DateTime | {{now}}
DateTime.UtcNow | - | DateTime | {{utc}}
DateTime.Today | - | DateTime | date_trunc('day', {{now}})
DateTime.MinValue | - | DateTime | TIMESTAMP '0001-01-01'
DateTime.MaxValue | - | DateTime | TIMESTAMP '9999-12-31 23:59:59.999999'
DateTime.DaysInMonth | int int | int | CAST(day(last_day(make_date({{1}}, {{2}}, 1))) AS INTEGER)
DateTime.IsLeapYear | int | bool | ({{1}} % 4 = 0 AND ({{1}} % 100 <> 0 OR {{1}} % 400 = 0))
DateTime.Compare | DateTime DateTime | int | usql_order({{1}}, {{2}})
Guid.NewGuid | | Guid | uuid()
Guid.Empty | - | Guid | CAST('00000000-0000-0000-0000-000000000000' AS UUID)
TimeSpan.Zero | - | TimeSpan | CAST(0 AS BIGINT)
TimeSpan.FromMilliseconds | double | TimeSpan | CAST(round({{1}}) AS BIGINT) * 1000
TimeSpan.FromDays | double | TimeSpan | CAST(round({{1}} * 86400000) AS BIGINT) * 1000
TimeSpan.FromHours | double | TimeSpan | CAST(round({{1}} * 3600000) AS BIGINT) * 1000
TimeSpan.FromMinutes | double | TimeSpan | CAST(round({{1}} * 60000) AS BIGINT) * 1000
TimeSpan.FromSeconds | double | TimeSpan | CAST(round({{1}} * 1000) AS BIGINT) * 1000
Math.PI | - | double | pi()
Math.E | - | double | exp(1.0::DOUBLE)
Math.Ceiling | decimal | decimal | CAST(ceil({{1}}) AS DECIMAL(38,10))
Math.Floor | decimal | decimal | CAST(floor({{1}}) AS DECIMAL(38,10))
Math.Truncate | decimal | decimal | CAST(trunc({{1}}) AS DECIMAL(38,10))
Math.BigMul | int int | long | (CAST({{1}} AS BIGINT) * {{2}})
Math.Sqrt | double | double | CASE WHEN {{1}} < 0 THEN CAST('nan' AS DOUBLE) ELSE sqrt({{1}}) END
Math.Atan2 | double double | double | atan2({{1}}, {{2}})
Math.Pow | double double | double | pow({{1}}, {{2}})
Math.Log | double double | double | ln({{1}}) / ln({{2}})
Convert.ToString | string? | string | COALESCE({{1}}, '')
Convert.ToDateTime | DateTime | DateTime | {{1}}
Convert.ToInt32 | bool | int | CAST({{1}} AS INTEGER)
Convert.ToInt64 | bool | long | CAST({{1}} AS BIGINT)
Convert.ToInt32 | long | int | CAST({{1}} AS INTEGER)
Convert.ToInt64 | long | long | CAST({{1}} AS BIGINT)
Convert.ToInt32 | double | int | CAST({_ROUNDED} AS INTEGER)
Convert.ToInt64 | double | long | CAST({_ROUNDED} AS BIGINT)
Convert.ToInt32 | decimal | int | CAST(usql_rounded({{1}}, 0, 'ToEven') AS INTEGER)
Convert.ToInt64 | decimal | long | CAST(usql_rounded({{1}}, 0, 'ToEven') AS BIGINT)
Convert.ToDouble | double | double | {{1}}
Convert.ToDouble | decimal | double | CAST({{1}} AS DOUBLE)
Convert.ToDouble | bool | double | CAST({{1}} AS DOUBLE)
Convert.ToDecimal | decimal | decimal | {{1}}
Convert.ToDecimal | double | decimal | CAST({{1}} AS DECIMAL(38,10))
Convert.ToBoolean | bool | bool | {{1}}
Convert.ToBoolean | double | bool | ({{1}} <> 0)
Convert.ToChar | int | char | chr({{1}})
Regex.Escape | string | string | usql_escaped({{1}})
double.IsNaN | double | bool | isnan({{1}})
double.IsInfinity | double | bool | isinf({{1}})
double.NaN | - | double | CAST('nan' AS DOUBLE)
double.PositiveInfinity | - | double | CAST('inf' AS DOUBLE)
double.NegativeInfinity | - | double | CAST('-inf' AS DOUBLE)
double.MaxValue | - | double | 1.7976931348623157e308::DOUBLE
double.MinValue | - | double | (-1.7976931348623157e308::DOUBLE)
byte.MaxValue | - | byte | CAST(255 AS UTINYINT)
short.MaxValue | - | short | CAST(32767 AS SMALLINT)
short.MinValue | - | short | CAST(-32768 AS SMALLINT)
int.MaxValue | - | int | CAST(2147483647 AS INTEGER)
int.MinValue | - | int | CAST(-2147483648 AS INTEGER)
long.MaxValue | - | long | CAST(9223372036854775807 AS BIGINT)
long.MinValue | - | long | CAST(-9223372036854775808 AS BIGINT)
{_SAME.strip()}
{_LIKE_DOUBLE.strip()}
"""
)

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
CONVERSIONS = {
    "Convert.ToInt32": "int",
    "Convert.ToInt64": "long",
    "Convert.ToInt16": "short",
    "Convert.ToByte": "byte",
    "Convert.ToDouble": "double",
    "Convert.ToSingle": "float",
    "Convert.ToDecimal": "decimal",
    "Convert.ToBoolean": "bool",
    "Convert.ToDateTime": "DateTime",
}
"""Conversions that also take texts, and what they make of them."""
