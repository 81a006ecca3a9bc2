"""EXTRACT reads what U-SQL's extractors read, and says where what it can't stands."""

from __future__ import annotations

import gzip

import pytest

READ = "@r = EXTRACT {columns} FROM {path} USING Extractors.{using};"


def lines(usql, columns, path, using="Csv()", query="SELECT * FROM @r", order=""):
    before = READ.format(columns=columns, path=path if path.startswith(("@", '"')) else f'"{path}"', using=using)
    return usql.rows(query, before, 'quoting: false, nullEscape: "NULL"', order)


def test_types_of_columns(usql):
    usql.write("a.csv", '1,-2,3.5,1.25,True,2012-02-15 11:53:16,"x, ""y""",0f8fad5b-d9cb-469f-a165-70867728950e,65\r\n')
    columns = "a int, b long, c double, d decimal, e bool, f DateTime, g string, h Guid, i char"
    assert lines(usql, columns, "a.csv", query="SELECT a, b, c, d, e, f, g, h, i.ToString() AS i FROM @r") == [
        '1,-2,3.5,1.25,True,2012-02-15T11:53:16.0000000,x, "y",0f8fad5b-d9cb-469f-a165-70867728950e,A'
    ]


@pytest.mark.parametrize(("option", "texts"), {
    "": ["1", "NULL", "", "\\N", "#NULL#"],
    'nullEscape: "\\\\N"': ["1", "", "", "NULL", "#NULL#"],
    'nullEscape: "#NULL#"': ["1", "", "", "\\N", "NULL"],
    'nullEscape: ""': ["1", "", "NULL", "\\N", "#NULL#"],
}.items())  # fmt: skip
def test_null_is_as_documented(usql, option, texts):
    usql.write("a.csv", '1,,"",\\N,#NULL#\n')
    assert lines(usql, "a string, b string, c string, d string, e string", "a.csv", f"Csv({option})") == [
        ",".join(texts)
    ]


def test_an_empty_field_is_null_for_a_number_that_may_be_and_an_error_for_others(usql):
    usql.write("a.csv", "1,\n2,7\n")
    assert lines(usql, "a int, b int?", "a.csv") == ["1,NULL", "2,7"]
    said = usql.error('@r = EXTRACT a int,\n    b int FROM "a.csv" USING Extractors.Csv();\n'
                      'OUTPUT @r TO "@@out@@/x" USING Outputters.Csv();')  # fmt: skip
    assert "s.usql, line 2, column 5: The column 'b' is an int, and can't hold what a row has" in said
    assert "a.csv: null" in said or "a.csv:" in said


def test_silent_skips_rows_and_makes_null_of_wrong_values(usql):
    usql.write("a.csv", "1,2\n3\n4,x\n5,6,7\n")
    assert lines(usql, "a int, b int?", "a.csv", "Csv(silent: true)") == ["1,2", "4,NULL"]
    said = usql.error('@r = EXTRACT a int, b int? FROM "a.csv" USING Extractors.Csv();\n'
                      'OUTPUT @r TO "@@out@@/x" USING Outputters.Csv();')  # fmt: skip
    assert "line 1, column 6: A row has not 2 columns as EXTRACT says (silent: true would skip it)" in said
    assert "a.csv: 3" in said


def test_delimiters_quotes_and_escapes(usql):
    usql.write("a.txt", 'a|"b|c"|d"e\n')
    assert lines(usql, "a string, b string, c string", "a.txt", "Text(delimiter: '|')") == ['a,b|c,d"e']
    assert lines(usql, "a string, b string, c string, d string", "a.txt", "Text('|', quoting: false)") == [
        'a,"b,c",d"e'
    ]
    usql.write("b.txt", "a\\|b|c\\\\d\n")
    assert lines(usql, "a string, b string", "b.txt", "Text(delimiter: '|', escapeCharacter: '\\\\')") == ["a|b,c\\d"]
    usql.write("c.txt", "a,1;b,2;")
    assert lines(usql, "a string, b int", "c.txt", 'Csv(rowDelimiter: ";")') == ["a,1", "b,2"]
    usql.write("d.tsv", "h1\th2\r\nx\t1\r\n")
    assert lines(usql, "a string, b int", "d.tsv", "Tsv(skipFirstNRows: 1)") == ["x,1"]


