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
    project.write("numbers.csv", "n\n1\n2\n3\n")
    squares, rows = PipelineData("squares"), PipelineParameter("rows", 2)
    make = project.step("make.py", "import sys, os; os.makedirs(sys.argv[1]); open(sys.argv[1] + '/a.csv', 'w').write('n\\n1\\n2\\n3\\n')")
    project.write("square.py", SCRIPT)
    numbers = PipelineData("numbers")
    make = project.step("make.py", arguments=[numbers], outputs=[numbers])
    step = DatabricksStep(
        "square", python_script_name="square.py", source_directory=project.source, python_script_params=["--rows", rows],
        inputs=[numbers], outputs=[squares], compute_target="spark", num_workers=2, run_name="any",
    )  # fmt: skip
    pipeline = project.pipeline(make, step)
    summary = project.run(pipeline)
    print(summary)
    print([s.error for s in summary.steps])
    assert summary.status == "Completed"
    assert (folder / "dbfs/said/hello.txt").read_text() == "hello"
