"""`DatabricksStep` on Spark of this machine: what its notebooks and scripts are given, and what its result depends on."""

from __future__ import annotations

import json
import shutil

import pytest
from stepwell import DatabricksStep, OutputFileDatasetConfig, PipelineData, PipelineParameter
from stepwell.errors import UserErrorException

SCRIPT = """
import argparse, os, sys
from pyspark.sql import functions as F
parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
parser.add_argument("-numbers")
parser.add_argument("--squares")
parser.add_argument("--AZUREML_RUN_ID")
parser.add_argument("--AZUREML_ARM_WORKSPACE_NAME")
args = parser.parse_args()
assert args.AZUREML_RUN_ID == os.environ["AZUREML_RUN_ID"], args
frame = spark.read.csv(args.numbers, header=True, inferSchema=True)
frame.withColumn("square", F.col("n") * F.col("n")).limit(args.rows).coalesce(1).write.csv(args.squares, header=True)
dbutils.fs.put("dbfs:/said/hello.txt", "hello", True)
spark.read.text("dbfs:/said").show()
print("tables", os.path.exists("spark-warehouse"), dbutils.widgets.getAll()["squares"] == args.squares)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder that stands in for a Databricks workspace."""
    place = tmp_path / "databricks"
    monkeypatch.setenv("STEPWELL_DATABRICKS_FOLDER", str(place))
    return place


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")
def test_a_script_gets_spark_its_data_as_named_arguments_and_dbfs(project, folder):
    body = "import os; os.makedirs(args[0]); open(args[0] + '/a.csv', 'w').write('n\\n1\\n2\\n3\\n')"
    project.write("square.py", SCRIPT)
    numbers, squares = PipelineData("numbers"), PipelineData("squares")
    step = DatabricksStep(
        "square", python_script_name="square.py", source_directory=project.source, inputs=[numbers], outputs=[squares],
        python_script_params=["--rows", PipelineParameter("rows", 2)], compute_target="spark", num_workers=2,
    )  # fmt: skip
    pipeline = project.pipeline(project.step("make.py", body, arguments=[numbers], outputs=[numbers]), step)
    summary = project.run(pipeline)
    assert [(step.happened, step.error) for step in summary.steps] == [("ran", ""), ("ran", "")]
    assert summary.steps[1].ran_on["spark"] == "local[*]"
    (table,) = project.workspace.path_of(pipeline()["square"]["squares"]).glob("*.csv")
    assert table.read_text() == "n,square\n1,1\n2,4\n"
    assert (folder / "dbfs/said/hello.txt").read_text() == "hello"


NOTEBOOK = """
# Databricks notebook source
# MAGIC %md # Doubles
# COMMAND ----------
dbutils.widgets.text("factor", "1")
dbutils.widgets.text("word", "none")
# COMMAND ----------
from stepwell import Run
run = Run.get_context()
text = dbutils.fs.head(dbutils.widgets.get("numbers"))
found = [int(line) * int(dbutils.widgets.get("factor")) for line in text.split()]
dbutils.fs.put(dbutils.widgets.get("doubles"), str(found))
run.log("largest", max(found))
assert dbutils.widgets.get("AZUREML_RUN_ID") == run.id
print("the word is", dbutils.widgets.get("word"))
# COMMAND ----------
dbutils.notebook.exit(str(len(found)))
"""


def test_a_notebook_of_the_workspace_is_run_kept_and_part_of_the_key(project, folder):
    place = folder / "workspace/Users/me/doubles.py"
    place.parent.mkdir(parents=True)
    place.write_text(NOTEBOOK.lstrip())
    body = "open(args[0], 'w').write('1 2')"

    def ran(notebook_path="/Users/me/doubles", **more):
        numbers, doubles = PipelineData("numbers"), PipelineData("doubles")
        step = DatabricksStep(
            "double", notebook_path=notebook_path, inputs=[numbers], outputs=[doubles], compute_target="spark",
            notebook_params={"factor": PipelineParameter("factor", 2), "word": "yes"}, **more,
        )  # fmt: skip
        made = project.step("make.py", body, arguments=[numbers], outputs=[numbers])
        return project.run(project.pipeline(made, step), **({} if not more else {})).steps[1]

    first = ran()
    assert (first.happened, first.error) == ("ran", "")
    run_folder = project.workspace.store.run_folder
    again = ran(run_name="another", num_workers=3)
    assert again.happened == "reused"
    place.write_text(NOTEBOOK.lstrip().replace("str(found)", "repr(found)"))
    changed = ran()
    assert (changed.happened, changed.why) == ("ran", ("script Users/me/doubles.py changed",))
