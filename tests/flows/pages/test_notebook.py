"""What a notebook shows: tables of runs, steps, plans and metrics, and a run at work in one place until it ends."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import nbformat
from nbclient import NotebookClient

from stepwell.flows.pages.notebook import metrics_html, plan_html, rows_html, runs_html, step_html, steps_html
from stepwell.flows.pages.shown_tables import Listed, Metrics, Plan, Shown
from stepwell.flows.runs.summary import RunSummary, StepSummary
from stepwell.model.records import Decision

ODD = "<b onclick=x>&"
STEP = StepSummary(ODD, "failed", why=(f"because {ODD}",), seconds=1.0, error=f"error {ODD}")


def test_what_people_named_stays_text() -> None:
    run = RunSummary("id", "Failed", ODD, {"parameters": {ODD: ODD}}, (STEP,), (), label=ODD)
    pages = [
        steps_html([STEP]),
        step_html(STEP, ODD),
        runs_html([run]),
        plan_html([Decision(ODD, "run", (ODD,))]),
        rows_html([{"run": ODD, ODD: 1}]),
        metrics_html({ODD: ODD, f"table {ODD}": {ODD: [ODD]}}),
    ]
    for page in pages:
        assert "<b onclick" not in page and "&lt;b onclick=x&gt;&amp;" in page


def test_metrics_are_numbers_tables_and_the_last_of_a_series() -> None:
    shown = metrics_html({"score": 0.5, "loss": [3.0, 2.0], "classes": {"label": ["a", "b"], "count": [1, 2]}})
    assert "0.5" in shown and "2 (the last of 2 values)" in shown and ">label</th>" in shown and ">b</td>" in shown
    assert metrics_html({}) == "<p>No metrics.</p>"


def test_rows_lose_the_columns_in_which_there_is_nothing() -> None:
    shown = rows_html([{"run": "a", "metrics.x": 0.5, "tags": None}, {"run": "b", "metrics.x": None, "tags": {}}])
    assert ">metrics.x</th>" in shown and "tags" not in shown and shown.count("<tr>") == 3
    assert rows_html([]) == "<p>No runs.</p>"


def test_long_tables_are_cut_and_say_so() -> None:
    shown = steps_html([STEP] * 1000)
    assert shown.count("<tr>") == 201 and "and 800 more rows" in shown


def test_what_is_shown_as_a_table_is_what_it_was_to_everybody_else() -> None:
    metrics, plan = Metrics({"a": 1}), Plan([Decision("s", "reuse", ("why",))])
    assert metrics == {"a": 1} and json.loads(json.dumps(metrics)) == {"a": 1} and isinstance(metrics, dict)
    assert plan == (Decision("s", "reuse", ("why",)),) and isinstance(plan, tuple)
    assert pickle.loads(pickle.dumps(metrics)) == metrics and pickle.loads(pickle.dumps(plan)) == plan
    listed = Listed([1, 2], lambda: "table")
    assert listed == [1, 2] and copy.deepcopy(listed) == [1, 2] and listed._repr_html_() == "table"
    shown = Shown(lambda: iter([1, 2]), lambda: "table")
    assert shown._repr_html_() == "table" and next(shown) == 1 and [*shown] == [2] and [*shown] == []


def test_a_notebook_shows_tables_and_follows_a_run_in_one_place(project: Any) -> None:
    project.script("a.py", "from stepwell import Run; Run.get_context().log('rate', 0.5); print('hello')")
    code = [
        f"""
        from stepwell import Experiment, Pipeline, PythonScriptStep, Workspace
        workspace = Workspace.get({project.workspace.name!r})
        pipeline = Pipeline(workspace, [PythonScriptStep("a.py", source_directory={str(project.source)!r})], name="p")
        pipeline.plan()
        """,
        """
        run = Experiment(workspace, "e").submit(pipeline)
        run.wait_for_completion()
        """,
        "run",
        "run.get_steps()",
        "run.find_step_run('a.py')[0].get_metrics()",
        "Experiment(workspace, 'e').get_runs()",
        "Experiment(workspace, 'e').compare()",
    ]
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell("\n".join(line.strip() for line in one.splitlines())) for one in code]
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    assert any("a.py | hello" in output.get("text", "") for output in book.cells[1].outputs)
    plan, followed, run, steps, metrics, runs, compared = (
        "".join(output["data"].get("text/html", "") for output in cell.outputs if "data" in output)
        for cell in book.cells
    )
    assert "what would happen" in plan and "no earlier result" in plan
    assert followed.count('role="group"') == 1, "one place, which was drawn anew"
    assert "1 ran" in followed and ">rate<" in followed
    assert "1 ran" in run and ">ran</span>" in steps and ">0.5<" in metrics and ">p#1<" in runs
    assert ">metrics.rate</th>" in compared and ">p#1<" in compared
