"""Examples with Spark run as they stand: the article's Databricks listings, and three engines in one pipeline."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import nbformat
import pytest
from nbconvert.preprocessors import ExecutePreprocessor
from stepwell import Workspace
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.summary import summarize
from waiting import PATIENCE

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Spark runs on Java, which is not there")


def test_the_articles_databricks_listings_run_with_the_sdks_own_imports(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "compat" / "src"))
    Workspace.create("article-v1", exist_ok=True).set_stand_ins(databricks="local")
    folder = shutil.copytree(ROOT / "examples" / "article_v1", tmp_path / "article")
    book = nbformat.read(folder / "databricks.ipynb", 4)
    ExecutePreprocessor(timeout=PATIENCE * 4).preprocess(book, {"metadata": {"path": str(folder)}})
    said = "".join(one["text"] for cell in book.cells for one in cell.get("outputs", []) if "text" in one)
    assert "compute not found" in said and "Succeeded" in said
    assert "{'most frequent': 'the'} {'notebook_exit': 'the'}\n['outputs/demo.ipynb']\n" in said


def test_a_script_spark_and_u_sql_share_a_pipeline_and_only_what_changed_runs(server, monkeypatch):
    spec = importlib.util.spec_from_file_location("spark_and_sql", ROOT / "examples/spark_and_sql/pipeline.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    def ran(**parameters):
        with client_settings():
            state = example.pipeline.flow(**parameters, return_state=True)
        summary = summarize(RunFolder(example.ws.store.run_folder(str(state.state_details.flow_run_id))))
        return {step.id: step.happened for step in summary.steps}

    assert ran(days=3, minimum=100) == {"orders.py": "ran", "totals": "ran", "best.usql": "ran"}
    assert ran(days=3, minimum=200) == {"orders.py": "reused", "totals": "reused", "best.usql": "ran"}
    best = example.ws.path_of(example.pipeline(days=3, minimum=200)["best.usql"]["best"]).read_text().splitlines()
    assert best[0] == '"region","product","total","place"' and len(best) > 1
