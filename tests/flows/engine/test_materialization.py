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


@pytest.mark.parametrize("url", ["file://{}", "memory://{}"])
def test_a_reused_step_brings_its_own_bytes_and_takes_away_parts_of_the_run_before(project, tmp_path, url):
    store = Datastore.register(project.workspace, "away", url.format(tmp_path / "away"))
    parts = PipelineParameter("parts", 4)
    out = OutputFileDatasetConfig("table", destination=(store, "out")).as_upload()
    body = "for i in range(int(args[1])):\n    open(f'{args[0]}/part-{i}', 'w').write(args[1])\n"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out, parts]))
    for value, happened in ((4, "ran"), (2, "ran"), (4, "reused"), (2, "reused")):
        summary = project.run(pipeline, parts=value)
        assert summary.steps[0].happened == happened
        found = {name: store.filesystem.cat_file(store.locate(name)) for name in store.files("out/")}
        assert found == {f"out/part-{i}": str(value).encode() for i in range(value)}
    assert summary.warnings == ("Removed from away/out what an earlier run put there: part-2, part-3",)
    other = OutputFileDatasetConfig("more", destination=(store, "out"))
    assert project.run(project.pipeline(project.step("t.py", BODY, arguments=[other]))).status == "Finished"
    assert set(store.files()) == {"out/part-0", "out/part-1", "out/x"}


def test_the_root_of_a_datastore_elsewhere_is_an_input_without_what_stepwell_keeps_there(project):
    store = Datastore.register(project.workspace, "away", f"memory://{project.workspace.name}")
    for name, text in (("a", b"1"), ("deep/b", b"2"), (".stepwell/depot/c.tar", b"3")):
        store.filesystem.pipe_file(f"{store.locate('')}/{name}", text)
    out = OutputFileDatasetConfig("out")
    body = "import os\nopen(args[0] + '/x', 'w').write(str(sorted(os.listdir(args[1]))))\n"
    pipeline = project.pipeline(
        project.step("s.py", body, arguments=[out, store.path()], inputs=[store.path()], outputs=[out])
    )
    results = pipeline()
    assert (project.workspace.path_of(results["s.py"]["out"]) / "x").read_text() == "['a', 'deep']"
    store.filesystem.pipe_file(f"{store.locate('')}/.stepwell/depot/d.tar", b"4")
    assert project.happened(pipeline) == {"s.py": "reused"}
