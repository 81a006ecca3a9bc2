"""What Spark needs and is missing is named in one sentence."""

from __future__ import annotations

import json

import pytest

from stepwell.drivers.spark import session


def test_a_missing_module_names_the_extra():
    with pytest.raises(SystemExit, match=r"not_there can't be imported\. Install stepwell\[spark\]\."):
        session.refuse_missing("not_there")


def test_a_missing_java_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        SystemExit, match=r"Java is not found on the PATH, .* Install Java 17 \(Debian: openjdk-17-jre-headless\)"
    ):
        session.refuse_missing()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(SystemExit, match="in JAVA_HOME"):
        session.refuse_missing()
    monkeypatch.setenv(session.TARGET, json.dumps({"master": "sc://host"}))
    session.refuse_missing()


def test_an_old_java_is_named(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/java").write_text("#!/bin/sh\n")
    (tmp_path / "bin/java").chmod(0o755)
    (tmp_path / "release").write_text('JAVA_VERSION="1.8.0_292"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(session, "_spark", lambda: 4)
    with pytest.raises(SystemExit, match=f"Java 8 at {tmp_path}/bin/java is older than the Java 17 that Spark 4 needs"):
        session.refuse_missing()


def test_a_cluster_gets_no_settings_of_this_machine():
    told = {"master": "spark://h:7077", "conf": {"spark.a": "1"}, "folder": "/f"}
    words = session.variables(told, {"spark.b": "2"})["PYSPARK_SUBMIT_ARGS"]
    assert words.startswith("--master spark://h:7077") and words.endswith(
        "--conf spark.a=1 --conf spark.b=2 pyspark-shell"
    )
    assert "RawLocal" not in words.replace("overload.scheme.target", "").split("--conf spark.hadoop.fs.viewfs")[0]
    assert "spark.ui.enabled" not in words
