"""What is no U-SQL, or can't be run, is said at its place, with what to write instead."""

from __future__ import annotations

import pytest

START = '@v = SELECT * FROM (VALUES (1, "a", (int?) 2)) AS t(Id, Name, Pay);\n'
END = '\nOUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();'

# what is written, where it is wrong (line, column), what is said, what to write
WRONG = [
    ("@r = SELECT Nam FROM @v;", (2, 13), "There is no column 'Nam'", "Write Name."),
    ("@r = SELECT Id FROM @w;", (2, 21), "The rowset @w is not assigned before", "Write @w = SELECT …; before."),
    ("@r = SELECT Id FROM @v WHERE Id = 1;", (2, 33), "`=` does not compare in U-SQL", "Write `==`."),
    ("@r = SELECT Id FROM @v WHERE Id <> 1;", (2, 34), "", "Write"),
    ("@r = SELECT Id FROM @v where Id == 1;", (2, 24), "", "Write"),
    ("@r = SELECT Id\nFORM @v;", (3, 1), "", "Write"),
    ("@r = SELECT Id + 1 FROM @v;", (2, 13), "The column has no name", "Write … AS name."),
    (
        "@r = SELECT Id, Name AS Id FROM @v;",
        (2, 17),
        "Two columns of the SELECT are called 'Id'",
        "Write … AS another_name.",
    ),
    ("@r = SELECT Id - Name AS x FROM @v;", (2, 13), "`-` can't take an int and a string", "Cast or convert"),
    ("@r = SELECT Id FROM @v WHERE Id == Name;", (2, 30), "`==` can't compare an int with a string", "Cast"),
    ('@r = SELECT Id FROM @v WHERE Name > "a";', (2, 30), "`>` can't compare a string", "string.Compare(a, b) > 0"),
    ("@r = SELECT Id FROM @v WHERE Id;", (2, 30), "WHERE is an int, and has to be a bool", "Write a comparison."),
    ("@r = SELECT Id FROM @v WHERE Id AND true;", (2, 30), "A side of && is an int", "Write a comparison."),
    ("@r = SELECT Name.Lenght AS x FROM @v;", (2, 13), "A string has no property 'Lenght' here", "Write .Length."),
    ("@r = SELECT Name.ToUper() AS x FROM @v;", (2, 13), "A string has no method 'ToUper' here", "Write .ToUpper(…)."),
    ('@r = SELECT Name.Substring("a") AS x FROM @v;', (2, 13), ".Substring can't take string", "Cast"),
    ("@r = SELECT My.Code.Run(Id) AS x FROM @v;", (2, 13), "", "Write"),
    ("@r = SELECT Math.Cube(Id) AS x FROM @v;", (2, 13), "Math has no Cube here", ""),
    (
        "@r = SELECT Helper.Run(Id) AS x FROM @v;",
        (2, 13),
        "Helper is no column, and no class that is known here",
        "PythonScriptStep",
    ),
    (
        "@r = SELECT new My.Thing(Id) AS x FROM @v;",
        (2, 13),
        "`new My.Thing` makes an object of a class",
        "PythonScriptStep",
    ),
    ("@r = SELECT Name FROM @v GROUP BY Id;", (2, 13), "The column 'Name' is in no GROUP BY", "ANY_VALUE(Name)"),
    ("@r = SELECT Id FROM @v WHERE SUM(Id) > 1;", (2, 30), "The aggregate SUM stands where it can't", "HAVING"),
    ("@r = SELECT SUM(Name) AS x FROM @v;", (2, 13), "SUM can't take a string", "Pass a number."),
    ("@r = SELECT Sum(Id) AS x FROM @v;", (2, 13), "There is no function Sum", "Write SUM."),
    ("@r = SELECT ROW_NUMBER() AS x FROM @v;", (2, 13), "ROW_NUMBER needs OVER", "OVER (ORDER BY …)"),
    (
        "@r = SELECT a.Id FROM @v AS a JOIN @v AS b ON Id == b.Id;",
        (2, 47),
        "Several rowsets have a column 'Id'",
        "Write a.Id.",
    ),
    ("@r = SELECT Id FROM @v ORDER BY Id;", (2, 24), "ORDER BY in a query needs FETCH", "FETCH n ROWS"),
    ("@r = SELECT Id FROM @v UNION SELECT Name FROM @v;", (2, 6), "are int and string", "Cast one of them"),
    ("@r = SELECT Id FROM @v UNION SELECT Id, Name FROM @v;", (2, 6), "have 1 and 2 columns", "as many columns"),
    ('@r = SELECT * FROM (VALUES (1), ("a")) AS t(x);', (2, 29), "have no type in common", "Cast"),
    ("@r = SELECT null AS x FROM @v;", (2, 13), "null alone has no type", "(int?) null"),
    ("@r = SELECT (int) Name AS x FROM @v;", (2, 13), "A string can't be cast to int", "int.Parse"),
    (
        "@r = SELECT Pay + Id ?? 0 AS x, Id ?? 0 AS y FROM @v;",
        (2, 33),
        "`??` needs what may be null before it",
        "Leave out",
    ),
    ("@r = SELECT 'ab' AS x FROM @v;", (2, 13), "more than one character", "double quotes"),
    ('@r = SELECT $"{Id}" AS x FROM @v;', (2, 13), "Interpolated texts", "string.Format"),
    ('@r = SELECT "\\q" AS x FROM @v;', (2, 14), "\\q is no escape of C#", "Write"),
    (
        "@r = SELECT Id FROM @v WHERE Id IN (SELECT Id FROM @v);",
        (2, 37),
        "A SELECT can't stand in an expression",
        "SEMIJOIN",
    ),
    ("@r = SELECT Id FROM @v SAMPLE ANY (5);", (2, 24), "SAMPLE can't be run here", "FETCH n ROWS"),
    ("@r = SELECT Id FROM master.dbo.People;", (2, 21), "master is a table or function of the catalog", "EXTRACT"),
    (
        "@r = PROCESS @v PRODUCE Id int USING new My.P();",
        (2, 6),
        "PROCESS, which runs a processor of C#,",
        "PythonScriptStep",
    ),
    ('@r = EXTRACT Id int FROM "a" USING new My.Extractor();', (2, 36), "An extractor of your own", "Extractors.Text"),
    (
        '@r = EXTRACT Id int FROM "a" USING Extractors.Json();',
        (2, 36),
        "There is no Extractors.Json",
        "Extractors.Csv()",
    ),
    ('@r = EXTRACT Id int FROM "a" USING Extractors.Csv(skip: 1);', (2, 51), "has no argument 'skip'", "Write"),
    ("CREATE TABLE t (Id int);", (2, 1), "CREATE, which makes objects of the catalog, can't be run here", "EXTRACT"),
    ("REFERENCE ASSEMBLY My;", (2, 1), "REFERENCE, which loads an assembly, can't be run here", "PythonScriptStep"),
    ("USE DATABASE Sales;", (2, 1), "USE, which chooses a database or schema of the catalog,", "Leave it out"),
    ("USING System.Text;", (2, 1), "USING, which names a namespace", "Leave it out"),
    ("IF 1 == 1 THEN END;", (2, 1), "IF, which chooses statements,", "Write two scripts"),
    ('DECLARE @x int = "a";', (2, 18), "@x is an int, and gets a string", "Cast it"),
    ("DECLARE @x = 1; DECLARE @x = 2;", (2, 25), "@x is declared already", "DECLARE EXTERNAL"),
    (
        "@r = SELECT Name.Split(',').Min(w => w.Length) AS m FROM @v;",
        (2, 35),
        "A function of `=>` can't be run here",
        "EXPLODE",
    ),
    ("@r = SELECT a.Id FROM @v AS a, @v AS b;", (2, 30), "FROM takes joins in U-SQL", "CROSS JOIN"),
    ("@r = SELECT Nme.ToUpper() AS x FROM @v;", (2, 13), "Nme is no column, and no class", "Write Name."),
    ("DECLARE @x = @y;", (2, 14), "There is no variable @y", "DECLARE @y"),
    ('DECLARE @x strng = "a";', (2, 12), "", "Write"),
    ("@r = SELECT @@who@@ AS x FROM @v;", (2, 13), "@@who@@ is no input, output or parameter of the step", "`params`"),
    ("@r = SELECT Id FROM @v", (3, 1), "`OUTPUT` is not expected there", "Write `;`"),
    ("@r = SELECT TOP 5 Id FROM @v;", (2, 17), "neither TOP nor LIMIT", "FETCH 10 ROWS"),
    ("@r = SELECT Id FROM @v LIMIT 5;", (2, 24), "neither TOP nor LIMIT", "FETCH 10 ROWS"),
    ("WITH a AS (SELECT Id FROM @v);", (2, 1), "no WITH", "@rows = SELECT"),
    ("SELECT Id FROM @v;", (2, 1), "A SELECT stands in no statement", "@rows = SELECT"),
    ("@r = SELECT Id FROM @v OPTION(SKEWFACTOR(Id) = 1);", (2, 24), "OPTION, which tells the service", "Leave it out"),
    ("@r = SELECT x FROM @v CROSS APPLY VALUES (Id) AS t(x);", (2, 35), "APPLY takes an EXPLODE", "SQL.ARRAY"),
    ("DECLARE @f Func<string, int> = x => 1;", (2, 12), "A function of C#", "its expression"),
    ('DECLARE @a SqlArray<string> = "a";', (2, 12), "no types here", "SQL.ARRAY<string>"),
    ("@r = SELECT (from p in Name select p) AS x FROM @v;", (2, 19), "A query in C#", "EXPLODE"),
    ("@r = SELECT Id, FROM @v;", (2, 17), "Something is missing before", "comma"),
    ("@r = SELECT COALESCE(Pay, 0) AS x FROM @v;", (2, 13), "There is no function COALESCE", "Write x ?? y."),
    ("@r = SELECT Concat(Name, Name) AS x FROM @v;", (2, 13), "There is no function Concat", "string.Concat"),
    ("@r = SELECT CAST(Id AS string) AS x FROM @v;", (2, 21), "no CAST", "x.ToString()"),
    ("@r = SELECT CONVERT(int, Name) AS x FROM @v;", (2, 24), "A type stands where a value", "int.Parse(x)"),
    ("@r = SELECT Id is string AS x FROM @v;", (2, 16), "`is` of C#", "=="),
    ("@r = SELECT Id is null AS x FROM @v;", (2, 16), "no word of U-SQL", "Write IS"),
    ("@r = SELECT Id as int? AS x FROM @v;", (2, 16), "`as` of C#", "(int?) x"),
    ("@r = SELECT Name?.Length AS x FROM @v;", (2, 18), "`?.` of C#", "x == null ? null"),
    ("@r = SELECT Id++ AS x FROM @v;", (2, 18), "`++` of C#", "x + 1"),
    ('@r = SELECT new SQL.MAP<string, string>{{"a", Name}} AS x FROM @v;', (2, 41), "SQL.MAP can't", "rows"),
    ("@r = SELECT Name.Reverse() AS x FROM @v;", (2, 13), "no method 'Reverse'", "PythonScriptStep"),
    ("@r = SELECT Name.Split(',').Contains(1) AS x FROM @v;", (2, 13), ".Contains can't take int", "Cast"),
    ("@r = SELECT 9999999999999999999999 AS x FROM @v;", (2, 13), "is too large for a whole number", "as a double"),
]


