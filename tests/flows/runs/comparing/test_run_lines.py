"""Lines of runs: kept once a run has ended, and made anew when anything that they tell may have changed."""

from __future__ import annotations

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.comparing.run_lines import KeptLines, RunLine
from stepwell.flows.runs.summary import summarize


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.path.mkdir(parents=True)
    folder.describe({"id": "one", "number": 3, "created": 0.5, "pipeline": {"name": "digits"}, "experiment": "e"})
    folder.append({"at": "2026-01-01T10:11:12", "status": "Running"})
    folder.append({"step": "a", "status": "done"})
    return folder


@pytest.fixture
def line(tmp_path, run):
    """What gives the line of the run, and whether it was kept."""

    def found():
        made = []
        kept = KeptLines(tmp_path)
        line = kept.line(run, lambda folder: made.append(1) or summarize(folder))
        kept.save()
        return line, not made

    return found


def test_the_line_of_an_ended_run_is_kept(run, line):
    run.append({"status": "Finished"})
    made, kept = line(), line()
    assert made == (RunLine.of(summarize(run)), False)
    assert kept == (made[0], True)
    assert made[0][1:6] == ("digits#3", "2026-01-01 10:11:12", "e", "Finished", "Finished: 1 ran")


def test_that_of_one_that_is_at_work_or_whose_process_is_gone_is_not(run, line):
    with run.alive():
        assert line()[0].status == "Running" and not line()[1]
    assert line()[0].status == "Failed" and not line()[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.append({"step": "b", "status": "done"}),
        lambda run: run.describe({"experiment": "other"}),
        lambda run: run.note_heard("me@elsewhere", "Finished", 0.0),
        lambda run: (run.path / "alive.lock").write_text("{}"),
    ],
)
def test_whatever_changes_what_it_tells_makes_it_anew(run, line, change):
    run.append({"status": "Finished"})
    line()
    change(run)
    again = line()
    assert again == (RunLine.of(summarize(run)), False)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1, "lines": {"%s": [[], ["a", 1]]}}', '{"format": 9}'])
def test_a_damaged_file_of_lines_is_none(run, line, tmp_path, damage):
    run.append({"status": "Finished"})
    (tmp_path / "runs.lines").write_text(damage.replace("%s", str(run.path)))
    assert line() == (RunLine.of(summarize(run)), False) and line()[1]


def test_a_run_that_cannot_be_read_has_no_line(run, tmp_path):
    assert KeptLines(tmp_path).line(run, lambda _: None) is None
