"""The launcher of scripts on a cluster: where it sees files, with and without a mount, and what it hands back."""

import io
import json
import os
import runpy
import shutil
import sys
import zipfile
from types import ModuleType, SimpleNamespace

import pytest

from stepwell.blocks.compute.databricks import remote_script


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster without mounts: files come and go by `dbutils.fs.cp` alone."""
    there = tmp_path / "there"
    copied = []

    def cp(source, target):
        copied.append((source, target))
        paths = [
            p.removeprefix("file:") if p.startswith("file:") else str(there / p.removeprefix("dbfs:/"))
            for p in (source, target)
        ]
        os.makedirs(os.path.dirname(paths[1]), exist_ok=True)
        shutil.copyfile(*paths)

    sql, utilities = ModuleType("pyspark.sql"), ModuleType("pyspark.dbutils")
    sql.SparkSession = SimpleNamespace(builder=SimpleNamespace(getOrCreate=lambda: "a session"))
    utilities.DBUtils = lambda spark: SimpleNamespace(fs=SimpleNamespace(cp=cp))
    for name, module in {"pyspark": ModuleType("pyspark"), "pyspark.sql": sql, "pyspark.dbutils": utilities}.items():
        monkeypatch.setitem(sys.modules, name, module)
    there.mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(there=there, copied=copied)


def packed(files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        for name, text in files.items():
            stream.writestr(name, text)
    return archive.getvalue()


def test_a_path_of_dbfs_is_seen_below_its_mount_if_there_is_one(tmp_path, monkeypatch):
    (tmp_path / "job").mkdir()
    assert remote_script._local(f"{tmp_path}/job/step.json") == f"{tmp_path}/job/step.json"
    assert remote_script._local("dbfs:/surely/not/there") == ""
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/dbfs/tmp")
    assert remote_script._local("dbfs:/tmp/x/step.json") == "/dbfs/tmp/x/step.json"


def test_without_a_mount_files_are_copied_and_the_script_gets_what_databricks_gave(cluster, monkeypatch, capsys):
    step = {"script": "main.py", "context": {"id": "run-1"}, "variables": {"AML_PARAMETER_rate": "2"}}
    script = "import os, sys\nprint(spark, sys.argv, os.environ['AML_PARAMETER_rate'])\nopen('outputs/new.txt', 'w').write('n')\nsys.exit(0)"
    (cluster.there / "job").mkdir()
    (cluster.there / "job/step.json").write_text(json.dumps(step))
    (cluster.there / "job/source.zip").write_bytes(packed({"main.py": script, "outputs/old.txt": "o"}))
    (cluster.there / "job/bundle.zip").write_bytes(packed({"nothing.txt": ""}))
    monkeypatch.setattr(sys, "argv", ["stepwell_script.py", "dbfs:/job", "--n", "1"])
    remote_script.main({"spark": "the session"})
    assert "the session ['main.py', '--n', '1'] 2\n" in capsys.readouterr().out
    with zipfile.ZipFile(cluster.there / "job/result.zip") as result:
        assert sorted(result.namelist()) == ["control/context.json", "outputs/new.txt"]
    assert (cluster.there / "job/log/000000.txt").read_text() == "the session ['main.py', '--n', '1'] 2\n\0"


def test_it_stands_alone():
    assert "stepwell" not in {
        name.split(".")[0] for name in runpy.run_path(remote_script.__file__, run_name="alone") if name == "stepwell"
    }
    with open(remote_script.__file__) as stream:
        assert "import stepwell" not in (text := stream.read()) and "from stepwell" not in text
