"""The parser's tables are those of the rules, and so are its trees."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("lark")

SCRIPT = """
DECLARE EXTERNAL @day DateTime = new DateTime(2026, 1, 2); // a comment
@rows = EXTRACT a int?, b string, [c d] SQL.ARRAY<string> FROM "/in/{*}.csv", "x" USING Extractors.Text(delimiter: '|');
@more = SELECT DISTINCT r.a, SUM(a) OVER (PARTITION BY b ORDER BY a DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s
        FROM @rows AS r LEFT OUTER JOIN (VALUES (1, "x")) AS v(a, b) ON r.a == v.a AND !(r.b ?? "").StartsWith("y")
        CROSS APPLY EXPLODE(r.b.Split(';')) AS e(part) WHERE a BETWEEN 1 AND 2 OR b IN ("x") GROUP BY a HAVING COUNT(*) > 1;
OUTPUT (SELECT a > 1 ? (long) a : -1L AS n FROM @more UNION ALL SELECT 1L AS n FROM @rows) TO @"out" ORDER BY n FETCH 3 ROWS USING Outputters.Csv();
"""


def test_tables_are_read_for_the_rules_as_they_are(monkeypatch):
    from stepwell.drivers.usql.grammar import parser as module

    module.parser.cache_clear()
    monkeypatch.setattr(
        module, "of_rules", lambda: pytest.fail("run `python -m stepwell.drivers.usql.grammar.write_tables`")
    )
    module.parser().parse(SCRIPT)


def test_a_tree_is_the_same_by_the_tables_and_by_the_rules():
    from stepwell.drivers.usql.grammar import parser as module

    assert module.parser().parse(SCRIPT) == module.of_rules().parse(SCRIPT)


@pytest.mark.parametrize("name, value", [("tables.RULES", "others"), ("_LARKS", ("0.1",))])
def test_tables_of_other_rules_or_another_lark_are_left_alone(monkeypatch, name, value):
    from stepwell.drivers.usql.grammar import parser as module

    monkeypatch.setattr(f"stepwell.drivers.usql.grammar.{name if '.' in name else f'parser.{name}'}", value)
    monkeypatch.setattr(module, "of_rules", lambda: "made of the rules")
    module.parser.cache_clear()
    try:
        assert module.parser() == "made of the rules"
    finally:
        module.parser.cache_clear()


def test_a_script_without_functions_of_dotnet_imports_no_numpy(tmp_path):
    """It takes longer to import than such a script to run."""
    pytest.importorskip("duckdb")
    (tmp_path / "a.usql").write_text(
        'OUTPUT (SELECT a + 1 AS b FROM (VALUES (1)) AS t(a)) TO "@@o@@" USING Outputters.Csv();'
    )
    code = "import sys\nfrom stepwell.drivers.usql import main\nmain('a.usql', {'outputs.o': 'o.csv'})\nassert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "o.csv").read_text() == "2\n"
