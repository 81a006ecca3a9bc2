"""OUTPUT writes what U-SQL's outputters write."""

from __future__ import annotations

ROWS = """@v = SELECT * FROM (VALUES (1, "a\\"b", 2.5, true, DateTime.Parse("2012-02-15 11:53:16"), 'x'),
    (2, (string) null, 1e20, false, DateTime.Parse("2020-01-01"), 'y')) AS t(i, s, d, b, t, c);"""


def written(usql, using, clauses=""):
    text = f'{ROWS} OUTPUT @v TO "@@out@@/deep/v.csv" {clauses} USING Outputters.{using};'
    usql.run(text)
    return (usql.folder / "out" / "deep" / "v.csv").read_bytes()


def test_values_have_their_forms_and_texts_their_quotes(usql):
    assert written(usql, "Csv()") == (
        b'1,"a""b",2.5,True,2012-02-15T11:53:16.0000000,120\r\n2,,1E+20,False,2020-01-01T00:00:00.0000000,121\r\n'
    )


def test_headers_and_null(usql):
    assert written(usql, 'Tsv(outputHeader: true, nullEscape: "NULL", charFormat: "string")').split(b"\r\n")[::2] == [
        b'"i"\t"s"\t"d"\t"b"\t"t"\t"c"', b'2\tNULL\t1E+20\tFalse\t2020-01-01T00:00:00.0000000\t"y"',
    ]  # fmt: skip
    assert written(usql, "Csv(outputHeader: true, quoting: false)").startswith(b'i,s,d,b,t,c\r\n1,a"b,')


def test_delimiters_rows_and_dates(usql):
    using = 'Text(delimiter: \'|\', rowDelimiter: "\\n", dateTimeFormat: "yyyy/MM/dd HH:mm", quoting: false)'
    assert written(usql, using) == b'1|a"b|2.5|True|2012/02/15 11:53|120\n2||1E+20|False|2020/01/01 00:00|121\n'


def test_escapes_protect_delimiters(usql):
    text = '@v = SELECT * FROM (VALUES ("a,b\\\\c")) AS t(s); OUTPUT @v TO "@@out@@/e.csv" USING Outputters.Csv({});'
    for options, expected in (
        ("quoting: false, escapeCharacter: '\\\\'", b"a\\,b\\\\c\r\n"),
        ("quoting: false", b"a,b\\c\r\n"),
    ):
        usql.run(text.format(options))
        assert (usql.folder / "out" / "e.csv").read_bytes() == expected


def test_encodings(usql):
    assert written(usql, "Csv(encoding: Encoding.Unicode)").decode("utf-16-le").startswith('1,"a""b"')


def test_order_and_fetch(usql):
    assert written(usql, "Csv()", "ORDER BY d DESC FETCH 1 ROWS").startswith(b"2,,")
    assert written(usql, "Csv()", "ORDER BY i DESC OFFSET 1 ROWS").startswith(b"1,")


def test_an_output_may_be_the_folder_that_was_made_for_it(usql):
    (usql.folder / "out" / "one").mkdir()
    usql.run(ROWS + 'OUTPUT @v TO "@@out@@/one" USING Outputters.Csv();')
    assert (usql.folder / "out" / "one").is_file()


def test_what_can_not_be_written_is_said(usql):
    end = 'OUTPUT @v TO "{}" USING Outputters.{};'
    said = usql.error(ROWS + end.format("/elsewhere/x.csv", "Csv()"))
    assert "The path of OUTPUT is in no output of the step" in said and "outputs" in said
    assert "reads and writes no store" in usql.error(ROWS + end.format("adl://a/x.csv", "Csv()"))
    assert "outputHeader has to be true or false" in usql.error(ROWS + end.format("@@out@@/x", "Csv(outputHeader: 1)"))
    assert "Outputters.Csv has no argument 'header'" in usql.error(ROWS + end.format("@@out@@/x", "Csv(header: true)"))
    assert "Write Outputters.Text(delimiter: …)" in usql.error(ROWS + end.format("@@out@@/x", "Csv(delimiter: ';')"))
    array = "@v = SELECT \"a\".Split(',') AS a FROM (VALUES (1)) AS t(x);"
    assert 'Write string.Join(";", a) AS a' in usql.error(array + end.format("@@out@@/x", "Csv()"))
