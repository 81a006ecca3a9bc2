from __future__ import annotations

import json

import pytest
from published import every_kind, work

from stepwell import Schedule
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.publications import ScheduleBlock
from stepwell.deployments.schedules import data_trigger
from stepwell.deployments.schedules.data_trigger import DataTriggers


@pytest.fixture
def polled(monkeypatch):
    monkeypatch.setattr(data_trigger, "_POLL_SECONDS", 0.0)
    triggers = DataTriggers()

    def poll(schedule):
        """Poll twice, since what is new must be the same twice; each poll is due at once."""
        for _ in range(2):
            block = documents.load(ScheduleBlock, schedule.block.document)
            documents.save(block.model_copy(update={"polled": 0}), block.document)
            triggers.poll()

    return poll


@pytest.fixture
def watched(project):
    folder = project.folder / "data" / "in"
    published = every_kind(project).publish()
    folder.mkdir()
    (folder / "old.csv").write_text("old")
    yield published, folder
    for schedule in Schedule.list(project.workspace):  # later tests would poll it too
        schedule.disable()


def runs(project):
    """The data of the runs that were submitted, oldest first."""
    found = sorted(
        project.workspace.experiments["data"].get_runs() if "data" in project.workspace.experiments else [],
        key=lambda r: r.number,
    )
    return [run.folder.facts()["parameters"]["data"] for run in found]


def create(project, published, **more):
    return Schedule.create(
        project.workspace,
        "s",
        published.id,
        "data",
        datastore="given",
        path_on_datastore="in",
        polling_interval=1,
        **more,
    )


def test_each_changed_file_submits_one_run(project, watched, polled):
    published, folder = watched
    schedule = create(project, published, data_path_parameter_name="data")
    polled(schedule)
    assert runs(project) == []
    (folder / "new.csv").write_text("new")
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.csv").write_text("deep")
    polled(schedule)
    polled(schedule)
    assert runs(project) == ["given/in/new.csv"]
    (folder / "old.csv").write_text("changed")
    polled(schedule)
    assert runs(project) == ["given/in/new.csv", "given/in/old.csv"]
    run = next(iter(project.workspace.experiments["data"].get_runs()))
    assert work(run.id) == "Completed"
    assert [one.id for one in schedule.get_pipeline_runs()] == [run.id]
    (told,) = [step.get_output_data("told") for step in run.get_steps()]
    assert json.loads(told.local_path.read_text())[-1].endswith("old.csv")


def test_what_still_grows_is_waited_for(project, watched, monkeypatch):
    published, folder = watched
    schedule = create(project, published, data_path_parameter_name="data")
    monkeypatch.setattr(data_trigger, "_POLL_SECONDS", 0.0)
    triggers = DataTriggers()
    triggers.poll()
    block = documents.load(ScheduleBlock, schedule.block.document)
    documents.save(block.model_copy(update={"polled": 0}), block.document)
    for text in ("a", "ab", "abc"):
        (folder / "grows.csv").write_text(text)
        triggers.poll()
        assert runs(project) == []
    triggers.poll()
    assert runs(project) == ["given/in/grows.csv"]


def test_without_a_parameter_all_changes_are_one_run(project, watched, polled):
    published, folder = watched
    schedule = create(project, published)
    polled(schedule)
    for name in "abc":
        (folder / name).write_text(name)
    polled(schedule)
    assert len(runs(project)) == 1


def test_a_crash_between_submission_and_note_submits_nothing_twice(project, watched, polled, monkeypatch):
    published, folder = watched
    schedule = create(project, published, data_path_parameter_name="data")
    polled(schedule)
    (folder / "new.csv").write_text("new")
    with monkeypatch.context() as patch:
        patch.setattr(data_trigger, "_save", lambda *_: None)
        polled(schedule)
    polled(schedule)
    assert runs(project) == ["given/in/new.csv"]


def test_disabled_ones_rest(project, watched, polled):
    published, folder = watched
    schedule = create(project, published)
    polled(schedule)
    schedule.disable()
    (folder / "new.csv").write_text("new")
    polled(schedule)
    schedule.enable()
    polled(schedule)
    assert runs(project) == []


def test_a_schedule_that_cannot_be_looked_at_is_not_in_the_way_of_others(project, watched, polled, monkeypatch):
    published, folder = watched
    broken, good = create(project, published), create(project, published)
    polled(good)
    (folder / "new.csv").write_text("new")
    real = data_trigger.states

    def states(datastore, path):
        if path == "broken":
            raise PermissionError("no")
        return real(datastore, path)

    monkeypatch.setattr(data_trigger, "states", states)
    block = documents.load(ScheduleBlock, broken.block.document)
    documents.save(block.model_copy(update={"path_on_datastore": "broken", "polled": 0}), block.document)
    with pytest.raises(PermissionError):
        polled(good)
    with pytest.raises(PermissionError):
        polled(good)
    assert len(runs(project)) == 1