@pytest.mark.parametrize(("word", "codec"), [
    ("Unicode", "utf-16-le"), ("BigEndianUnicode", "utf-16-be"), ("UTF32", "utf-32-le"), ("UTF8", "utf-8-sig"), ("UTF7", "utf-7"),
    ("Unicode", "utf-16"),
])  # fmt: skip
def test_encodings(usql, word, codec):
    usql.write("a.csv", "é,1\r\n€,2\r\n", codec)
    assert lines(usql, "a string, b int", "a.csv", f"Csv(encoding: Encoding.{word})") == ["é,1", "€,2"]


def test_a_file_of_another_encoding_is_an_error(usql):
    usql.write("a.csv", "é,1\n")
    said = usql.error('@r = EXTRACT a string, b int FROM "a.csv" USING Extractors.Csv(encoding: Encoding.[ASCII]);\n'
                      'OUTPUT @r TO "@@out@@/x" USING Outputters.Csv();')  # fmt: skip
    assert "line 1, column 6: The file is not encoded as ascii" in said


def test_files_that_are_compressed(usql):
    (usql.folder / "a.csv.gz").write_bytes(gzip.compress(b"x,1\n"))
    assert lines(usql, "a string, b int", "a.csv.gz") == ["x,1"]
    (usql.folder / "b.csv.gz").write_bytes(gzip.compress("y,2\n".encode("utf-16-le")))
    assert lines(usql, "a string, b int", "b.csv.gz", "Csv(encoding: Encoding.Unicode)") == ["y,2"]


def test_lists_of_files(usql):
    usql.write("a.csv", "1\n")
    usql.write("b.csv", "2\n")
    assert lines(usql, "a int", '"a.csv", "b.csv"') == ["1", "2"]


def test_file_sets_and_virtual_columns(usql):
    for day, vehicle in (("2014/09/14", 1), ("2014/09/15", 1), ("2014/09/15", 2)):
        name = f"data/{day}/vehicle{vehicle}_{day[5:7]}{day[8:]}{day[:4]}.csv"
        usql.write(name, f"{vehicle * 10}\n")
    usql.write("data/2014/09/15/vehicle3_01012000.csv", "99\n")  # its dates are not the same
    usql.write("data/2014/09/15/note.txt", "no\n")
    path = '"data/{date:yyyy}/{date:MM}/{date:dd}/vehicle{vid}_{date:MM}{date:dd}{date:yyyy}.csv"'
    columns = "speed int, vid int, date DateTime"
    query = 'SELECT speed, vid, date.ToString("yyyy-MM-dd") AS d FROM @r'
    assert lines(usql, columns, path, query=query) == ["10,1,2014-09-14", "10,1,2014-09-15", "20,2,2014-09-15"]
    where = ' WHERE date >= DateTime.Parse("2014-09-15") AND vid == 2'
    assert lines(usql, columns, path, query=query + where) == ["20,2,2014-09-15"]
    assert lines(usql, "speed int", '"data/2014/09/{*}/vehicle{*}_0{*}.csv"', order="ORDER BY speed") == [
        "10",
        "10",
        "20",
        "99",
    ]
    assert lines(usql, "a string, name string", '"data/2014/09/15/{name}.txt"') == ["no,note"]


def test_a_condition_on_virtual_columns_leaves_files_unread(usql):
    usql.write("d/v1_2020.csv", "1\n")
    usql.write("d/v2_2020.csv", "what can not be read\n")
    columns, path = "i int, vid int, d DateTime", '"d/v{vid}_{d:yyyy}.csv"'
    for where in ("vid == 1", "r.vid < 2 AND i > 0 && r.d.Year == 2020", "vid IN (1, 7) AND (i == 1 OR vid == 2)"):
        query = f"SELECT i, d.Year AS y FROM @r AS r WHERE {where}"
        assert lines(usql, columns, path, query=query) == ["1,2020"], where
    assert lines(usql, columns, path, query="SELECT i FROM @r WHERE vid > 7") == []


