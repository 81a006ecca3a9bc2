"""`dbutils` does what Databricks' does, with files of this machine and values of the step."""

from __future__ import annotations

import json

import pytest

from stepwell.drivers.spark.dbutils import DBUtils, NotebookExit
from stepwell.drivers.spark.session import TARGET


@pytest.fixture
def utils(tmp_path, monkeypatch):
    monkeypatch.setenv(TARGET, json.dumps({"folder": str(tmp_path)}))
    return DBUtils(None, {"given": "5", "AZUREML_RUN_ID": "run"})


def test_files_at_dbfs_and_of_this_machine(utils, tmp_path, capsys):
    fs = utils.fs
    assert fs.mkdirs("dbfs:/a/b") and fs.put("dbfs:/a/b/c.txt", "hello") and "Wrote 5" in capsys.readouterr().out
    assert (tmp_path / "dbfs/a/b/c.txt").read_text() == fs.head("/dbfs/a/b/c.txt") == "hello"
    assert fs.head("dbfs:/a/b/c.txt", 2) == "he"
    assert [(one.path, one.name, one.size) for one in fs.ls("dbfs:/a")] == [("dbfs:/a/b/", "b/", 0)]
    assert [(one.path, one.size) for one in fs.ls("dbfs:/a/b/c.txt")] == [("dbfs:/a/b/c.txt", 5)]
    assert fs.cp("dbfs:/a", f"file:{tmp_path}/copy", recurse=True) and (tmp_path / "copy/b/c.txt").exists()
    assert fs.cp("dbfs:/a/b/c.txt", "dbfs:/a/") and (tmp_path / "dbfs/a/c.txt").exists()
    assert fs.mv("dbfs:/a/c.txt", str(tmp_path / "moved.txt")) and not (tmp_path / "dbfs/a/c.txt").exists()
    assert fs.ls(str(tmp_path / "moved.txt"))[0].path == f"file:{tmp_path}/moved.txt"
    assert fs.rm("dbfs:/a", True) and not fs.rm("dbfs:/a", True)
    assert fs.mounts()[0].mountPoint == "/"


@pytest.mark.parametrize(
    ("call", "words"),
    [(lambda fs: fs.ls("dbfs:/none"), "No such file or folder: dbfs:/none"), (lambda fs: fs.head("dbfs:/none"), "No such file"),
     (lambda fs: fs.mount("wasbs://a@b", "/mnt/x"), "as an input, or put them below .*/dbfs/mnt/x"),
     (lambda fs: fs.ls("abfss://a@b/c"), "files of this machine only"),
     (lambda fs: (fs.mkdirs("dbfs:/d"), fs.cp("dbfs:/d", "dbfs:/e")), "pass recurse=True"),
     (lambda fs: (fs.put("dbfs:/f", "a"), fs.put("dbfs:/f", "b")), "pass overwrite=True")],
)  # fmt: skip
def test_what_files_can_not_do_is_told(utils, call, words):
    with pytest.raises(OSError, match=words):
        call(utils.fs)


def test_what_the_step_gives_wins_over_a_widgets_default(utils):
    widgets = utils.widgets
    widgets.text("given", "1")
    widgets.dropdown("letter", "a", ["a", "b"])
    widgets.multiselect("several", "a,b", ["a", "b", "c"], "Label")
    widgets.combobox("free", "z", ["a"])
    assert [widgets.get(name) for name in ("given", "letter", "several", "free")] == ["5", "a", "a,b", "z"]
    assert widgets.getAll() == {"letter": "a", "several": "a,b", "free": "z", "given": "5", "AZUREML_RUN_ID": "run"}
    assert widgets.getArgument("none", "else") == "else" and widgets.getArgument("given", "else") == "5"
    widgets.remove("letter")
    with pytest.raises(
        ValueError, match="InputWidgetNotDefined: there is no widget or parameter 'letter'; there are: free, given, sev"
    ):
        widgets.get("letter")
    with pytest.raises(ValueError, match="dropdown widget 'x' can't be 'q': its choices are a, b"):
        widgets.dropdown("x", "q", ["a", "b"])


def test_a_notebook_ends_with_a_value_and_runs_others_only_in_a_notebook(utils):
    with pytest.raises(NotebookExit) as end:
        utils.notebook.exit(7)
    assert end.value.value == "7"
    with pytest.raises(RuntimeError, match="Only a notebook"):
        utils.notebook.run("other")


def test_what_databricks_alone_has_is_named(utils):
    with pytest.raises(AttributeError, match=r"dbutils\.jobs is not there outside of Databricks"):
        utils.jobs  # noqa: B018
