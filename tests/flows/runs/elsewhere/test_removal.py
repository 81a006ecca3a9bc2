"""Runs that are deleted: from Prefect, from the shared store, and from this machine; which are refused."""

from __future__ import annotations

import httpx
import prefect_api
import pytest

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.errors import UserErrorException
from stepwell.flows.runs.elsewhere.removal import check_deletable, delete_run


def test_a_deleted_run_is_unknown_to_prefect_and_its_results_and_their_logs_stay(project, server):
    pipeline = project.pipeline(project.step("a.py", "print('logged')"))
    first = project.run(pipeline)
    folder = project.workspace.get_run(first.run_id).folder
    check_deletable(folder)
    assert delete_run(project.workspace, folder, dry_run=True) > 0 and folder.facts()
    delete_run(project.workspace, folder)
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        prefect_api.get(f"{server}/flow_runs/{first.run_id}")
    again = project.run(pipeline)
    [step] = again.steps
    assert step.happened == "reused" and (step.folder(RunFolder(folder.path.parent / again.run_id)) / "logs").is_dir()


def test_a_run_that_has_not_ended_or_is_pinned_or_published_is_refused(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.describe({"id": "run", "pipeline": {"name": "digits"}, "number": 1})
    run.append({"status": "NotStarted"})
    with pytest.raises(UserErrorException, match="has not ended"):
        check_deletable(run)
    run.append({"status": "Finished"})
    check_deletable(run)
    (run.path / "pinned").touch()
    with pytest.raises(UserErrorException, match="is pinned") as error:
        check_deletable(run)
    assert "stepwell runs unpin digits#1" in error.value.hint
    check_deletable(run, force=True)
    (run.path / "published").touch()
    with pytest.raises(UserErrorException, match="was published"):
        check_deletable(run, force=True)


def test_what_was_told_to_other_machines_goes_too(tmp_path):
    objects = RemoteObjects(f"file://{tmp_path / 'remote'}", {})
    shared = SharedRuns(objects, tmp_path / "runs")
    runs = [RunFolder(tmp_path / "runs" / f"00000000-0000-4000-8000-00000000000{number}") for number in (1, 2)]
    for run in runs:
        run.describe({"id": run.run_id, "created": 1.0})
        shared.tell(run, [])
        shared.announce(run)
    shared.remove(runs[0])
    assert shared.newest() == [runs[1].run_id]
    assert {entry.name.split("/")[1] for entry in objects.list("runs/")} == {runs[1].run_id}
