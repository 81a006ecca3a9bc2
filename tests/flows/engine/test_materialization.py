"""Outputs come to their places, and nothing else that stands there goes."""

from __future__ import annotations

import pytest
from stepwell import DataPath, Datastore, OutputFileDatasetConfig, PipelineParameter
from stepwell.errors import DatastoreException

BODY = "import os\nos.makedirs(args[0], exist_ok=True)\nopen(args[0] + '/x', 'w').write('new')\n"


@pytest.mark.parametrize("path", ["keep", ""])
def test_files_that_stood_at_a_destination_stay(project, tmp_path, path):
    store = Datastore.register(project.workspace, "mine", f"file://{tmp_path}/mine")
    (tmp_path / "mine" / "keep").mkdir(parents=True)
    (tmp_path / "mine" / "keep" / "user.txt").write_text("user")
    (tmp_path / "mine" / "top.txt").write_text("top")
    out = OutputFileDatasetConfig("out", destination=(store, path))
    pipeline = project.pipeline(project.step("s.py", BODY, arguments=[out]))
    for happened in ("ran", "reused"):
        assert project.happened(pipeline) == {"s.py": happened}
        found = {str(p.relative_to(tmp_path / "mine")) for p in (tmp_path / "mine").rglob("*") if p.is_file()}
        assert found == {"top.txt", "keep/user.txt", f"{path}/x".lstrip("/")}


def test_an_output_at_the_root_of_the_default_datastore_harms_no_result(project):
    out = OutputFileDatasetConfig("out", destination=(project.workspace.get_default_datastore(), ""))
    pipeline = project.pipeline(project.step("s.py", BODY, arguments=[out]))
    assert project.happened(pipeline) == {"s.py": "ran"}
    assert project.happened(pipeline) == {"s.py": "reused"}


@pytest.mark.parametrize("path", ["../out", "/etc", "a" * 300, ".stepwell/x"])
def test_a_bad_destination_is_refused_before_anything_runs(project, path):
    out = OutputFileDatasetConfig("out", destination=(project.workspace.get_default_datastore(), path))
    pipeline = project.pipeline(project.step("s.py", BODY, arguments=[out]))
    with pytest.raises(DatastoreException):
        pipeline.plan()
    assert project.run(pipeline).status == "Failed" and not project.executions


def test_a_data_parameter_whose_text_the_script_sees_is_part_of_the_key(project):
    store = project.workspace.get_default_datastore()
    parameter = PipelineParameter("k", DataPath(store, "in/a.txt"))
    out = OutputFileDatasetConfig("out")
    body = "open(args[0] + '/x', 'w').write(args[1])\n"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out, parameter]))
    for name in ("a", "b"):
        results = pipeline(k=DataPath(store, f"in/{name}.txt"))
        assert (
            project.workspace.path_of(results["s.py"]["out"]) / "x"
        ).read_text() == f"workspaceblobstore/in/{name}.txt"
