"""Links in data: those of an input are followed by content, wherever they lead, and an output's lead into it."""

from __future__ import annotations

import os

import pytest

from stepwell import DataReference, Datastore, OutputFileDatasetConfig, PipelineData
from stepwell.errors import DatastoreException

READ = """
import os
found = {}
for folder, _, names in os.walk(args[0], followlinks=True):
    for name in names:
        found[os.path.relpath(os.path.join(folder, name), args[0])] = open(os.path.join(folder, name)).read()
open(args[1] + '/found', 'w').write(repr(sorted(found.items())))
"""


@pytest.fixture
def data(project, tmp_path):
    """A datastore, and a folder outside of it, to which links in it lead."""
    nas = tmp_path / "nas"
    (nas / "deep").mkdir(parents=True)
    (nas / "a.png").write_text("1")
    (nas / "deep" / "b.png").write_text("2")
    (nas / "deep" / "alias").symlink_to("b.png")
    store = Datastore.register(project.workspace, "data", f"file://{tmp_path}/data")
    root = tmp_path / "data"
    for folder in ("images", "hub/blobs", "hub/snapshots/main"):
        (root / folder).mkdir(parents=True)
    (root / "images" / "a.png").symlink_to(nas / "a.png")
    (root / "images" / "deep").symlink_to(nas / "deep")
    (root / "images" / "own.png").write_text("3")
    (root / "images" / "again").symlink_to("own.png")
    (root / "hub/blobs/0123").write_text("weights")
    (root / "hub/snapshots/main/model.bin").symlink_to("../../blobs/0123")
    (root / "linked").symlink_to(nas)
    return store


FOUND = {
    "images": {"a.png": "1", "deep/b.png": "2", "deep/alias": "2", "own.png": "3", "again": "3"},
    "hub/snapshots/main": {"model.bin": "weights"},
    "linked": {"a.png": "1", "deep/b.png": "2", "deep/alias": "2"},
}


def reading(project, reference, **more):
    out = OutputFileDatasetConfig("out")
    step = project.step("read.py", READ, arguments=[reference, out], inputs=[reference], outputs=[out], **more)
    return project.pipeline(step)


@pytest.mark.parametrize("mode", ["mount", "download"])
@pytest.mark.parametrize("path", FOUND)
def test_a_folder_of_links_is_an_input(project, data, tmp_path, path, mode):
    reference = DataReference(data, "raw", path, mode=mode)
    pipeline = reading(project, reference)
    summary = project.run(pipeline)
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    assert [("lead out of its datastore" in text) for text in summary.warnings] == [True] * (
        path != "hub/snapshots/main"
    )
    found = (project.workspace.path_of(pipeline()["read.py"]["out"]) / "found").read_text()
    assert dict(eval(found)) == FOUND[path]
    assert project.happened(pipeline) == {"read.py": "reused"}
    changed = tmp_path / ("data/hub/blobs/0123" if path.startswith("hub") else "nas/a.png")
    changed.write_text("changed")
    assert project.happened(pipeline) == {"read.py": "ran"}


def test_it_is_a_choice_to_follow_links_out_of_a_datastore(project, data):
    chosen = DataReference(data, "raw", "images", follow_links=True)
    assert project.run(reading(project, chosen)).warnings == ()
    refused = DataReference(data, "raw", "images", follow_links=False)
    summary = project.run(reading(project, refused))
    assert summary.status == "Failed"
    with pytest.raises(
        DatastoreException, match=r"leads out of its datastore(.|\n)*images/a.png(.|\n)*follow_links=True"
    ):
        reading(project, refused).plan()
    inside = DataReference(data, "raw", "hub/snapshots/main", follow_links=False)
    assert project.happened(reading(project, inside)) == {"read.py": "ran"}


@pytest.mark.timeout(60, func_only=True)
def test_links_in_circles_and_to_nowhere_stop_nothing(project, data, tmp_path):
    for name, target in (("up", tmp_path / "data"), ("self", "self"), ("gone", tmp_path / "nowhere"), ("here", ".")):
        (tmp_path / "data" / "images" / name).symlink_to(target)
    (tmp_path / "nas" / "back").symlink_to(tmp_path / "data" / "images")
    reference = DataReference(data, "raw", "images", follow_links=True)
    out = OutputFileDatasetConfig("out")
    pipeline = project.pipeline(
        project.step("read.py", "", arguments=[reference, out], inputs=[reference], outputs=[out])
    )
    assert project.happened(pipeline) == {"read.py": "ran"}


def test_nothing_is_written_through_a_link_out_of_a_datastore(project, data):
    with pytest.raises(DatastoreException):
        data.upload_files([__file__], target_path="linked")
    out = OutputFileDatasetConfig("out", destination=(data, "linked"))
    assert project.run(project.pipeline(project.step("w.py", "", arguments=[out]))).status == "Failed"
    assert not project.executions


LINKS = """
import os
os.mkdir(args[0])
os.mkdir(args[0] + '/sub')
os.mkdir(args[0] + '/empty')
open(args[0] + '/sub/model-3', 'w').write('three')
os.symlink(os.path.abspath(args[0] + '/sub/model-3'), args[0] + '/absolute')
os.symlink(os.path.realpath(args[0] + '/sub'), args[0] + '/empty/real')
os.symlink(os.path.abspath(args[0]), args[0] + '/sub/top')
os.symlink('../' + os.path.basename(args[0]) + '/sub/model-3', args[0] + '/back')
os.symlink('sub/model-3', args[0] + '/relative')
"""


def test_links_of_an_output_into_itself_become_relative(project):
    out = PipelineData("out")
    summary = project.run(project.pipeline(project.step("l.py", LINKS, arguments=[out], outputs=[out])))
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    trees = [
        path for path in (project.workspace.store.root / "trees").glob("*/*/data") if (path / "relative").is_symlink()
    ]
    assert len(trees) == 1
    found = {str(p.relative_to(trees[0])): os.readlink(p) for p in sorted(trees[0].rglob("*")) if p.is_symlink()}
    assert found == {
        "absolute": "sub/model-3",
        "back": "sub/model-3",
        "empty/real": "../sub",
        "relative": "sub/model-3",
        "sub/top": "..",
    }


def test_a_link_of_an_output_that_leads_out_is_named_as_it_is(project):
    out = PipelineData("out")
    body = "import os\nos.mkdir(args[0])\nos.symlink(os.path.abspath('l.py'), args[0] + '/code.py')\n"
    error = project.run(project.pipeline(project.step("l.py", body, arguments=[out], outputs=[out]))).steps[0].error
    assert "The output 'out' of step 'l.py' holds a link that leads out of it" in error
    assert "link      code.py\n" in error and "/source/l.py" in error and "taken" not in error
