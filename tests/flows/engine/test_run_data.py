"""Runs whose inputs stand elsewhere: what is reused costs listings alone, what runs gets what was keyed, once."""

from __future__ import annotations

import collections

import pytest
from object_stores import place

from stepwell import Datastore
from stepwell.blocks.datastores import remote_data
from stepwell.blocks.datastores.datastore_files import DatastoreFiles


@pytest.fixture
def far(project, tmp_path, monkeypatch):
    """A bucket with data, and what is asked of it from now on."""
    monkeypatch.setattr(remote_data, "_SECONDS_PAST", 0.0)
    with place("s3", tmp_path) as at:
        datastore = Datastore.register(project.workspace, "far", at.url, at.options)
        for number in range(5):
            put(datastore, f"in/{number}", str(number) * 1000, tmp_path)
            put(datastore, f"beside/{number}", "x", tmp_path)
        asked = collections.Counter()
        for name in ("listed", "get_file"):
            method = getattr(DatastoreFiles, name)

            def counting(self, *args, name=name, method=method):
                asked[name] += 1
                return method(self, *args)

            monkeypatch.setattr(DatastoreFiles, name, counting)
        yield datastore, asked


def put(datastore, name, text, tmp_path):
    (tmp_path / "put").write_text(text)
    datastore.put_file(tmp_path / "put", name)


COUNT = "import os\nprint(sorted(open(os.path.join(args[0], name)).read()[:1] for name in os.listdir(args[0])))"


def test_bytes_come_once_and_what_is_reused_costs_a_listing(project, far, tmp_path):
    datastore, asked = far
    data = datastore.path("in")
    pipeline = project.pipeline(project.step("a.py", COUNT, arguments=[data], inputs=[data]))
    pipeline.plan()
    assert asked == {"get_file": 5, "listed": 2}  # once more to see that nothing changed meanwhile
    asked.clear()
    assert project.happened(pipeline) == {"a.py": "ran"}
    assert asked == {"listed": 1}
    for _ in range(2):
        asked.clear()
        assert project.happened(pipeline) == {"a.py": "reused"}
        assert asked == {"listed": 1}
    put(datastore, "in/3", "other", tmp_path)
    asked.clear()
    assert project.happened(pipeline) == {"a.py": "ran"}
    assert asked == {"get_file": 1, "listed": 2}
    other = project.pipeline(project.step("b.py", COUNT, arguments=[data], inputs=[data]))
    asked.clear()
    assert project.happened(other) == {"b.py": "ran"}  # a step that has not seen the data
    assert asked == {"listed": 1}


def test_a_change_between_key_and_step_fails_the_step_and_a_step_can_not_change_what_is_kept(project, far, tmp_path):
    datastore, asked = far
    data = datastore.path("in")
    once = project.pipeline(project.step("a.py", COUNT, arguments=[data], inputs=[data]))
    assert project.happened(once) == {"a.py": "ran"}
    for kept in (project.workspace.store.root / "inputs").glob("??/*"):
        kept.unlink()
    bring = remote_data.RemoteData.bring

    def late(self, files):
        put(datastore, "in/2", "late", tmp_path)
        bring(self, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_data.RemoteData, "bring", late)
        other = project.pipeline(project.step("b.py", COUNT, arguments=[data], inputs=[data]))
        summary = project.run(other)
    (step,) = summary.steps
    assert "The input 'in' changed while step 'b.py' read it" in step.error
    writes = "import os, sys\npath = os.path.join(args[0], '1')\nos.chmod(path, 0o644)\nopen(path, 'w').write('mine')"
    spoiling = project.pipeline(project.step("c.py", writes, arguments=[data], inputs=[data]))
    (step,) = project.run(spoiling).steps
    assert "The input 'in' changed while step 'c.py' read it" in step.error
    asked.clear()
    assert project.happened(other) == {"b.py": "ran"}
    assert asked == {"listed": 1}  # what is kept was out of the step's reach


def test_inputs_that_lie_in_each_other_are_whole(project, far):
    datastore, _ = far
    whole, part = datastore.path("in"), datastore.path("in/1")
    step = project.step(
        "a.py",
        "import os\nassert open(args[1]).read()[:1] == '1' and len(os.listdir(args[0])) == 5, os.listdir(args[0])",
        arguments=[whole, part],
        inputs=[whole, part],
    )
    assert project.happened(project.pipeline(step)) == {"a.py": "ran"}
