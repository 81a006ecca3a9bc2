"""A disk that is full or can't be written: every run ends in words, and what is still there is shown."""

from __future__ import annotations

import errno
import os
from uuid import UUID

import pytest
from stepwell import Experiment, PipelineData
from stepwell.blocks.server import process
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import run_folder, trees
from stepwell.blocks.store.maintenance import collect
from stepwell.deployments.cli import runs
from stepwell.deployments.lookup.runs import find_run
from stepwell.errors import DatastoreException, StoreException, UserErrorException
from stepwell.flows.public.pipeline_run import all_runs


def failing(number):
    """A function that fails as a disk does."""

    def fail(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    return fail


@pytest.fixture
def pipeline(project):
    outs = PipelineData("one"), PipelineData("two")
    steps = [project.step(f"{o.name}.py", "open(args[0], 'w').write('x')", arguments=[o], outputs=[o]) for o in outs]
    return project.pipeline(*steps)


def test_a_disk_that_is_full_before_a_run_starts(project, pipeline, monkeypatch):
    monkeypatch.setattr(run_folder, "write_atomically", failing(errno.ENOSPC))
    with pytest.raises(StoreException, match="can't be recorded, so it was not started") as caught:
        Experiment(project.workspace, "full").submit(pipeline)
    assert caught.value.facts["reason"] == "No space left on device" and caught.value.hint.startswith("Free space")
    with client() as api:
        state = api.read_flow_run(UUID(os.path.basename(os.path.dirname(caught.value.facts["place"])))).state
    assert state.type.value == "FAILED"
    with pytest.raises(StoreException, match="The run can't be recorded"):
        pipeline()


def test_a_home_that_can_not_be_written_without_a_server(monkeypatch):
    monkeypatch.setattr(process, "_known", {})
    monkeypatch.setattr(process, "recorded", lambda: None)
    monkeypatch.setattr(process, "_launch", lambda *_: failing(errno.EROFS)("/home/server/server.json"))
    with pytest.raises(StoreException, match="server can't be started, since Stepwell's home can't") as caught:
        process.running(lambda _: None)
    assert "STEPWELL_HOME" in caught.value.hint


def test_the_runs_of_a_store_that_can_not_be_written_are_found(project, pipeline, monkeypatch):
    first = project.run(pipeline)
    monkeypatch.setattr(trees, "can_be_written", lambda _: False)
    project.workspace.__dict__.pop("store", None)
    assert project.workspace.store.read_only
    assert [run.id for run in all_runs(project.workspace)] == [first.run_id]
    second = project.run(pipeline)
    assert {run.id for run in all_runs(project.workspace)} == {first.run_id, second.run_id}
    assert find_run("last", project.workspace.name).id == first.run_id  # the other is this process's own
    with pytest.raises(UserErrorException, match="There is no run") as caught:
        find_run("nope", project.workspace.name)
    assert "are kept while they last" in caught.value.facts["read-only"]


def test_outputs_that_were_collected_are_named(project, pipeline, tmp_path, capsys):
    run = project.workspace.get_run(project.run(pipeline).run_id)
    project.workspace.store.discard_tree(run.find_step_run("two.py")[0].get_output_data("two").artifact.digest)
    assert run.gone_outputs() == {"one.py": ("one",), "two.py": ("two",)}  # of one content, kept once
    project.write("one.py", "import sys\nopen(sys.argv[1], 'w').write('y')\n")
    run = project.workspace.get_run(project.run(pipeline).run_id)
    project.workspace.store.discard_tree(run.find_step_run("two.py")[0].get_output_data("two").artifact.digest)
    with pytest.raises(DatastoreException, match="Outputs of the run are gone") as caught:
        run.download(tmp_path / "there")
    assert caught.value.facts == {"two.py": "two", "files copied": "1"}
    assert (tmp_path / "there" / "one.py" / "one").exists()
    collect(project.workspace.store, days=0)
    for to in ("", str(tmp_path / "copy")):
        with pytest.raises(DatastoreException) as caught:
            runs.outputs(run.id, "", to, digests=False, workspace=project.workspace.name, as_json=False)
        assert caught.value.facts.items() >= {"one.py": "one", "two.py": "two"}.items()
    assert "Copied" not in capsys.readouterr().out


def test_a_run_that_fails_leaves_no_pickles_with_prefect(project, monkeypatch, tmp_path):
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):
        summary = project.run(project.pipeline(project.step("bad.py", "raise SystemExit(3)")))
    assert summary.status == "Failed"
    assert not [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]
