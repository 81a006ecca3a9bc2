"""What a terminal shows while a run goes on."""

from __future__ import annotations

import io

from rich.console import Console
from stepwell.flows.runs.live.progress import Progress


def told(*events, terminal=False):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    shown = Progress(console)
    for event in events:
        shown({"step": "score", **event})
    if terminal:
        console.print(shown)
    return console.file.getvalue()


RUNNING = {"status": "running", "why": ["allow_reuse is False"]}


def test_how_far_a_step_says_that_it_is_is_a_line_of_its_own_without_a_terminal():
    text = told({"status": "starting"}, RUNNING, {"progress": "3 of 5 files"}, {"progress": "4 of 5 files"})
    assert text == "score: running (allow_reuse is False)\nscore: 3 of 5 files\nscore: 4 of 5 files\n"


def test_how_far_a_step_is_stands_in_the_table_until_it_ended():
    assert "3 of 5 files" in told(RUNNING, {"progress": "3 of 5 files"}, terminal=True)
    ended = told(RUNNING, {"progress": "3 of 5 files"}, {"status": "done", "seconds": 1.0}, terminal=True)
    assert "3 of 5 files" not in ended
    assert "allow_reuse is False" in ended


def test_steps_that_are_reused_are_one_line_without_a_terminal_and_a_row_each_with_one():
    for terminal, expected in ((False, "score: running (new)\n2 steps reused\n"), (True, None)):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        with Progress(console) as shown:
            for step in ("load", "split"):
                shown({"step": step, "status": "starting", "action": "reuse", "why": ["the same as in p#1"]})
                shown({"step": step, "status": "reused"})
            shown({"step": "score", "status": "running", "why": ["new"]})
        text = console.file.getvalue()
        assert text == expected if expected else text.count("reused") >= 2 and "steps reused" not in text


def table_of(events, height=6, width=80):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    shown = Progress(console)
    for event in events:
        shown(event)
    console.print(shown)
    return console.file.getvalue().splitlines()


def test_running_and_failed_steps_stay_in_sight_when_there_are_more_than_lines():
    names = [f"step{number:02}" for number in range(30)]
    events = [{"step": name, "status": "waiting"} for name in names]
    events += [{"step": name, "status": "done", "seconds": 1.0} for name in names[:20]]
    events += [{"step": names[3], "status": "failed"}, {"step": names[25], "status": "running", "step_run_id": "x"}]
    lines = table_of(events)
    assert len(lines) == 5 and lines[-1].split()[:2] == ["…", "and"]
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["step03", "failed"], ["step20", "waiting"], ["step21", "waiting"], ["step25", "running"]
    ]  # fmt: skip
    assert "and 26 more: 19 ran, 7 waiting" in lines[-1]
    assert len(table_of(events, height=40)) == 30


def test_what_a_report_tells_is_not_told_before():
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        with Progress(console, before_report=True) as progress:
            progress({"step": "score", "status": "done", "seconds": 2.0, "why": ["because"]})
            progress({"step": "later", "status": "running", "why": ["because"]})
            progress({"warning": "mind"})
        assert progress.warnings == ["mind"]
        written = console.file.getvalue()
        if terminal:
            assert "2.0 s" not in written[written.rfind("mind") :].rpartition("\x1b[2K")[2]
        else:
            assert written == "score: ran in 2.0 s\nlater: running\nWarning: mind\n"


def test_lines_of_scripts_and_bars_are_shown_where_there_is_a_place_for_them():
    lines, console = io.StringIO(), Console(file=io.StringIO(), width=100)
    shown = Progress(console, lines=lines)
    shown.line("score", "\x1b[1mloss\x1b[0m [3] 0.5")
    assert (lines.getvalue(), console.file.getvalue()) == ("score | \x1b[1mloss\x1b[0m [3] 0.5\n", "")
    Progress(console).line("score", "loss [3] 0.5")
    assert console.file.getvalue() == "score | loss [3] 0.5\n"
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    shown = Progress(console)
    shown({"step": "score", **RUNNING})
    shown.update("score", "\x1b[32m 40%|####\x1b[0m")
    console.print(shown)
    assert "40%|####" in console.file.getvalue() and "allow_reuse" not in console.file.getvalue()


def test_names_of_steps_move_no_cursor_and_break_no_line():
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
        shown = Progress(console)
        shown({"step": "a\nb\x1b[2J", "status": "running"})
        if terminal:
            console.print(shown)
        shown.line("a\nb\x1b[2J", "written")
        text = console.file.getvalue()
        assert "\x1b[2J" not in text and "a\\nb" in text and len(text.splitlines()) == 2


def test_items_of_a_mapped_step_stand_before_it_as_in_the_report():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    shown = Progress(console)
    for step in ("split", "train", "compare"):
        shown({"step": step, "status": "waiting"})
    for step in ("train[a]", "train[b]"):
        shown({"step": step, "status": "running", "item_of": "train"})
    console.print(shown)
    names = [line.split()[0] for line in console.file.getvalue().splitlines()]
    assert names == ["split", "train[a]", "train[b]", "train", "compare"]
