"""What queries make of rows: as U-SQL has it documented."""

from __future__ import annotations

import pytest

EMPLOYEES = """
@people = SELECT * FROM (VALUES
    (1, "Noah", "Engineering", (int?) 100), (2, "Sophia", "Engineering", 200), (3, "Liam", "HR", 150),
    (4, "Emma", "HR", 150), (5, "Ava", (string) null, (int?) null)) AS T(Id, Name, Dept, Pay);
@depts = SELECT * FROM (VALUES ("Engineering", "B1"), ("Sales", "B2"), ((string) null, "B3")) AS D(Dept, House);
"""


def test_where_and_expressions(usql):
    query = 'SELECT Name.ToUpper() AS N, Pay * 2 AS Twice FROM @people WHERE Dept == "HR" AND Id > 3'
    assert usql.rows(query, EMPLOYEES) == ["EMMA,300"]


def test_null_equals_null_and_comparisons_with_null_are_false(usql):
    assert usql.rows("SELECT Id FROM @people WHERE Dept == null", EMPLOYEES) == ["5"]
    assert usql.rows("SELECT Id FROM @people WHERE Pay != 150", EMPLOYEES) == ["1", "2", "5"]
    assert usql.rows("SELECT Id FROM @people WHERE !(Pay < 1000)", EMPLOYEES) == ["5"]


def test_group_by_having_and_aggregates(usql):
    query = """SELECT Dept, COUNT(*) AS n, SUM(Pay) AS s, AVG(Pay) AS a, MIN(Name) AS lo, COUNT(DISTINCT Pay) AS d
               FROM @people GROUP BY Dept HAVING COUNT(*) > 1"""
    assert usql.rows(query, EMPLOYEES, order="ORDER BY Dept") == ["Engineering,2,300,150,Noah,2", "HR,2,300,150,Emma,1"]


def test_groups_of_expressions_and_having_by_alias(usql):
    query = "SELECT Id % 2 == 0 AS even, COUNT(*) AS n FROM @people GROUP BY Id % 2 == 0 HAVING n > 2"
    assert usql.rows(query, EMPLOYEES) == ["False,3"]


def test_groups_of_expressions_that_can_fail(usql):
    query = """SELECT Name.Substring(0, 1).ToLower() AS first, Pay.ToString() + "!" AS p, COUNT(*) AS n, Id / 2 + 1 AS h FROM @people
    GROUP BY Name.Substring(0, 1).ToLower(), Pay.ToString(), Id / 2 HAVING Name.Substring(0, 1).ToLower() != "a" """
    assert usql.rows(query, EMPLOYEES, order="ORDER BY first") == [
        "e,150!,1,3",
        "l,150!,1,2",
        "n,100!,1,1",
        "s,200!,1,2",
    ]


@pytest.mark.parametrize(("join", "expected"), {
    "INNER JOIN": ["1,B1", "2,B1", "5,B3"],
    "JOIN": ["1,B1", "2,B1", "5,B3"],
    "LEFT OUTER JOIN": ["1,B1", "2,B1", "3,", "4,", "5,B3"],
    "RIGHT OUTER JOIN": [",B2", "1,B1", "2,B1", "5,B3"],
    "FULL OUTER JOIN": [",B2", "1,B1", "2,B1", "3,", "4,", "5,B3"],
}.items())  # fmt: skip
def test_joins(usql, join, expected):
    query = f"SELECT p.Id, d.House FROM @people AS p {join} @depts AS d ON p.Dept == d.Dept"
    assert usql.rows(query, EMPLOYEES, order="ORDER BY Id") == expected


