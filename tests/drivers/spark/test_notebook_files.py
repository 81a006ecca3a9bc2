"""Notebooks are read as Jupyter and Databricks write them."""

from __future__ import annotations

import json

import pytest

from stepwell.drivers.spark.notebook_files import as_cell_magic, code_cells, read_notebook

EXPORT = """\
# Databricks notebook source
# MAGIC %md
# MAGIC # Title
# COMMAND ----------
# DBTITLE 1,Load
x = 1

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT 1
# MAGIC   AS one

# COMMAND ----------
# MAGIC %run ./other $a="b"
"""


def test_an_export_of_databricks_has_the_cells_that_it_shows(tmp_path):
    (tmp_path / "a.py").write_text(EXPORT)
    notebook = read_notebook(str(tmp_path / "a.py"))
    assert [cell["cell_type"] for cell in notebook["cells"]] == ["markdown", "code", "code", "code"]
    assert notebook["cells"][0]["source"] == "# Title"
    assert code_cells(notebook) == ["x = 1", "%sql\nSELECT 1\n  AS one", '%run ./other $a="b"']


def test_cells_of_an_export_in_sql_are_in_sql_unless_they_say_otherwise(tmp_path):
    text = "-- Databricks notebook source\nSELECT 1\n-- COMMAND ----------\n-- MAGIC %python\n-- MAGIC print(1)\n"
    (tmp_path / "a.sql").write_text(text)
    assert code_cells(read_notebook(str(tmp_path / "a.sql"))) == ["%sql\nSELECT 1", "%python\nprint(1)"]


def test_a_script_that_is_no_export_is_one_cell(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n# COMMAND ----------\ny = 2\n")
    assert len(code_cells(read_notebook(str(tmp_path / "a.py")))) == 1


def test_a_notebook_of_jupyter_loses_its_earlier_outputs(tmp_path):
    old = {
        "cell_type": "code",
        "id": "a",
        "source": ["x = 1\n", "x"],
        "outputs": [{}],
        "execution_count": 7,
        "metadata": {},
    }
    (tmp_path / "a.ipynb").write_text(
        json.dumps({"cells": [old], "metadata": {"a": 1}, "nbformat": 4, "nbformat_minor": 5})
    )
    notebook = read_notebook(str(tmp_path / "a.ipynb"))
    assert notebook["cells"] == [
        {"cell_type": "code", "source": "x = 1\nx", "outputs": [], "execution_count": None, "metadata": {}}
    ]
    assert notebook["metadata"]["a"] == 1 and notebook["metadata"]["kernelspec"]["language"] == "python"


def test_what_is_no_notebook_ends_the_step_with_a_sentence(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(SystemExit, match="is no notebook of Jupyter's format 4"):
        read_notebook(str(tmp_path / "a.ipynb"))


@pytest.mark.parametrize(
    ("cell", "found"),
    [("%sql\nSELECT 1", "%%sql\nSELECT 1"), ("\n%sql SELECT 1\nFROM t", "%%sql\nSELECT 1\nFROM t"), ("%sh ls", "%%sh\nls\n"),
     ("%python\nx = 1", "\nx = 1"), ("%pip install a", "%pip install a"), ("%run ./a", "%run ./a"), ("x = 5 %sql", "x = 5 %sql"),
     ("%matplotlib inline", "%matplotlib inline"), ("", "")],
)  # fmt: skip
def test_a_magic_at_the_begin_of_a_cell_is_the_cells(cell, found):
    assert "".join(as_cell_magic(cell.splitlines(keepends=True))) == found
