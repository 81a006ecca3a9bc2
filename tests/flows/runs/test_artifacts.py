"""What a run leaves in the UI: reasons stand where the page can wrap them, and nothing in them is taken for markup."""

from __future__ import annotations

import json
import re

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs import artifacts
from stepwell.flows.runs.artifacts import executed_notebooks, markdown, notebook_markdown
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


def test_each_workspace_pipeline_step_and_image_has_an_artifact_of_its_own(tmp_path, monkeypatch):
    keys = []
    monkeypatch.setattr(artifacts, "_create", lambda _run, _kind, key, *_: keys.append(key))
    named = [(name, tmp_path / "x.png", tmp_path) for name in ("b-c", "c", "C")]
    monkeypatch.setattr(artifacts, "_images", lambda step, *_: [artifacts.Image(step, *one) for one in named if step])
    monkeypatch.setattr(artifacts, "metric_rows", lambda _: [{"metric": 1}])
    monkeypatch.setattr(artifacts, "data_url", lambda *_: "")
    steps = (StepSummary("a", "done"), StepSummary("a-b", "done"), StepSummary("summary", "done"))
    for workspace, pipeline in (("ml", "prod-p"), ("ml-prod", "p"), ("ml", "prod p")):
        summary = RunSummary("1", "Finished", pipeline, {"workspace": workspace}, steps, ())
        monkeypatch.setattr(artifacts, "summarize", lambda _, found=summary: found)
        artifacts.publish_artifacts(RunFolder(tmp_path))
    assert len(keys) == len(set(keys)) == 3 * (2 + 9)
    assert {key for key in keys if key.startswith("summary-ml-prod-p--")} and all(
        map(re.compile("[a-z0-9-]+").fullmatch, keys)
    )


CELLS = [
    {"cell_type": "markdown", "source": ["# Title\n", "text"]},
    {"cell_type": "code", "source": "print('```')", "execution_count": 1, "outputs": [
        {"output_type": "stream", "name": "stdout", "text": ["```\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "5", "text/html": "<b>5</b>"}},
        {"output_type": "display_data", "data": {"image/png": "QUJD\n", "text/plain": "<Figure>"}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
    ]},
]  # fmt: skip


def test_a_notebook_shows_its_texts_code_and_outputs():
    shown = notebook_markdown({"cells": CELLS}).split("\n\n")
    assert shown == [
        "# Title\ntext", "````python\nprint('```')\n````", "````text\n```\n````", "```text\n5\n```",
        "![](data:image/png;base64,QUJD)", "```text\nValueError: no\n```",
    ]  # fmt: skip


def test_only_executed_notebooks_of_a_steps_outputs_are_shown(tmp_path):
    (tmp_path / "outputs/deep").mkdir(parents=True)
    (tmp_path / "outputs/deep/a.ipynb").write_text(json.dumps({"cells": CELLS}))
    (tmp_path / "outputs/new.ipynb").write_text(json.dumps({"cells": [{**CELLS[1], "execution_count": None}]}))
    (tmp_path / "outputs/broken.ipynb").write_text("[1")
    (tmp_path / "outputs/other.ipynb").write_text("5")
    (tmp_path / "outputs/link.ipynb").symlink_to("/etc/hostname")
    assert [name for name, _ in executed_notebooks(tmp_path)] == ["deep/a.ipynb"]
    assert list(executed_notebooks(tmp_path / "none")) == []
