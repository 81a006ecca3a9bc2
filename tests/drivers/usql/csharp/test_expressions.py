"""Expressions mean in DuckDB what they mean in C#."""

from __future__ import annotations

import csharp
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("lark")

CAST = {"int": "INTEGER", "int?": "INTEGER", "double": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Return a function that translates an expression over `csharp.COLUMNS`, and computes it for a row."""
    from stepwell.drivers.usql.csharp.columns import Type, named
    from stepwell.drivers.usql.csharp.scope import Scope, Source
    from stepwell.drivers.usql.csharp.syntax import ScriptText, parse
    from stepwell.drivers.usql.engine import Engine

    engine = Engine(
        ScriptText("s.usql", "", {}), {"inputs": (), "outputs": ()}, str(tmp_path_factory.mktemp("scratch"))
    )
    columns = named([(name, Type(kind.rstrip("?"), kind.endswith("?"))) for name, kind in csharp.COLUMNS.items()])

    def run(text, row):
        engine.script = ScriptText("s.usql", f"DECLARE @x = {text};", {})
        tree = parse(engine.script).children[0].children[3]
        value = engine.value(tree, Scope([Source("row", '"row"', columns)]))
        names = ", ".join(column.sql for column in columns)
        cells = ", ".join(f"CAST(? AS {CAST[kind]})" for kind in csharp.COLUMNS.values())
        sql = f'SELECT {value.sql} FROM (VALUES ({cells})) AS "row"({names})'
        return str(value.type), engine.database.execute(sql, [row[name] for name in csharp.COLUMNS]).fetchone()[0]

    return run


@pytest.mark.parametrize("kind", ["int", "int?", "string", "bool", "double"])
def test_expressions_are_computed_as_c_sharp_does(evaluate, kind):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(csharp.expressions()[kind], csharp.ROWS)
    def check(expression, row):
        note(expression.text)
        try:
            expected = expression.evaluate(row)
        except csharp.Throws:
            with pytest.raises(duckdb.Error):
                evaluate(expression.text, row)
            return
        assert evaluate(expression.text, row) == (kind, expected)

    check()


@given(st.floats(-1e308, 1e308) | st.sampled_from([float("inf"), -float("inf")]))
@settings(max_examples=100, deadline=None)
def test_doubles_have_c_sharps_text(evaluate, value):
    row = {"i": 0, "j": 0, "n": None, "m": None, "d": value, "s": None, "t": None, "b": False}
    text = evaluate("d.ToString()", row)[1]
    if value in (float("inf"), -float("inf")):
        assert text == ("Infinity" if value > 0 else "-Infinity")
        return
    assert float(text) == pytest.approx(value, rel=1e-14) and not text.endswith(".0") and "e" not in text
    assert ("E" in text) == (value != 0 and not 1e-4 <= abs(value) < 1e15), text
