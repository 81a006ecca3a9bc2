"""What a run leaves in the UI: reasons stand where the page can wrap them, and nothing in them is taken for markup."""

from __future__ import annotations

from stepwell.flows.runs.artifacts import markdown
from stepwell.flows.runs.summary import RunSummary, StepSummary

LONG = "input table changed (" + ", ".join(f"part-{number}.parquet changed" for number in range(9)) + ")"


def text_of(*steps: StepSummary) -> list[str]:
    return markdown(RunSummary("1", "Finished", "p", {}, steps, ())).splitlines()


def test_reasons_stand_below_the_table() -> None:
    lines = text_of(StepSummary("train.py", "done", (LONG, "parameter rate: 1 → 2"), seconds=1.25))
    assert [line for line in lines if line.startswith("| train")] == ["| train.py | ran | 1.2 |  |"]
    assert [line for line in lines if line.startswith("- ")] == [
        f"- train.py ran: {LONG}",
        "- train.py ran: parameter rate: 1 → 2",
    ]


def test_texts_are_no_markup() -> None:
    step = StepSummary("a|b", "reused", ("script __init__.py\nchanged <b>",))
    assert r"- a\|b reused: script \_\_init\_\_.py changed \<b\>" in text_of(step)


def test_no_heading_stands_over_no_reasons() -> None:
    assert "**Why**" not in text_of()