@pytest.mark.parametrize(("text", "place", "what", "hint"), WRONG, ids=[text.replace("\n", " ") for text, *_ in WRONG])
def test_an_error_names_line_column_what_it_is_and_what_to_write(usql, text, place, what, hint):
    said = usql.error(START + text + END)
    assert said.startswith(f"s.usql, line {place[0]}, column {place[1]}: ") and what in said.splitlines()[0], said
    assert hint in said.partition("Hint: ")[2], said
    assert "\n  line" in said and len(said.splitlines()) < 9


# Rows that can't be computed: C# would throw there.
THROWS = {
    "Name.Length": ".Length of null",
    "Name.Substring(1)": ".Substring of null",
    "(int) Pay": "The cast to int of null",
    'int.Parse("x" + Id)': "int.Parse of a text that is no int",
    'DateTime.Parse("today" + Id)': "DateTime.Parse of a text that is no DateTime",
    '("ab" + Id).Substring(9)': ".Substring beyond the ends of a text",
    "Pay.Value": ".Value of null",
    "Name.Split(',').Last()": ".Split of null",
    "(\"a\" + Id).Split(',').ElementAt(1)": ".ElementAt of what an array has not",
    'TimeSpan.Parse("25:00" + Id).TotalDays': "TimeSpan.Parse of a text that is no TimeSpan",
    '("a" + Id)[7]': "A place in brackets that is not there",
}


