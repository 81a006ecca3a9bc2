"""What .NET's documentation says of regular expressions, rounding, casing, comparisons, formats and places in texts."""

from __future__ import annotations

import pytest

EXPECTED = {
    # regular expressions
    'Regex.Replace("John Smith", @"(\\w+) (\\w+)", "$2, $1")': "Smith, John",
    'Regex.Replace("abc", "b", "<$0|$&|$$|$1|\\\\1>")': "a<b|b|$|$1|\\1>c",
    'Regex.Replace("2026-01-31", @"(?<y>\\d+)-(?<m>\\d+)", "${m}/${y}")': "01/2026-31",
    'Regex.Replace("foobar", "(?<=foo)bar", "!")': "foo!",
    'Regex.IsMatch("abab", @"^(ab)\\1$")': "True",
    'Regex.IsMatch("a\\n", "a$")': "True",
    'Regex.IsMatch("a\\n", @"a\\z")': "False",
    'Regex.IsMatch("é", @"^\\w$") && !Regex.IsMatch("²", @"\\w")': "True",
    'Regex.IsMatch("٣", @"^\\d$") && Regex.IsMatch("\\u00a0", @"^\\s$")': "True",
    'Regex.Replace("für mich", @"\\b", "|")': "|für| |mich|",
    'Regex.IsMatch("ABC", "b", RegexOptions.IgnoreCase | RegexOptions.Singleline)': "True",
    'Regex.Replace("aeiouxyz", "[a-z-[aeiou]]", ".")': "aeiou...",
    'Regex.Match("id=42;", @"id=(?<n>\\d+)").Groups["n"].Value': "42",
    'Regex.Match("id=42;", @"id=(\\d+)").Groups[1].Value + Regex.Match("x", "y").Success': "42False",
    'Regex.Match("a12", @"\\d+").Index + Regex.Match("a12", @"\\d+").Length': "3",
    'string.Join("|", Regex.Split("a1b2c", @"\\d"))': "a|b|c",
    'Regex.Escape("a.b")': "a\\.b",
    # rounding
    "Math.Round(1.15, 1)": "1.2",
    "Math.Round(2.675, 2) + Math.Round(0.285, 2)": "2.96",
    "Math.Round(2.5, MidpointRounding.AwayFromZero) + Math.Round(-3.5, MidpointRounding.AwayFromZero)": "-1",
    "Math.Round(1.25, 1, MidpointRounding.AwayFromZero)": "1.3",
    "Math.Round(1.25m, 1) + Math.Round(1.35m, 1)": "2.6",
    "Math.Round(12345678901234567890.25m, 1)": "12345678901234567890.2",
    "Math.Round(2.5m, MidpointRounding.AwayFromZero)": "3",
    "Math.Round(1e300, 2)": "1E+300",
    "Convert.ToInt32(2.5m) + Convert.ToInt32(3.5)": "6",
    '(1.005).ToString("F2") + " " + (2.5).ToString("F0") + " " + (-0.001).ToString("F2")': "1.01 3 0.00",
    '9007199254740993L.ToString("N0") + " " + (1234.5m).ToString("C")': "9,007,199,254,740,993 $1,234.50",
    '(0.5).ToString("#.##") + " " + (1234567.891).ToString("#,##0.0#") + " " + (0.256).ToString("0%")': ".5 1,234,567.89 26%",
    "1m / 3m": "0.3333333333",
    "123456789012345678.12m / 1m": "123456789012345678.12",
    "10000000000m * 10000000000m": "100000000000000000000",
    "Math.Min(double.NaN, 1.0)": "NaN",
    # casing and comparisons
    '"straße ŉ ǆ".ToUpper()': "STRASSE"[:4] + "ßE ŉ Ǆ",
    '"İI".ToLowerInvariant() + "ıi".ToUpperInvariant()': "İiıI",
    '"ΑΣ".ToLower()': "ασ",
    'string.Compare("a", "_", StringComparison.OrdinalIgnoreCase)': "-1",
    'string.Compare("a", "B", StringComparison.Ordinal)': "1",
    'string.Compare("a", "B", StringComparison.InvariantCulture)': "-1",
    'string.Compare("a", "A", true)': "0",
    '"ab".Contains("B", StringComparison.OrdinalIgnoreCase)': "True",
    '"a" == "A"': "False",
    # places in texts
    '"a😀b".Length + "a😀b".IndexOf("b") + "a😀b".LastIndexOf("b")': "10",
    '"a😀b".Substring(3) + "abc".Substring(3) + "a😀b".Substring(1, 2)': "b😀",
    '"abcabc".IndexOf("c", 3) + "abc".IndexOf("", 3)': "8",
    '"\\u2003 a\\u3000".Trim() + "|" + "xxaxx".Trim(new char[]{\'x\'})': "a|a",
    'string.Join("|", "a\\tb c".Split()) + string.Join("|", "abc".Split(""))': "a|b|cabc",
    # whole numbers
    "(float) 1e300": "Infinity",
    "(int) 2.9 + (int) -2.9m": "0",
    "1 << 33": "2",
    "1 << 31": "-2147483648",
    "-8 >> 1": "-4",
    "-7 >> 1": "-4",
    "-7 / 2": "-3",
    "-7 % 2": "-1",
    "1u << 31": "2147483648",
    "1L << 63": "-9223372036854775808",
    # dates
    'DateTime.Parse("2026-01-02 03:04:05.678").ToString("yyyy-MM-dd HH:mm:ss.ff t")': "2026-01-02 03:04:05.67 A",
    'DateTime.Parse("2026-01-02 03:04:05.600").ToString("HH:mm:ss.FFF")': "03:04:05.6",
    'DateTime.Parse("2026-01-02").ToString(CultureInfo.InvariantCulture)': "01/02/2026 00:00:00",
    'DateTime.Parse("2026-01-02").ToString("d", CultureInfo.InvariantCulture)': "01/02/2026",
    'DateTime.ParseExact("02.01.2026", "dd.MM.yyyy", CultureInfo.InvariantCulture).ToString("yyyy-MM-dd")': "2026-01-02",
}


