"""What a notebook shows: tables of runs, steps, plans and metrics, and a run at work in one place until it ends."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from stepwell.blocks.server import connection
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.pages.notebook import (
    metrics_html,
    plan_html,
    rows_html,
    run_html,
    runs_html,
    step_html,
    steps_html,
)
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
        """
        import sys
        sys.modules["ipywidgets"] = None
        Experiment(workspace, "e").submit(pipeline).wait_for_completion()
        """,
    ]
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell("\n".join(line.strip() for line in one.splitlines())) for one in code]
    client = Followed(book, timeout=300, kernel_name="python3")
    client.execute()
    assert any("a.py | hello" in output.get("text", "") for output in book.cells[1].outputs)
    plan, followed, run, steps, metrics, runs, compared, plain = (
        "".join(output["data"].get("text/html", "") for output in cell.outputs if "data" in output)
        for cell in book.cells
    )
    assert "what would happen" in plan and "no earlier result" in plan
    for cell, shown, word in ((1, followed, "1 ran"), (7, plain, "1 reused")):
        assert shown.count('role="group"') == 1, "one place, which was drawn anew"
        assert word in shown and ">rate<" in shown
        assert not any("widget" in kind for one in book.cells[cell].outputs for kind in one.get("data", {})), "static"
    assert "1 ran" in run and ">ran</span>" in steps and ">0.5<" in metrics and ">p#1<" in runs
    assert ">metrics.rate</th>" in compared and ">p#1<" in compared
    assert client.views == [1], "a widget in the cell of the first run, and none where ipywidgets is lacking"
    pages, bars = client.values("HTMLModel"), client.values("IntProgressModel")
    assert "a.py" in pages[-1] and "p#1" in pages[0]
    assert bars == sorted(bars) and bars[-1] == 1, "the bar is full when all steps have ended"


class Followed(NotebookClient):
    """A client that notes what widgets show, and in which cells."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.views: list[int] = []
        self.models: dict[str, str] = {}
        self.shown: list[tuple[str, Any]] = []

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        content = msg["content"]
        if any("widget-view" in kind for kind in content.get("data", {})) and msg["msg_type"] == "display_data":
            self.views.append(cell_index)
        if msg["msg_type"] in ("comm_open", "comm_msg"):
            state = content["data"].get("state", {})
            self.models.setdefault(content["comm_id"], state.get("_model_name", ""))
            if "value" in state:
                self.shown.append((content["comm_id"], state["value"]))
        return super().process_message(msg, cell, cell_index)

    def values(self, model: str) -> list[Any]:
        """Return what widgets of a kind have shown, one after the other."""
        return [value for comm, value in self.shown if self.models[comm] == model and value != ""]


def test_a_run_is_shown_without_a_server(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(project.folder / "run-1")
    run.describe({"id": "run-1", "number": 1, "name": "p"})
    assert 'href="http' in run_html(run)
    started: list[str] = []
    monkeypatch.setattr(connection.process, "running", lambda *_: started.append("started"))
    monkeypatch.setattr(connection.process, "recorded", lambda: None)
    monkeypatch.setattr(connection, "_users_url", lambda: None)
    shown = run_html(run)
    assert started == [] and "href" not in shown and "stepwell open" in shown
