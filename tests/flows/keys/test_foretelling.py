"""Mistakes that a step's driver knows of before the step runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from stepwell import AutoMLConfig, AutoMLStep, DatabricksStep, Dataset, KustoStep, PipelineData
from stepwell.drivers import automl, kusto, notebook, parallel_run, spark_jar, spark_notebook, spark_script, usql
from stepwell.errors import StepwellError, UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.records import Contents, Known


def known(
    folder: Path,
    script: str = "",
    settings: Mapping[str, str] | None = None,
    *,
    target: str = "LocalCompute",
    **inputs: Contents,
) -> Known:
    return Known("step", str(folder), str(folder / script) if script else "", settings or {}, inputs, (target,))


def table(path: str = "", kind: str = "tabular") -> Contents:
    definition = DatasetDefinition(kind, (Place("store", "rows.csv"),), "delimited" if kind == "tabular" else "")
    return Contents((), json.dumps(definition.to_json()), path)


def test_a_query_needs_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="needs a Kusto cluster"):
        kusto.refuse(known(tmp_path))
    kusto.refuse(known(tmp_path, target="KustoCompute"))


def test_a_table_on_this_machine_needs_its_label_and_weight(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    here = table(str(tmp_path / "rows.csv"))
    for label, weight, missing in (("c", None, "c"), ("a", "w", "w")):
        settings = {"config": json.dumps({"label": label, "weight": weight})}
        with pytest.raises(UserErrorException, match=f"'training_data' has no column '{missing}'") as caught:
            automl.refuse(known(tmp_path, settings=settings, training_data=here))
        assert caught.value.facts["columns"] == "a, b"
    told = {"config": json.dumps({"label": "c", "weight": None})}
    automl.refuse(known(tmp_path, settings=told, training_data=table()))  # far away
    automl.refuse(known(tmp_path, settings=told))  # yet to be written


def test_what_spark_runs_must_be_here(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="There is no notebook /Shared/a here"):
        spark_notebook.refuse(known(tmp_path, settings={"notebook_path": "/Shared/a"}))
    (tmp_path / "broken.ipynb").write_text("{}")
    with pytest.raises(UserErrorException, match="is no notebook of Jupyter's format 4"):
        spark_notebook.refuse(known(tmp_path, "broken.ipynb"))
    (tmp_path / "good.py").write_text("# Databricks notebook source\nprint(1)\n")
    spark_notebook.refuse(known(tmp_path, "good.py"))
    with pytest.raises(UserErrorException, match="There is no script dbfs:/a.py here"):
        spark_script.refuse(known(tmp_path, settings={"python_script_path": "dbfs:/a.py"}))
    spark_script.refuse(known(tmp_path, "good.py"))


@pytest.mark.parametrize(
    ("jars", "target", "said"),
    [
        ([], "LocalCompute", "no jar that has the class Main"),
        (["nowhere.jar"], "SparkCompute", "no jar .*nowhere.jar"),
        (["dbfs:/nowhere.jar"], "LocalCompute", "no jar .*dbfs/nowhere.jar"),
        (["dbfs:/nowhere.jar"], "SparkCompute", ""),
        (["s3://bucket/far.jar"], "LocalCompute", ""),
        (["here.jar", "dbfs:/there.jar"], "LocalCompute", ""),
    ],
)
def test_jars_must_be_here(tmp_path: Path, jars: list[str], target: str, said: str) -> None:
    (tmp_path / "here.jar").touch()
    (tmp_path / "dbfs").mkdir()
    (tmp_path / "dbfs" / "there.jar").touch()
    settings = {"main_class_name": "Main", "folder": str(tmp_path)}
    settings |= {"libraries": json.dumps([{"jar": jar} for jar in jars])} if jars else {}
    asked = known(tmp_path, settings=settings, target=target)
    if not said:
        spark_jar.refuse(asked)
        return
    with pytest.raises(UserErrorException, match=said):
        spark_jar.refuse(asked)


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("nbformat")
    (tmp_path / "a.ipynb").write_text("[]")
    with pytest.raises(UserErrorException, match=r"^a.ipynb is no notebook"):
        notebook.refuse(known(tmp_path, "a.ipynb"))


def test_a_script_of_u_sql_is_read_before_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("lark")
    script = (
        '@r = EXTRACT a int FROM "@@in@@" USING Extractors.Csv();\nOUTPUT @r TO "@@out@@" USING Outputters.Csv();\n'
    )
    settings = {"inputs.in": "", "outputs.out": "", "values.limit": "3"}
    (tmp_path / "a.usql").write_text(script)
    usql.refuse(known(tmp_path, "a.usql", settings))
    for wrong, said in (
        (script.replace("@@out@@", "@@ut@@"), "line 2, column 15: @@ut@@ is no input"),
        (script[:-2], "line 2, column 46: The script ends"),
    ):
        (tmp_path / "a.usql").write_text(wrong)
        with pytest.raises(StepwellError, match=said):
            usql.refuse(known(tmp_path, "a.usql", settings))


@pytest.mark.parametrize(
    ("script", "lacks"),
    [
        ("def init():\n    run = 1\n", True),
        ("class Other:\n    def run(self): pass\n", True),
        ("", True),
        ("def run(batch): return batch\n", False),
        ("run = lambda batch: batch\n", False),
        ("from other import work as run\n", False),
        ("from other import *\n", False),
        ("if 1:\n    try:\n        def run(batch): pass\n    except Exception: pass\n", False),
        ("def make():\n    global run\n    def run(batch): pass\nmake()\n", False),
        ("globals()['run'] = print\n", False),
        ("def run(batch:\n", False),
    ],
)
def test_an_entry_script_without_run_is_refused(tmp_path: Path, script: str, lacks: bool) -> None:
    (tmp_path / "score.py").write_text("\ufeff" + script, encoding="utf-8")
    asked = known(tmp_path, "score.py", {"inputs": '["rows"]'}, rows=Contents(()))
    if not lacks:
        parallel_run.refuse(asked)
        return
    with pytest.raises(UserErrorException, match="has no function"):
        parallel_run.refuse(asked)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inputs": '["rows", "files"]'}, "all files or all tables"),
        ({"inputs": '["rows"]', "partition_keys": '["town"]'}, "no partition key 'town'"),
        ({"inputs": '["files"]', "mini_batch_size": "1MB"}, "is a number of files"),
        ({"inputs": '["rows"]', "mini_batch_size": "lots"}, "is no size"),
        ({"inputs": '["files"]', "run_max_try": "0"}, "`run_max_try` must be"),
        ({"inputs": '["files", "rows_of_another_step"]'}, ""),
    ],
)
def test_what_no_mini_batch_can_be_made_of_is_refused(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    (tmp_path / "score.py").write_text("def run(batch): return batch\n")
    asked = known(tmp_path, "score.py", settings, rows=table(), files=Contents(()))
    if not said:
        parallel_run.refuse(asked)
        return
    with pytest.raises(UserErrorException, match=said):
        parallel_run.refuse(asked)


def test_plan_and_validation_tell_what_drivers_refuse(project) -> None:
    (project.source / "q").mkdir()
    (project.source / "q" / "query.kql").write_text("T | count")
    (project.source / "rows.csv").write_text("a,b\n1,2\n")
    store = project.workspace.get_default_datastore()
    store.upload_files([str(project.source / "rows.csv")], target_path="rows")
    rows = Dataset.Tabular.from_delimited_files((store, "rows/rows.csv"))
    search = AutoMLConfig("classification", training_data=rows, label_column_name="c", iterations=2)
    pipeline = project.pipeline(
        KustoStep("ask", "local", "db", project.source / "q", PipelineData("answer")),
        DatabricksStep("note", notebook_path="/Shared/nowhere", compute_target="local"),
        AutoMLStep("search", search),
    )
    errors = pipeline.validate()
    said = ("needs a Kusto cluster", "There is no notebook /Shared/nowhere", "has no column 'c'")
    assert [words in error for words, error in zip(said, errors, strict=True)] == [True] * 3, errors
    with pytest.raises(UserErrorException, match="needs a Kusto cluster"):
        pipeline.plan()