def test_what_is_wrong_with_a_path_is_said_with_what_to_write(usql):
    ends = ' USING Extractors.Csv(); OUTPUT @r TO "@@out@@/x" USING Outputters.Csv();'
    usql.write("data/a.csv", "1\n")
    said = usql.error('@r = EXTRACT a int FROM "adl://store.azuredatalakestore.net/x.csv"' + ends)
    assert "line 1, column 25: A script reads and writes no store by itself" in said and "DataTransferStep" in said
    said = usql.error('@r = EXTRACT a int FROM "data"' + ends)
    assert "The path of EXTRACT is a folder" in said and 'Write the folder\'s files: "data/{*}".' in said
    said = usql.error('@r = EXTRACT a int FROM "data/a.csv/{*}"' + ends)
    assert "What the path has as a folder is a file" in said and "Leave out what follows it." in said
    assert "There is no file of that path" in usql.error('@r = EXTRACT a int FROM "none.csv"' + ends)
    said = usql.error('@r = EXTRACT a int FROM "data/{name}.csv"' + ends)
    assert "The path has {name}, and EXTRACT no column 'name'" in said
    assert "{d:Q} is no pattern" in usql.error('@r = EXTRACT a int, d DateTime FROM "data/{d:Q}.csv"' + ends)


def test_rows_are_read_and_written_within_little_memory(usql):
    usql.write("a.csv", "".join(f"{number % 977},{'x' * 40}{number}\n" for number in range(200_000)))
    text = """@r = EXTRACT k int, t string FROM "a.csv" USING Extractors.Csv();
    OUTPUT @r TO "@@out@@/all.csv" USING Outputters.Csv();
    @g = SELECT k, COUNT(*) AS n FROM @r GROUP BY k; OUTPUT @g TO "@@out@@/g.csv" ORDER BY k USING Outputters.Csv();"""
    made = usql.run(text, settings={"threads": 1, "memory": "100MB"})
    assert made["all.csv"].count(b"\n") == 200_000 and made["g.csv"].startswith(b"0,205\r\n")


@pytest.mark.parametrize(
    ("codec", "word"),
    [
        ("latin-1", 'Encoding.GetEncoding("windows-1252")'),
        ("cp1252", 'Encoding.GetEncoding("windows-1252")'),
        ("utf-16", "Encoding.Unicode"),
        ("utf-32", "Encoding.UTF32"),
    ],
)
def test_a_file_of_another_encoding_says_which_and_what_to_write(usql, codec, word):
    usql.write("good.csv", "ä,1\n")
    usql.write("bad.csv", "ä,1\n" * 3, codec)
    text = (
        '@r = EXTRACT a string, b int FROM "good.csv", "bad.csv" USING Extractors.Csv({});\n'
        'OUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();'
    )
    said = usql.error(text.format(""))
    assert said.startswith("s.usql, line 1, column ") and "The file is not encoded as utf-8" in said
    assert "bad.csv" in said and "good.csv" not in said.split("Hint")[0].split("file", 1)[1].split("\n")[0]
    assert f"Write encoding: {word}" in said
    alone = text.replace('"good.csv", ', "").format(f"encoding: {word}")
    assert usql.run(alone)["r.csv"].decode() == '"ä",1\r\n' * 3


def test_encodings_by_name(usql):
    usql.write("a.csv", "€\n", "cp1252")
    for given in ('"windows-1252"', "1252"):
        text = f'@r = EXTRACT a string FROM "a.csv" USING Extractors.Csv(encoding: Encoding.GetEncoding({given}));\n'
        assert usql.run(text + 'OUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();')["r.csv"].decode() == '"€"\r\n'
    said = usql.error(text.replace("1252", '"no-such"') + 'OUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();')
    assert "That encoding is not known here" in said
