"""What a step says reaches Spark's process: arguments, libraries, sizes."""

from __future__ import annotations

import hashlib
import json
import os
import sys

import pytest

from stepwell.drivers.spark import session, settings


@pytest.fixture(autouse=True)
def process(tmp_path, monkeypatch):
    """Let the process be left as it was."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(session, "refuse_missing", lambda *_: None)
    os.environ.update({session.TARGET: json.dumps({"folder": str(tmp_path)}), "AZUREML_RUN_ID": "run"})
    yield
    sys.modules.pop("pyspark.dbutils", None)


GIVEN = {"input.data": "/in", "output.out": "/out", "param.x": "1"}


def test_named_arguments_have_the_form_that_the_script_declares():
    loose = list(settings.named_arguments("args, _ = parser.parse_known_args()", GIVEN))
    assert loose[:4] == ["-data", "/in", "-out", "/out"]
    assert loose[loose.index("--AZUREML_RUN_ID") + 1] == "run" and all(isinstance(word, str) for word in loose)
    assert "--AZUREML_RUN_TOKEN_EXPIRY" in loose and "--AZUREML_SCRIPT_DIRECTORY_NAME" in loose
    strict = "parser.add_argument('--data'); parser.add_argument('--AZUREML_RUN_ID'); parser.parse_args()"
    assert list(settings.named_arguments(strict, GIVEN)) == ["--data", "/in", "-out", "/out", "--AZUREML_RUN_ID", "run"]


def test_a_notebook_can_ask_for_parameters_data_and_the_run():
    values = settings.widget_values(GIVEN)
    assert (values["x"], values["data"], values["out"], values["AZUREML_RUN_ID"]) == ("1", "/in", "/out", "run")


def test_libraries_and_sizes_become_options_of_spark_submit(tmp_path, capsys):
    libraries = [
        {"maven": {"coordinates": "g:a:1", "repo": "https://r", "exclusions": ["x:y"]}},
        {"jar": "dbfs:/j.jar"}, {"egg": "e.egg"}, {"pypi": {"package": "pytest>=1"}}, {"pypi": {"package": "azureml-sdk"}},
        {"cran": {"package": "ada"}},
    ]  # fmt: skip
    given = {"libraries": json.dumps(libraries), "driver_memory": "512m", "executor_memory": "2g", "num_executors": "2",
             "node_type": "x", "spark_conf": '{"spark.x": "a b"}', "spark_env_variables": '{"MINE": "1"}'}  # fmt: skip
    options = settings.begin(given)
    egg = os.path.abspath("e.egg")
    assert options == {
        "driver-memory": "2g", "name": "", "jars": [f"{tmp_path}/dbfs/j.jar"], "py-files": [egg], "files": [],
        "packages": ["g:a:1"], "repositories": ["https://r"], "exclude-packages": ["x:y"],
    }  # fmt: skip
    words = os.environ["PYSPARK_SUBMIT_ARGS"]
    assert words.startswith("--master 'local[*]' --driver-memory 2g --jars") and "--conf 'spark.x=a b'" in words
    assert os.environ["MINE"] == "1" and sys.path[1] == egg and os.environ["PYSPARK_PYTHON"] == sys.executable
    said = capsys.readouterr().out
    assert "Note: node_type says nothing to a Spark outside of Databricks." in said and "packages of R" in said
    assert "Note: num_executors says nothing to a Spark of this machine." in said


def test_spark_connect_needs_its_url_only():
    os.environ[session.TARGET] = json.dumps({"master": "sc://host:15002"})
    settings.begin({})
    assert os.environ["SPARK_REMOTE"] == "sc://host:15002" and "PYSPARK_SUBMIT_ARGS" not in os.environ


def test_a_file_of_dbfs_that_is_another_one_than_in_the_key_ends_the_step(tmp_path):
    (tmp_path / "dbfs").mkdir()
    (tmp_path / "dbfs/j.jar").write_bytes(b"one")
    settings.begin({"contents": json.dumps({"dbfs:/j.jar": hashlib.sha256(b"one").hexdigest()})})
    with pytest.raises(SystemExit, match="dbfs:/j.jar is another file than when the pipeline was made"):
        settings.begin({"contents": json.dumps({"dbfs:/j.jar": hashlib.sha256(b"two").hexdigest()})})


def test_databricks_own_module_is_there():
    settings.offer_dbutils()
    from pyspark.dbutils import DBUtils

    assert DBUtils().fs
