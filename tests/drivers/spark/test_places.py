"""Paths of a Databricks workspace stand for files of this machine."""

from __future__ import annotations

import pytest

from stepwell.drivers.spark.places import local_path, notebook_in, notebook_places, others_of


@pytest.mark.parametrize(
    ("path", "found"),
    [("dbfs:/a/b", "/f/dbfs/a/b"), ("dbfs:/", "/f/dbfs"), ("/dbfs/a", "/f/dbfs/a"), ("file:/a", "/a"), ("file:///a/b", "/a/b"),
     ("/a", "/a"), ("a/b.jar", "a/b.jar"), ("dbfs:/../../etc/passwd", "/f/dbfs/etc/passwd")],
)  # fmt: skip
def test_where_a_path_is_here(path, found):
    assert local_path(path, "/f") == found


def test_a_notebook_is_found_with_its_ending_and_without(tmp_path):
    (tmp_path / "Users").mkdir()
    (tmp_path / "Users/a.ipynb").touch()
    (tmp_path / "Users/b.py").touch()
    (tmp_path / "Users/c").mkdir()
    found = [
        notebook_in(str(tmp_path), path)
        for path in ("/Users/a", "Users/b.py", "/Workspace/Users/b", "/Users/c", "../x")
    ]
    assert found == ["Users/a.ipynb", "Users/b.py", "Users/b.py", "", ""]


def test_a_notebook_is_looked_for_beside_the_step_first_and_by_its_mere_name_last():
    places = list(notebook_places("/Users/me/a", "/source", "/f"))
    assert places == [("/source", "/Users/me/a"), ("/Users/me", "a"), ("/f/workspace", "/Users/me/a"), ("/source", "a")]


def test_the_notebooks_that_a_notebook_runs_are_found(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "main.py").write_text(
        "# MAGIC %run \"./lib/with blank\" $x=1\n# MAGIC %run './lib/helper'\nx = dbutils.notebook.run('child', 60)\n# %run ./none"
    )
    (tmp_path / "lib/helper.ipynb").write_text(
        '{"source": ["%run /Users/other\\n", "dbutils.notebook.run(path=\\"../main\\")", "%run \\"../quoted\\""]}'
    )
    (tmp_path / "quoted.py").write_text("")
    (tmp_path / "lib/with blank.py").write_text("")
    (tmp_path / "child.py").write_text("")
    (tmp_path / "Users").mkdir()
    (tmp_path / "Users/other.sql").write_text("")
    found = ["Users/other.sql", "child.py", "lib/helper.ipynb", "lib/with blank.py", "quoted.py"]
    assert sorted(others_of(str(tmp_path), "main.py")) == found
