"""What a terminal shows while a run goes on."""

from __future__ import annotations

import io

from rich.console import Console
from stepwell.flows.runs.progress import Progress


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
