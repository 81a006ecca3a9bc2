"""What the jobs interface is told: arguments as v1 has them, init scripts and logs by their places."""

import json

from stepwell.blocks.compute.databricks.job_settings import JobSettings, with_paths

PORTS, RUN = {"raw": "dbfs:/in", "table": "dbfs:/out"}, {"AZUREML_RUN_ID": "r", "AZUREML_RUN_TOKEN": "none"}


def test_arguments_are_those_of_v1_and_what_the_script_names():
    def arguments(text=""):
        return JobSettings("spark_script", {}, ("--n", "1"), PORTS, RUN, text).script_arguments

    data, run = ["-raw", "dbfs:/in", "-table", "dbfs:/out"], ["--AZUREML_RUN_ID", "r", "--AZUREML_RUN_TOKEN", "none"]
    assert arguments() == ["--n", "1", *data, *run]
    strict = "parser.add_argument('--table')\nparser.add_argument('--AZUREML_RUN_ID')\nargs = parser.parse_args()"
    assert arguments(strict) == ["--n", "1", "-raw", "dbfs:/in", "--table", "dbfs:/out", "--AZUREML_RUN_ID", "r"]


def test_a_notebooks_own_parameters_win_over_names_of_data():
    told = {"notebook_path": "/n", "param.raw": "mine", "param.rate": "2"}
    settings = JobSettings("spark_notebook", told, (), PORTS, RUN)
    assert settings.notebook_parameters == {**RUN, "raw": "mine", "table": "dbfs:/out", "rate": "2"}


def test_a_new_cluster_has_its_settings_scripts_and_logs():
    told = {
        "spark_conf": '{"spark.speculation": "true"}',
        "spark_env_variables": '{"A": "b"}',
        "init_scripts": json.dumps(["dbfs:/init.sh", "/Volumes/m/d/i.sh", "/Workspace/Shared/i.sh", "abfss://b@a.dfs.core.windows.net/i.sh"]),
        "cluster_log_dbfs_path": "dbfs:/logs",
        "num_workers": "0",
    }  # fmt: skip
    cluster = JobSettings("spark_script", told).new_cluster("16.4", "node")
    assert cluster["init_scripts"] == [
        {"dbfs": {"destination": "dbfs:/init.sh"}},
        {"volumes": {"destination": "/Volumes/m/d/i.sh"}},
        {"workspace": {"destination": "/Workspace/Shared/i.sh"}},
        {"abfss": {"destination": "abfss://b@a.dfs.core.windows.net/i.sh"}},
    ]
    assert cluster["cluster_log_conf"] == {"dbfs": {"destination": "dbfs:/logs"}}
    assert cluster["spark_env_vars"] == {"A": "b"} and cluster["num_workers"] == 0
    assert cluster["spark_conf"] == {
        "spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]", "spark.speculation": "true",
    }  # fmt: skip


def test_libraries_that_were_sent_have_their_addresses_there():
    given = [{"egg": "lib/a.egg"}, {"egg": "dbfs:/b.whl"}, {"maven": {"coordinates": "g:a:1"}}]
    sent = with_paths(given, {"lib/a.egg": "dbfs:/sent/a.egg"})
    assert sent == [{"egg": "dbfs:/sent/a.egg"}, {"whl": "dbfs:/b.whl"}, {"maven": {"coordinates": "g:a:1"}}]