@pytest.mark.parametrize(("join", "columns", "expected"), [
    ("LEFT SEMIJOIN", "p.Id", ["1", "2", "5"]), ("LEFT ANTISEMIJOIN", "p.Id", ["3", "4"]), ("SEMIJOIN", "p.Id", ["1", "2", "5"]),
    ("RIGHT SEMIJOIN", "d.House", ["B1", "B3"]), ("RIGHT ANTISEMIJOIN", "d.House", ["B2"]),
])  # fmt: skip
def test_semijoins(usql, join, columns, expected):
    query = f"SELECT {columns} FROM @people AS p {join} @depts AS d ON p.Dept == d.Dept"
    assert sorted(usql.rows(query, EMPLOYEES)) == expected


def test_a_value_of_the_outer_side_may_be_null(usql):
    query = "SELECT d.House, p.Id == null AS none FROM @depts AS d LEFT OUTER JOIN @people AS p ON p.Dept == d.Dept"
    assert "B2,True" in usql.rows(query, EMPLOYEES)
    assert len(usql.rows("SELECT p.Id, d.House FROM @people AS p CROSS JOIN @depts AS d", EMPLOYEES)) == 15


def test_sets(usql):
    both = {"UNION": ["a", "b", "c"], "UNION DISTINCT": ["a", "b", "c"], "UNION ALL": ["a", "a", "b", "b", "c"],
            "EXCEPT": ["a"], "EXCEPT ALL": ["a", "a"], "INTERSECT": ["b"], "INTERSECT ALL": ["b"]}  # fmt: skip
    before = """@l = SELECT * FROM (VALUES ("a"), ("a"), ("b")) AS T(x);
    @r = SELECT * FROM (VALUES ("b"), ("c")) AS T(y);"""
    for operator, expected in both.items():
        assert sorted(usql.rows(f"SELECT * FROM @l {operator} SELECT * FROM @r", before)) == expected, operator
        assert sorted(usql.rows(f"@l {operator} @r", before)) == expected, operator


def test_sets_by_name(usql):
    before = """@l = SELECT * FROM (VALUES (1, "a")) AS T(x, y); @r = SELECT * FROM (VALUES ("b", 2)) AS T(y, x);
    @o = SELECT * FROM (VALUES (3, true)) AS T(x, z);"""
    assert usql.rows("SELECT * FROM @l UNION ALL BY NAME SELECT * FROM @r", before) == ["1,a", "2,b"]
    assert usql.rows("@l OUTER UNION ALL BY NAME ON (x) @o", before) == ["1,a,", "3,,True"]


def test_order_by_fetch_and_offset_with_null_first(usql):
    query = "SELECT Id, Pay FROM @people ORDER BY Pay {} FETCH {} ROWS"
    assert usql.rows(query.format("ASC", 2), EMPLOYEES) == ["5,", "1,100"]
    assert usql.rows(query.format("DESC", 1), EMPLOYEES) == ["2,200"]
    assert usql.rows("SELECT Id FROM @people ORDER BY Name OFFSET 1 ROW FETCH NEXT 2 ROWS ONLY", EMPLOYEES) == [
        "4",
        "3",
    ]


def test_windows(usql):
    query = """SELECT Id, ROW_NUMBER() OVER (PARTITION BY Dept ORDER BY Pay DESC, Id) AS n, SUM(Pay) OVER () AS all_,
               RANK() OVER (ORDER BY Pay) AS r, DENSE_RANK() OVER (ORDER BY Pay) AS d, LAG(Id, 1, 0) OVER (ORDER BY Id) AS before,
               FIRST_VALUE(Name) OVER (ORDER BY Id) AS f,
               SUM(Id) OVER (ORDER BY Id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS two FROM @people"""
    assert usql.rows(query, EMPLOYEES, order="ORDER BY Id") == [
        "1,2,600,2,2,0,Noah,1", "2,1,600,5,4,1,Noah,3", "3,1,600,3,3,2,Noah,5", "4,2,600,3,3,3,Noah,7", "5,1,600,1,1,4,Noah,9",
    ]  # fmt: skip


