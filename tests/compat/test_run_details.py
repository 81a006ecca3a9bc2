"""`RunDetails`: a run in a notebook, in a terminal and as text; never an error."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import nbformat
import pytest
from azureml.run_details import RunDetails
from nbclient import NotebookClient

from stepwell import PipelineRun
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.pages.notebook import run_html

COMPAT = Path(__file__).parents[2] / "compat" / "src"


@pytest.fixture
def run(project):
    script = "from stepwell import Run; Run.get_context().log('rate <1>', 0.5)"
    done = project.run(project.pipeline(project.step("log.py", script)))
    return PipelineRun.get(project.workspace, done.run_id)


def test_a_notebook_shows_a_table_and_its_later_state_in_the_same_place(run, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(COMPAT))
    book = nbformat.v4.new_notebook()
    code = f"""
        from azureml.core import Workspace
        from azureml.widgets import RunDetails
        from stepwell import PipelineRun
        run = PipelineRun.get(Workspace.get({run.workspace.name!r}), {run.id!r})
        RunDetails(run).show()
        RunDetails(run.find_step_run("log.py")[0]).show()
        RunDetails(None).show()
    """
    book.cells = [nbformat.v4.new_code_cell("\n".join(line[8:] for line in code.splitlines()))]
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    outputs = book.cells[0].outputs
    tables = [one["data"]["text/html"] for one in outputs if "data" in one]
    assert len(tables) == 2 and "rate &lt;1&gt;" in tables[0] and "<td" in tables[0], outputs
    assert "log.py" in tables[1]
    assert any("None" in one.get("text", "") for one in outputs)


def test_a_terminal_follows_the_run_and_ends_with_its_report(run, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    RunDetails(run).show()
    assert "log.py" in terminal.getvalue() and "1 ran" in terminal.getvalue()


def test_what_no_run_is_known_of_costs_no_error(capsys, tmp_path) -> None:
    class Broken:
        folder = RunFolder(tmp_path / "gone")

        def __repr__(self) -> str:
            return "a run that is gone"

    RunDetails(Broken()).show()
    RunDetails("text").show()
    assert "'text'" in capsys.readouterr().out


def test_html_escapes_what_others_wrote(tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    os.makedirs(folder.path)
    (folder.path / "run.json").write_text('{"run_id": "r", "name": "<b>", "pipeline": {"name": "<script>"}}')
    (folder.path / "journal.jsonl").write_text(
        '{"step": "<i>", "status": "failed", "error": "<img>", "why": ["<u>"]}\n'
    )
    html = run_html(folder)
    for text in ("<i>", "<img>", "<u>", "<script>"):
        assert text not in html
    assert "&lt;img&gt;" in html