@pytest.mark.parametrize(("expression", "what"), THROWS.items())
def test_what_c_sharp_throws_is_an_error_at_its_place(usql, expression, what):
    rows = '@v = SELECT * FROM (VALUES (1, "a", (int?) 2), (2, (string) null, (int?) null)) AS t(Id, Name, Pay);\n'
    said = usql.error(f"{rows}@r = SELECT Id,\n  {expression} AS x FROM @v;{END}")
    assert said.startswith(f"s.usql, line 3, column 3: {what}"), said
    safe = f'@r = SELECT Id == 3 ? ({expression}).ToString() : "safe" AS x FROM @v WHERE Id != 3 || ({expression}) == ({expression});'
    assert usql.run(rows + safe + END)["r.csv"] == b'"safe"\r\n"safe"\r\n'


def test_division_by_zero_and_overflow_are_errors(usql):
    for expression in ("5 / (Id - 1)", "5 % (Id - 1)", "5.0m / (Id - 1)"):
        said = usql.error(f"{START}@r = SELECT {expression} AS x FROM @v;{END}")
        assert said.startswith("s.usql, line 2, column 13: Division by zero"), said
    said = usql.error(f"{START}@r = SELECT 2147483647 + Id AS x FROM @v;{END}")
    assert said.startswith("s.usql, line ") and "Overflow" in said
    assert usql.one("5.0 / 0") == "Infinity"


