"""What a run's folder tells of a run whose process was ended before it could note the end of its steps."""

from __future__ import annotations

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs import summary
from stepwell.flows.runs.summary import ENDED_WITH_RUN, GONE, added_to, summarize

EVENTS = [
    {"step": "make", "status": "done", "seconds": 1.0},
    {"step": "train", "status": "running"},
    {"step": "again", "status": "retrying", "error": "The first time"},
    {"step": "report", "status": "waiting"},
    {"step": "send", "status": "starting"},
]


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.describe({"id": "run", "pipeline": {"name": "digits"}})
    run.append({"at": "2026-01-01T00:00:00.000+00:00", "status": "Running"})
    for event in EVENTS:
        run.append(event)
    return run


def steps(run):
    return {step.id: (step.happened, step.error) for step in summarize(run).steps}


def test_the_steps_of_a_run_that_was_killed_ended_with_it(run):
    summary = summarize(run)
    assert (summary.status, summary.problem) == ("Failed", GONE)
    assert summary.headline == "Failed: 1 ran, 2 failed, 2 skipped"
    assert steps(run) == {
        "make": ("ran", ""), "train": ("failed", ENDED_WITH_RUN), "again": ("failed", ENDED_WITH_RUN),
        "report": ("skipped", ""), "send": ("skipped", ""),
    }  # fmt: skip


def test_the_steps_of_a_run_that_others_cancelled_are_cancelled(run):
    run.append({"status": "Canceled"})
    assert [happened for happened, _ in steps(run).values()] == ["ran", *["cancelled"] * 4]


def test_the_steps_of_a_run_at_work_are_at_work(run):
    with run.alive():
        assert [happened for happened, _ in steps(run).values()] == [
            "ran",
            "running",
            "retrying",
            "waiting",
            "starting",
        ]


def test_a_run_that_ends_while_it_is_looked_at_is_not_taken_for_killed(run, monkeypatch):
    def ends(self):
        self.append({"status": "Finished"})
        return False

    monkeypatch.setattr(RunFolder, "is_alive", ends)
    assert summarize(run).status == "Finished"


def test_what_steps_logged_is_read_only_if_it_is_wanted(run, monkeypatch):
    read = []
    monkeypatch.setattr(summary, "read_events", lambda folder, redact: read.append(folder) or [{"type": "metric"}])
    added_to(run, "any").parent.mkdir(parents=True)
    whole, short = summarize(run), summarize(run, logged=False)
    made = [step for step in whole.steps if step.step_run_id]
    assert len(read) == 2 + len(made) + len(whole.steps)
    assert {step.events for step in short.steps} == {()} and all(step.events for step in whole.steps)
    assert [step.happened for step in short.steps] == [step.happened for step in whole.steps]
    assert short.events == whole.events


def test_nothing_is_looked_for_that_nobody_added(run, monkeypatch):
    read = []
    monkeypatch.setattr(summary, "read_events", lambda folder, redact: read.append(folder) or [])
    assert len(summarize(run).steps) > len([step for step in summarize(run).steps if step.step_run_id])
    assert {added_to(run, "any").parent} & {folder.parent for folder in read} == set()
