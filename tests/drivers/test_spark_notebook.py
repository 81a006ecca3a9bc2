"""Notebooks run in a kernel that has what Databricks' have; as they were executed, they are kept."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from stepwell.drivers import spark_notebook
from stepwell.drivers.spark import session

DEMO = """\
# Databricks notebook source
# MAGIC %md # Title
# COMMAND ----------
dbutils.widgets.text("word", "default")
print("word", dbutils.widgets.get("word"), getArgument("AZUREML_RUN_ID"))
# COMMAND ----------
# MAGIC %run ./lib/helper $x="7"
# COMMAND ----------
print(helped(3), dbutils.notebook.run("./child", 60, {"k": 5}), "helper" in globals())
# COMMAND ----------
# MAGIC %sh
# MAGIC echo shell $((1+1)); pwd
# COMMAND ----------
# MAGIC %pip install azureml-core nbclient
# COMMAND ----------
# MAGIC %fs put dbfs:/a.txt hello
# COMMAND ----------
import json
from pyspark.dbutils import DBUtils
assert "spark" not in globals() and DBUtils().fs.head("dbfs:/a.txt") == "hello"
2 + 3
# COMMAND ----------
try:
    dbutils.notebook.exit("done")
except Exception:
    print("caught")
# COMMAND ----------
print("never")
"""
HELPER = """\
# Databricks notebook source
def helped(n):
    return n * int(dbutils.widgets.get("x"))
"""
CHILD = """\
# Databricks notebook source
helper = "of the child"
dbutils.notebook.exit(dbutils.widgets.get("k") + "!")
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs a notebook of the working directory and returns its exit code, what it said, and its cells' outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    told = {"master": "local[1]", "folder": str(tmp_path / "databricks"), "conf": {"spark.sql.shuffle.partitions": "1"}}
    os.environ.update({session.TARGET: json.dumps(told), "TMPDIR": str(tmp_path / "tmp"), "AZUREML_RUN_ID": "the-run"})
    (tmp_path / "outputs").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "lib").mkdir()

    def ran(text, name="demo.py", **settings):
        (tmp_path / name).write_text(text)
        try:
            spark_notebook.main(name, {name.replace("_", ".", 1): value for name, value in settings.items()})
            code = 0
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        kept = json.loads((tmp_path / "outputs/demo.ipynb").read_text())
        return code, said.out, said.err, kept["cells"]

    return ran


def test_a_notebook_has_widgets_other_notebooks_and_magics(run, tmp_path):
    (tmp_path / "lib/helper.py").write_text(HELPER)
    (tmp_path / "child.py").write_text(CHILD)
    code, out, err, cells = run(DEMO, param_word="given", hint="1")
    assert code == 0, err
    said = out.splitlines()
    assert said[0] == "word given the-run" and said[1] == "21 5! False"
    assert said[2:4] == ["shell 2", str(tmp_path)] and said[4] == "Installed already: azureml-core, nbclient"
    assert "5" in said and "never" not in out and "caught" not in out and "Notebook exited: done" in said
    assert [cell["cell_type"] for cell in cells][:2] == ["markdown", "code"]
    assert cells[-2]["outputs"][0]["text"] == ["Notebook exited: done\n"] and cells[-1]["execution_count"] is None


OTHERS = """\
# Databricks notebook source
# MAGIC %md-sandbox <b>text</b>
# COMMAND ----------
# MAGIC %sh
# MAGIC sleep 300 & echo $! > started
# MAGIC printf 'caf\\303\\251 \\377\\n'; echo warned >&2
# COMMAND ----------
# MAGIC %run "./with blank" $x="7"
# COMMAND ----------
# MAGIC %fs mkdirs dbfs:/a/b
# COMMAND ----------
# MAGIC %fs cp -r dbfs:/a dbfs:/c
# COMMAND ----------
# MAGIC %pip show nbclient
# COMMAND ----------
# MAGIC %restart_python
# COMMAND ----------
import os, pathlib
print(x, os.path.isdir("databricks/dbfs/c/b"), "nbclient" in globals())
"""


def test_what_databricks_has_for_cells_works(run, tmp_path):
    """A process in the background is not waited for, nor is its output."""
    (tmp_path / "with blank.py").write_text("x = dbutils.widgets.get('x')\n")
    code, out, err, _ = run(OTHERS)
    os.kill(int((tmp_path / "started").read_text()), 9)
    assert code == 0, err
    assert out.startswith("café \ufffd\n") and out.endswith("7 True False\n") and "Name: nbclient\n" in out
    assert err == "warned\n"