def test_places_are_those_of_the_file_where_values_are_replaced(usql):
    line = 'DECLARE @a string = "@@long@@" + "@@long@@"; @r = SELECT Nam FROM @v;'
    said = usql.error(START + line + END, long="x" * 50)
    assert said.startswith(f"s.usql, line 2, column {line.index('Nam') + 1}: There is no column 'Nam'")
    assert line in said


def test_a_path_without_quotes_is_told_to_have_them(usql):
    said = usql.error(START + "@r = EXTRACT Id int FROM @@data@@ USING Extractors.Csv();" + END, data="/data/a.csv")
    assert said.startswith("s.usql, line 2, column 26: The value of @@data@@ is a text"), said
    assert 'Write it in double quotes: "@@data@@".' in said


def test_a_script_that_writes_nothing_or_is_empty_is_an_error(usql):
    assert "The script has no OUTPUT" in usql.error(START)
    assert "The script has no OUTPUT" in usql.error("")


def test_names_in_comments_may_be_of_nothing(usql):
    text = START + '@r = SELECT "http://x" AS u FROM @v; // was @@gone@@\n/* @@gone@@ */' + END
    assert usql.run(text)["r.csv"] == b'"http://x"\r\n'


def test_files_that_can_not_be_written_are_told(usql):
    rows = START + "@r = SELECT Id FROM @v;"
    assert "Two OUTPUTs write the same file" in usql.error(rows + END + END)
    said = usql.error(rows + END + '\nOUTPUT @r TO "@@out@@/r.csv/x.csv" USING Outputters.Csv();')
    assert "line 4, column 1: The file of OUTPUT can't be written" in said


def test_what_the_step_passes_is_checked_without_a_traceback(usql, capsys):
    from stepwell.drivers.usql import main

    usql.write("s.usql", START + "@r = SELECT Id FROM @v;" + END)
    told = {"outputs.out": str(usql.folder / "out")}
    with pytest.raises(SystemExit):
        main("s.usql", {**told, "degree_of_parallelism": "many"})
    assert "`degree_of_parallelism` must be a number of at least 1" in capsys.readouterr().err
    main("s.usql", {**told, "degree_of_parallelism": "2"})
    assert capsys.readouterr().out.endswith("r.csv: 1 row\n")
    assert "CREATE TEMP VIEW" in (usql.folder / "outputs/usql/s.sql").read_text()
    usql.write("s.usql", "é", "latin-1")
    with pytest.raises(SystemExit):
        main("s.usql", told)
    assert "s.usql is not encoded as UTF-8" in capsys.readouterr().err


def test_what_the_tutorial_begins_with_is_accepted(usql):
    text = "USE DATABASE master;\nUSE SCHEMA dbo;\n// rows\n/* more\n */" + START + "@r = SELECT Id FROM @v;" + END
    assert usql.run(text)["r.csv"] == b"1\r\n"
