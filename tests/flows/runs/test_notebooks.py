"""Executed notebooks of steps are shown, whatever is in them."""

from __future__ import annotations

import json

from stepwell.flows.runs.notebooks import executed_notebooks, notebook_markdown

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
