"""`DatabricksStep` on Spark of this machine: what its notebooks and scripts are given, and what its result depends on."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from prefect import flow
from stepwell import (
    DatabricksStep,
    EggLibrary,
    JarLibrary,
    MavenLibrary,
    PipelineData,
    PipelineParameter,
    PyPiLibrary,
    RunConfiguration,
)
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import UserErrorException
from stepwell.flows.runs.artifacts import metric_rows

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
assert sc.parallelize([1, 2]).map(lambda n: n + 1).sum() == 5  # in Pythons that Spark starts
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
        return project.run(project.pipeline(made, step)).steps[1]

    first = ran()
    assert (first.happened, first.error) == ("ran", "")
    assert {row["metric"]: row["value"] for row in metric_rows(first)} == {"largest": 4}
    (kept,) = project.workspace.store.root.parent.rglob("outputs/doubles.ipynb")
    assert "the word is yes" in kept.read_text() and "Notebook exited: 2" in kept.read_text()
    again = ran(run_name="another", num_workers=3)
    assert again.happened == "reused"
    place.write_text(NOTEBOOK.lstrip().replace("str(found)", "repr(found)"))
    changed = ran()
    assert (changed.happened, changed.why) == ("ran", ("script Users/me/doubles.py changed",))


def test_a_step_that_ends_well_and_left_out_an_output_says_so(project, folder):
    project.write("nothing.py", "print('no output')\n")
    out, read = PipelineData("out"), PipelineData("read")
    step = DatabricksStep(
        "count", python_script_name="nothing.py", source_directory=project.source, outputs=[out], compute_target="spark"
    )
    reader = project.step("read.py", "", arguments=[out, read], inputs=[out], outputs=[read])
    summary = project.run(project.pipeline(step, reader))
    said = " ".join([*summary.warnings, summary.problem, *(step.error for step in summary.steps)])
    assert "'out'" in said and "count" in said


def test_a_notebook_is_a_task_in_a_flow_of_ones_own(project, folder):
    code = "word = dbutils.widgets.get('word')\ndbutils.fs.put(dbutils.widgets.get('out'), word)\ndbutils.fs.mkdirs('dbfs:/' + word)\n"
    project.write("nb.py", code)
    out, word = PipelineData("out"), PipelineParameter("word", "none")
    step = DatabricksStep(
        "say", notebook_path="nb", notebook_params={"word": word}, outputs=[out], source_directory=project.source,
        compute_target="local",
    )  # fmt: skip

    def body():
        found = step.map(word=["one", "two"]).result()
        return [project.workspace.path_of(each["out"]).read_text() for each in found]

    with client_settings(), project.workspace:
        assert flow(body)() == ["one", "two"]
    assert {path.name for path in (folder / "dbfs").iterdir()} == {"one", "two"}


def defined(**more):
    """Return the definition of a step that is made of these arguments."""
    step = DatabricksStep("d", **{"compute_target": "spark", **more})
    return step.define(step_id="d", producers={}, ids={})


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "exactly one of notebook_path, python_script_path, python_script_name and main_class_name"),
     ({"notebook_path": "a", "main_class_name": "b"}, "exactly one of"), ({"python_script_name": "a.py"}, "needs a `source_directory`"),
     ({"notebook_path": "a", "compute_target": None}, "needs a `compute_target`"),
     ({"notebook_path": "a", "python_script_params": ["x"]}, "both `python_script_params` and `notebook_path`"),
     ({"main_class_name": "a", "notebook_params": {}}, "both `notebook_params` and `main_class_name`"),
     ({"notebook_path": "a", "existing_cluster_id": "c", "num_workers": 1}, "both `num_workers` and `existing_cluster_id`"),
     ({"notebook_path": "a", "existing_cluster_id": "c", "spark_conf": {"a": 1}}, "both `spark_conf` and `existing_cluster_id`"),
     ({"notebook_path": "a", "node_type": "n", "instance_pool_id": "p"}, "both `node_type` and `instance_pool_id`"),
     ({"notebook_path": "a", "num_workers": -1}, "`num_workers` must be a whole number of at least 0"),
     ({"notebook_path": "a", "num_workers": 1, "min_workers": 1, "max_workers": 2}, "both `num_workers` and `min_workers`"),
     ({"notebook_path": "a", "min_workers": 1}, "both `min_workers` and `max_workers`"),
     ({"notebook_path": "a", "min_workers": 3, "max_workers": 2}, "is more than `max_workers`"),
     ({"notebook_path": "a", "permit_cluster_restart": True, "num_workers": 1}, "both `permit_cluster_restart` and `num_workers`")],
)  # fmt: skip
def test_arguments_exclude_each_other_as_in_v1(given, words):
    with pytest.raises(UserErrorException, match=words):
        defined(**given)


def test_libraries_are_the_steps_own_or_those_of_its_runconfig():
    runconfig = RunConfiguration()
    runconfig.environment.databricks.pypi_libraries = [PyPiLibrary("numpy")]
    driver = defined(notebook_path="a", runconfig=runconfig, num_workers=1).driver
    assert driver.settings["libraries"][0].value == '[{"pypi": {"package": "numpy"}}]'
    assert {name: value[0].value for name, value in driver.hints.items() if name != "folder"} == {"num_workers": "1"}
    with pytest.raises(UserErrorException, match="both of its own and in its `runconfig`"):
        defined(notebook_path="a", runconfig=runconfig, maven_libraries=[MavenLibrary("a:b:1")])


def test_what_stands_in_dbfs_is_known_by_its_content(folder, tmp_path):
    (folder / "dbfs").mkdir(parents=True)
    script, jar = folder / "dbfs/a.py", folder / "dbfs/j.jar"
    script.write_text("print(1)")
    jar.write_bytes(b"one")
    libraries = {"jar_libraries": [JarLibrary("dbfs:/j.jar")], "egg_libraries": [EggLibrary("dbfs:/none.egg")]}
    first = defined(python_script_path="dbfs:/a.py", **libraries)
    assert first.script == "a.py" and [path.name for path in Path(first.source_directory).iterdir()] == ["a.py"]
    assert list(json.loads(first.driver.settings["contents"][0].value)) == ["dbfs:/j.jar"]
    script.write_text("print(2)")
    jar.write_bytes(b"two")
    second = defined(python_script_path="dbfs:/a.py", **libraries)
    assert second.source_directory != first.source_directory and second.driver.settings != first.driver.settings
    assert defined(python_script_path="dbfs:/none.py").script is None


def test_a_notebook_is_found_beside_the_step_and_its_language_is_told(folder, tmp_path):
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb/a.ipynb").write_text("{}")
    (tmp_path / "nb/b.sql").write_text("")
    found = [
        defined(notebook_path=path, source_directory=tmp_path)
        for path in ("nb/a", "/Workspace/nb/b", str(tmp_path / "nb/a"))
    ]
    assert [(one.script, one.driver.language) for one in found] == [
        ("nb/a.ipynb", "notebook"),
        ("nb/b.sql", "text"),
        ("a.ipynb", "notebook"),
    ]
    (tmp_path / "nb/c.py").write_text("# Databricks notebook source\n# MAGIC %run ./b\n")
    assert defined(notebook_path="nb/c", source_directory=tmp_path).hash_paths == ("nb/b.sql",)
    nowhere = defined(notebook_path="/Users/me/none", source_directory=tmp_path)
    assert (nowhere.script, nowhere.source_directory) == (None, "")


def test_packages_of_an_environment_get_the_engine():
    environment = defined(notebook_path="a", environment=["numpy", "PySpark==3.5.0"]).environment
    names = [line.partition("==")[0] for line in environment.requirements]
    assert names == ["numpy", "pyspark", "nbclient", "ipykernel"]


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")
def test_a_class_of_a_jar_is_run_by_spark_submit(project, folder):
    with zipfile.ZipFile(project.source / "any.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    step = DatabricksStep(
        "version", main_class_name="org.apache.hadoop.util.VersionInfo", jar_libraries=[JarLibrary("any.jar")],
        jar_params=["a"], source_directory=project.source, compute_target="spark",
    )  # fmt: skip
    (done,) = project.run(project.pipeline(step)).steps
    assert (done.happened, done.error) == ("ran", "")
    (log,) = project.workspace.store.root.parent.rglob("70_driver_log.txt")
    assert "Hadoop 3" in log.read_text()