def test_a_window_with_an_order_ends_at_the_row_itself_if_no_frame_is_named(usql):
    query = "SELECT Id, COUNT(*) OVER (ORDER BY Dept == null) AS n, LAST_VALUE(Id) OVER (ORDER BY Id) AS l FROM @people"
    rows = [row.split(",") for row in usql.rows(query, EMPLOYEES)]
    assert sorted(n for _, n, _ in rows) == ["1", "2", "3", "4", "5"] and all(one == last for one, _, last in rows)


def test_windows_over_groups(usql):
    query = "SELECT Dept, SUM(Pay) AS s, SUM(SUM(Pay)) OVER () AS total FROM @people WHERE Dept != null GROUP BY Dept"
    assert usql.rows(query, EMPLOYEES, order="ORDER BY Dept") == ["Engineering,300,600", "HR,300,600"]


def test_arrays_are_made_exploded_and_gathered(usql):
    before = """@t = SELECT * FROM (VALUES (1, "a;b"), (2, "")) AS T(id, s);
    @e = SELECT id, r.part FROM @t CROSS APPLY EXPLODE(s.Split(';')) AS r(part) WHERE part != "";"""
    assert usql.rows("SELECT * FROM @e", before, order="ORDER BY part") == ["1,a", "1,b"]
    assert usql.rows('SELECT id, string.Join("+", ARRAY_AGG(part)) AS j FROM @e GROUP BY id', before) in (
        ["1,a+b"],
        ["1,b+a"],
    )
    again = 'SELECT id, x FROM @t OUTER APPLY EXPLODE(id == 1 ? new SQL.ARRAY<string>{"k"} : new SQL.ARRAY<string>{}) AS r(x)'
    assert usql.rows(again, before, order="ORDER BY id") == ["1,k", "2,"]


def test_nested_selects_stars_and_names_that_differ_in_capitals(usql):
    before = "@t = SELECT a.* FROM (SELECT id, id + 1 AS Id, id * 2 AS [FROM] FROM (VALUES (1), (2)) AS v(id)) AS a;"
    assert usql.rows("SELECT id, Id, [FROM] FROM @t WHERE Id > 2", before) == ["2,3,4"]
    assert usql.rows("SELECT @t.Id FROM @t", before) == ["2", "3"]


def test_a_variable_may_be_assigned_again(usql):
    assert usql.rows(
        "SELECT x + 1 AS x FROM @t", "@t = SELECT * FROM (VALUES (1)) AS v(x); @t = SELECT x + 1 AS x FROM @t;"
    ) == ["3"]


def test_distinct_and_case(usql):
    query = 'SELECT DISTINCT CASE Dept WHEN "HR" THEN 1 WHEN null THEN 0 ELSE 2 END AS k FROM @people'
    assert usql.rows(query, EMPLOYEES, order="ORDER BY k") == ["0", "1", "2"]


def test_long_chains_are_computed(usql):
    long = 600
    total = " + ".join(["Pay"] * long)
    rows = '(VALUES (2, "x")) AS t(Pay, Name)'
    assert usql.one(total, rows) == str(2 * long)
    assert usql.one(" + ".join(["SUM(Pay)"] * 40), rows) == "80"
    assert usql.one("(" + " && ".join(["Pay > 1"] * long) + ") ? 1 : 0", rows) == "1"
    assert len(usql.one(" + ".join(["Name"] * 300), rows)) == 300


def test_a_sum_of_aggregates_is_as_long_as_any(usql):
    assert usql.one(" + ".join(["SUM(a)"] * 500), "(VALUES (1), (2)) AS t(a)") == "1500"


def test_absurd_depth_is_a_sentence(usql):
    for text in (" + ".join(["1"] * 3000), "-" * 3000 + "1", "(" * 3000 + "1" + ")" * 3000 + " + -" * 2000 + "1"):
        said = usql.error(
            f'@r = SELECT a FROM (VALUES ({text})) AS t(a);\nOUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();'
        )
        assert said.startswith("s.usql, line 1, column ") and "nested more than 1000 deep" in said
