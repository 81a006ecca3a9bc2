"""Methods, properties and formats of C#, by examples whose results .NET documents."""

from __future__ import annotations

import pytest

D = 'DateTime.Parse("2016-05-11 10:11:12 PM")'
EXAMPLES = {
    "\"a,b\".Split(',').First() + \"a,b\".Split(',').ToArray().Last() + \"a,b\".Split(',').ElementAt(1)": "abb",
    '"a,b".Split(\',\').Contains("b") && !new SQL.ARRAY<int>{1, 2}.Contains(3)': "True",
    "1.Equals(1) && !((int?) null).Equals(1) && DateTime.MinValue.Equals(DateTime.MinValue)": "True",
    'Char.IsDigit(\'1\') && char.IsUpper("aB", 1) && !System.String.IsNullOrEmpty("a")': "True",
    'Byte.Parse("5") + UInt32.Parse("6") + System.Int64.Parse("7")': "18",
    'TimeSpan.Parse("1.01:30:00.5").TotalSeconds + TimeSpan.Parse("2").TotalDays + TimeSpan.Zero.Days': "91802.5",
    'TimeSpan.Parse("-10:20").ToString() + TimeSpan.FromMilliseconds(1500)': "-10:20:0000:00:01.5000000",
    "new string('a', 3) + new Guid(\"6F9619FF-8B86-D011-B42D-00CF4FC964FF\").ToString().Substring(0, 4)": "aaa6f96",
    '"aBc".ToLower() + "x".ToUpper()': "abcX",
    '" a ".Trim() + "|" + " a ".TrimStart() + "|" + " a ".TrimEnd()': "a|a | a",
    "\"xxaxx\".Trim('x')": "a",
    '"hello".Substring(1, 3) + "hello".Substring(4)': "ello",
    "\"a,b,,c\".Split(',')[1]": "b",
    "\"a,b;c\".Split(',', ';').Length": "3",
    "\"a,,c\".Split(new[] {','}, StringSplitOptions.RemoveEmptyEntries).Count()": "2",
    '"banana".IndexOf("an") + "banana".LastIndexOf("an") * 10': "31",
    "\"banana\".IndexOf('n', 3)": "4",
    '"banana".StartsWith("ba") && "banana".EndsWith("na") && !"banana".Contains("xy")': "True",
    '"Banana".StartsWith("bA", StringComparison.OrdinalIgnoreCase)': "True",
    '"7".PadLeft(3, \'0\') + "7".PadRight(3) + "|"': "0077  |",
    '"abc".Insert(1, "-").Remove(3)': "a-b",
    '"abcd".Remove(1, 2)': "ad",
    '"abc"[1].ToString()': "b",
    '"a".CompareTo("b") + string.Compare("b", "a") * 10': "9",
    'string.Equals("A", "a", StringComparison.OrdinalIgnoreCase)': "True",
    'string.Concat("a", 1, true)': "a1True",
    'string.Join("-", "a", "b", "c")': "a-b-c",
    'string.Format("{0:D3}|{1,4}|{1,-4}|{2:F1}|{{}}", 7, "x", 2.25)': "007|   x|x   |2.3|{}",
    'string.IsNullOrWhiteSpace(" \\t") && string.IsNullOrEmpty((string) null)': "True",
    '1234.5.ToString("N2") + " " + 0.256.ToString("P1") + " " + 255.ToString("X4")': "1,234.50 25.6 % 00FF",
    '12.5.ToString("000.00") + 1234567.0.ToString("#,##0")': "012.501,234,567",
    '(-5).ToString("D3")': "-005",
    '7 / 2 + " " + -7 / 2 + " " + -7 % 3 + " " + 7.0 / 2': "3 -3 -1 3.5",
    '1 / 3 + 1 / 3.0 > 0.3 ? "double" : "int"': "double",
    "(int) 3.99 + (int) -3.99 + (long) 'a'": "97",
    "(double) 1 / 4 + (byte) 3": "3.25",
    "1 << 4 | 3 & 2 ^ 1": "19",
    "~5 + 0x10 + 2u": "12",
    "1.5m + 2": "3.5",
    "Math.Round(2.5) + Math.Round(3.5) + Math.Round(1.255, 1)": "7.3",
    "Math.Max(1, 2.5) + Math.Min(3, 4) + Math.Abs(-2)": "7.5",
    "Math.Floor(-1.5) + Math.Ceiling(1.2) + Math.Sqrt(16) + Math.Pow(2, 3)": "12",
    "Math.Sign(-4) + Math.Truncate(-1.9)": "-2",
    'int.Parse(" 12 ") + Convert.ToInt32("3") + Convert.ToInt32(2.5) + Convert.ToInt32((string) null)': "17",
    'double.Parse("1,234.5") + Convert.ToDouble("1e2")': "1334.5",
    'bool.Parse("TRUE") || Convert.ToBoolean("false")': "True",
    "Convert.ToString(2.0) + Convert.ToString(true)": "2True",
    "int.MaxValue": "2147483647",
    "long.MinValue": "-9223372036854775808",
    f"{D}.ToString()": "5/11/2016 10:11:12 PM",
    f'{D}.ToString("yyyy-MM-dd HH:mm:ss.fff")': "2016-05-11 22:11:12.000",
    f'{D}.ToString("ddd, d MMM yy h:m tt")': "Wed, 11 May 16 10:11 PM",
    f'{D}.ToString("o")': "2016-05-11T22:11:12.0000000",
    f"{D}.Year + {D}.Month + {D}.Day + {D}.Hour + {D}.Minute + {D}.Second": "2077",
    f"{D}.DayOfYear": "132",
    f"{D}.DayOfWeek == DayOfWeek.Wednesday": "True",
    f"{D}.DayOfWeek.ToString() + (int) {D}.DayOfWeek": "Wednesday3",
    f"{D}.Date": "2016-05-11T00:00:00.0000000",
    f"{D}.AddDays(1.5).AddMonths(1).AddYears(-1)": "2015-06-13T10:11:12.0000000",
    f"{D}.AddHours(2).AddMinutes(-11).AddSeconds(-12)": "2016-05-12T00:00:00.0000000",
    f'({D} - DateTime.Parse("5/10/2016")).TotalHours': "46.1866666666667",
    f'({D} - DateTime.Parse("2016/05/10")).Days': "1",
    f'({D} - DateTime.Parse("May 10, 2016")).ToString()': "1.22:11:12",
    "new DateTime(2020, 2, 28).AddDays(1).Day": "29",
    "new DateTime(2020, 1, 2, 3, 4, 5)": "2020-01-02T03:04:05.0000000",
    'DateTime.ParseExact("20160511", "yyyyMMdd", null)': "2016-05-11T00:00:00.0000000",
    "DateTime.MinValue": "0001-01-01T00:00:00.0000000",
    "DateTime.Now >= DateTime.Today && DateTime.Now.AddDays(1) > DateTime.UtcNow": "True",
    "TimeSpan.FromMinutes(90).TotalHours": "1.5",
    "new SQL.ARRAY<int>{3, 4}[1]": "4",
    'Regex.IsMatch("abc", "^a.c$")': "True",
    'System.Text.RegularExpressions.Regex.Replace("a1b2", "[0-9]", "")': "ab",
    "System.Math.Max(1, 2)": "2",
    "char.IsDigit('7') && char.IsLetter(\"x7\"[0])": "True",
    "((int?) null).GetValueOrDefault() + ((int?) null).GetValueOrDefault(5)": "5",
    "((int?) 3).HasValue && ((int?) 3).Value == 3": "True",
    '((int?) null).ToString() + "|" + ((DateTime?) null)': "|",
    '@"C:\\x" + "\\u00e9\\x41\\t"': "C:\\xéA\t",
    "true ^ true": "False",
    '"b" BETWEEN "a" AND "c" AND NOT "b" IN ("x", "y") AND "b" LIKE "_" AND null IS NULL': "True",
    '0.1 + 0.2 + " " + 2.0 / 3 + " " + 1f / 3 + " " + 1e15 + " " + 123456789012345.0 + " " + 1e-5 + " " + -0.0': (
        "0.3 0.666666666666667 0.3333333 1E+15 123456789012345 1E-05 0"
    ),
    'string.Compare("abc", "ABC") + " " + string.CompareOrdinal("abc", "ABC") + " " + "Noah".CompareTo("N")': "-1 1 1",
    'string.Compare("ani\\u00ADmal", "animal") + " " + string.Compare("Noah", 0, "N", 0, 1)': "0 0",
    'string.Compare("é", "f") + " " + string.Compare("e", "é") + " " + string.Compare((string) null, "a")': "-1 -1 -1",
    'string.Format("{0:G} {0:X} {1:X}", -27, 255L)': "-27 FFFFFFE5 FF",
    '"boy hates boy".IndexOf("boy", 1, 5) + " " + "mammal".LastIndexOf("m")': "-1 3",
    "string.Concat(\"a;b\".Split(';')) + SqlArray.Create(\"x;y\".Split(';'))[1]": "aby",
    '"Ab".ToCharArray()[1].ToString() + "Ab".ToCharArray().Length': "b2",
    'new DateTime(2017, 01, 02, 03, 04, 05, DateTimeKind.Local).ToString("u")': "2017-01-02 03:04:05Z",
    "one == 1 AND NOT one != 1 OR false": "True",
}


@pytest.mark.parametrize(("expression", "expected"), EXAMPLES.items())
def test_members_do_what_net_documents(usql, expression, expected):
    assert usql.one(expression) == expected


@pytest.mark.parametrize(("declared", "expected"), {
    'DECLARE @x string = "a" + 1;': "a1",
    "DECLARE @x double = 3;": "3",
    "DECLARE CONST @x int? = null;": "",
    'DECLARE EXTERNAL @x DateTime = DateTime.Parse("2020-01-31").AddMonths(1);': "2020-02-29T00:00:00.0000000",
    "DECLARE @x = 1; DECLARE EXTERNAL @x = 2;": "1",
    "DECLARE @y = 5; DECLARE @x = @y * 2L;": "10",
    "DECLARE @x SQL.ARRAY<string> = new SQL.ARRAY<string>{\"k\"};": None,
}.items())  # fmt: skip
def test_variables_are_computed_once_and_have_types(usql, declared, expected):
    if expected is None:
        assert usql.one("@x[0]", before=declared) == "k"
    else:
        assert usql.one("@x", before=declared) == expected