LIMITS = """\
# Databricks notebook source
import time
try:
    dbutils.notebook.run("./outer", 2)
except TimeoutError as error:
    print(error)
dbutils.notebook.run("./quick", 60)
"""


def test_a_notebook_has_its_limit_also_if_one_that_it_runs_has_another(run, tmp_path):
    (tmp_path / "outer.py").write_text("import time\ndbutils.notebook.run('./quick', 60)\ntime.sleep(300)\n")
    (tmp_path / "quick.py").write_text("print('quick')\n")
    code, out, err, _ = run(LIMITS)
    assert (code, out) == (0, "quick\nThe notebook ./outer took longer than 2 seconds\nquick\n"), err


FAILS = """\
# Databricks notebook source
print("before")
# COMMAND ----------
# MAGIC %run ./lib/helper
# COMMAND ----------
helped(1)
# COMMAND ----------
print("after")
"""


def test_a_notebook_that_fails_shows_its_own_traceback_and_is_kept(run, tmp_path):
    (tmp_path / "lib/helper.py").write_text("def helped(n):\n    raise KeyError('missing column')\n")
    code, out, err, cells = run(FAILS)
    assert code == 1 and out == "before\n"
    assert (
        err.rstrip().endswith("KeyError: 'missing column'") and "<cell 1 of lib/helper.py>" in err and "\x1b" not in err
    )
    assert cells[2]["outputs"][0]["ename"] == "KeyError" and cells[3]["outputs"] == []


@pytest.mark.parametrize(
    ("cell", "words"),
    [("# MAGIC %pip install not-there==1", "Name it in `pypi_libraries="), ("# MAGIC %scala\n# MAGIC val x = 1", "Scala or R"),
     ("# MAGIC %sh\n# MAGIC exit 3", "exit code 3"), ("# MAGIC %run ./nowhere", "There is no notebook ./nowhere"),
     ("# MAGIC %r\n# MAGIC x <- 1", "UsageError: A cell in Scala or R can't run here. Write it in Python or SQL."),
     ("# MAGIC %pip uninstall -y nbclient", "UsageError: %pip uninstall is not run in a step"),
     ("# MAGIC %pip install -q -r more.txt", "UsageError: %pip would install not-there, nor-this behind"),
     ("# MAGIC %conda install x", "UsageError: %conda is not run in a step."), ("# MAGIC %fs fetch a", "UsageError: %fs has no command fetch"),
     ("# MAGIC %fs cp a", "UsageError: %fs cp: missing a required argument")],
)  # fmt: skip
def test_what_a_cell_can_not_do_is_told(run, tmp_path, cell, words):
    (tmp_path / "more.txt").write_text("not-there  # a comment\nnor-this\n")
    code, _, err, _ = run(f"# Databricks notebook source\n{cell}\n")
    assert code == 1 and words in err


SPARK = """\
# Databricks notebook source
frame = spark.range(3).withColumnRenamed("id", "n")
frame.createOrReplaceTempView("numbers")
display(frame)
# COMMAND ----------
# MAGIC %sql
# MAGIC SELECT ';' AS semicolon; -- two statements; of one cell
# MAGIC SELECT n * :factor AS m FROM numbers WHERE n = $one
# COMMAND ----------
print("rows", _sqldf.count(), sqlContext.sql("SELECT 5 AS five").first().five, sc.parallelize([1, 2]).map(lambda x: x + 1).sum())
frame.write.csv("dbfs:/numbers", header=True)
print(spark.read.csv("dbfs:/numbers", header=True).count(), sorted({one.name[:4] for one in dbutils.fs.ls("dbfs:/numbers")}))
dbutils.notebook.run("./child", 0, {})
# COMMAND ----------
spark.sql("SELECT * FROM nowhere")
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")
def test_a_notebook_has_spark_as_soon_as_it_names_it(run, tmp_path):
    (tmp_path / "child.py").write_text(
        "# Databricks notebook source\nprint('the child counts', spark.table('numbers').count())\n"
    )
    code, out, err, cells = run(SPARK, param_factor="2", param_one="1")
    assert code == 1 and "TABLE_OR_VIEW_NOT_FOUND" in err
    said = out.splitlines()
    assert said[:5] == ["n", "-", "0", "1", "2"] and said[5:8] == ["m", "-", "2"]
    assert said[8:] == ["rows 1 5 5", "3 ['_SUC', 'part']", "the child counts 3"]
    assert "<th>n</th>" in "".join(cells[0]["outputs"][-1]["data"]["text/html"])
    assert (tmp_path / "databricks/dbfs/numbers/_SUCCESS").exists() and not (tmp_path / "spark-warehouse").exists()
