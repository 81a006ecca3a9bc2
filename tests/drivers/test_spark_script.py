"""A script is given what it names and does not make itself."""

from __future__ import annotations

import pytest

from stepwell.drivers.spark_script import asked_for, main

NAMES = {"spark", "sc", "dbutils", "display"}


@pytest.mark.parametrize(
    ("text", "found"),
    [("spark.range(3)", {"spark"}), ("from pyspark.sql import S\nspark = S.builder.getOrCreate()\nspark.x", set()),
     ("def f():\n    return dbutils.fs", {"dbutils"}), ("def f(spark):\n    return spark.x", set()), ("# spark", set()),
     ("def f():\n    sc = 1\n    return sc\nsc.x", {"sc"}), ("import x as display\ndisplay(1)", set())],
)  # fmt: skip
def test_names_that_a_script_uses_and_does_not_make(text, found):
    assert asked_for(text) & NAMES == found


def test_a_script_that_is_not_here_is_named(monkeypatch):
    monkeypatch.setattr("stepwell.drivers.spark.settings.begin", lambda *_: {})
    with pytest.raises(SystemExit, match="There is no script dbfs:/a.py here. Put it below dbfs/"):
        main("", {"python_script_path": "dbfs:/a.py"})
