"""A script is given what it names and does not make itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from ports import port_for_later
from waiting import PATIENCE, eventually

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


ON_A_SERVER = """
from pyspark.sql import SparkSession
assert type(spark).__module__ == "pyspark.sql.connect.session" and SparkSession.builder.getOrCreate() is not None
print("counted", spark.range(4).count())
"""


@pytest.fixture
def connect_server(tmp_path):
    """Return the URL of a Spark Connect server of this test's own."""
    pyspark = pytest.importorskip("pyspark")
    home = os.path.dirname(pyspark.__file__)
    jar = next(name for name in os.listdir(f"{home}/jars") if name.startswith("spark-connect_"))
    port = port_for_later()
    settings = {"ui.enabled": "false", "connect.grpc.binding.port": port, "connect.grpc.binding.address": "127.0.0.1"}
    words = [word for name, value in settings.items() for word in ("--conf", f"spark.{name}={value}")]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    command = [f"{home}/bin/spark-submit", "--master", "local[1]", *words, "--class", server, f"{home}/jars/{jar}"]
    environment = {**os.environ, "SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1"}
    with open(tmp_path / "server.log", "wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        eventually(
            lambda: (
                process.poll() is not None or "Spark Connect server started" in (tmp_path / "server.log").read_text()
            )
        )
        assert process.poll() is None, (tmp_path / "server.log").read_text()
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")
def test_a_script_finds_the_spark_of_a_connect_server(connect_server, tmp_path):
    (tmp_path / "count.py").write_text(ON_A_SERVER)
    run = "import sys; from stepwell.drivers.spark_script import main; main('count.py', {'python_script_name': 'count.py'})"
    environment = {**os.environ, "STEPWELL_SPARK": json.dumps({"master": connect_server})}
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE * 4
    )
    assert done.returncode == 0 and "counted 4" in done.stdout, done.stderr