def test_each_member_is_as_documented(usql):
    made = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(EXPECTED))
    text = f"@r = SELECT {made} FROM (VALUES (1)) AS t(one);\n"
    text += "OUTPUT @r TO \"@@out@@/r.txt\" USING Outputters.Text(delimiter: '\\u0002', quoting: false);"
    line = usql.run(text)["r.txt"].decode().removesuffix("\r\n")
    found = dict(zip(EXPECTED, line.split("\x02"), strict=True))
    assert found == EXPECTED


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('Regex.IsMatch(a, "(")', "line 1, column 30: The pattern of Regex.IsMatch can't be run"),
        ('Regex.Replace(a, @"(?<x-y>b)", "")', "A balancing group can't be run here at character 1"),
        ('Regex.Replace(a, "b*+", "")', "`+` repeats nothing"),
        ("Regex.IsMatch(a, a)", "The pattern of Regex.IsMatch can't be run: `(` is not closed"),
        ('Regex.Match(a, "x")', "Match is no type of a column"),
        ("RegexOptions.RightToLeft", "RegexOptions has no RightToLeft here"),
        ("StringComparison.Ordinal", "is no type of a column"),
        ("StringComparison.Ordnal", "StringComparison has no Ordnal here"),
        ("Math.Round(1.5, 16)", "Math.Round to so many digits"),
        ('Math.Round("1")', "Math.Round can't take string"),
        ("a.Substring(0, -1)", ".Substring beyond the ends of a text"),
        ("a.Substring(2)", ".Substring beyond the ends of a text"),
        ('a.IndexOf("x", 9)', ".IndexOf beyond the ends of a text"),
        ('a.Replace("", "x")', ".Replace of what it does not take"),
        ("a.PadLeft(-1)", ".PadLeft of what it does not take"),
        ("a.Insert(9, a)", ".Insert beyond the ends of a text"),
        ('"😀".Substring(1)', ".Substring beyond the ends of a text"),
        ('DateTime.Parse("9999-12-31").AddDays(1)', ".AddDays of what it does not take"),
        (
            'DateTime.ParseExact("1/2/2026", "MM/dd/yyyy", null)',
            "DateTime.ParseExact of a text that has another format",
        ),
        ("(byte) (a.Length + 299)", "The cast to byte of a number that is too large can't be computed"),
        ("new DateTime(2026, 2, 30)", "A date that there is not can't be computed"),
        ("int.MaxValue + a.Length", "Overflow"),
    ],
)
def test_what_net_does_not_take_is_an_error_at_its_place(usql, expression, said):
    text = f'@r = SELECT {expression} AS x FROM (VALUES ("(")) AS t(a);\n'
    told = usql.error(text + 'OUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();')
    assert told.startswith("s.usql, line 1, column ") or "Overflow" in told
    assert said in told


def test_chains_of_calls_stay_small_and_take_aggregates_and_windows(usql):
    rows = '(VALUES ("abc", 1), ("abc", 2)) AS t(s, n)'
    assert usql.one("s" + ".Substring(0).ToUpper().PadLeft(3)" * 30, rows) == "ABC"
    assert usql.one("ANY_VALUE(s).Substring((int) COUNT(*))", rows) == "c"
    assert usql.one("Math.Round(AVG(n), (int) COUNT(*))", rows) == "1.5"
    assert usql.one("s.Substring((int) ROW_NUMBER() OVER (ORDER BY n))", rows) == "bc"
    assert usql.one("MAX(s.Substring(n)).ToUpper()", rows) == "C"
