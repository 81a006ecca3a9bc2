"""The article's listings that attach what Azure has, with the SDK's own imports: run twice, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

BOOK = Path(__file__).parents[2] / "examples" / "article_v1" / "pipeline.ipynb"


def listing(words: str) -> str:
    """Return the code of the notebook's cell that has these words."""
    return next(text for cell in json.loads(BOOK.read_text())["cells"] if words in (text := "".join(cell["source"])))


def test_data_lake_analytics_is_attached_once_and_found_then(workspace, capsys):
    from azureml.core.compute import AdlaCompute
    from azureml.pipeline.steps import AdlaStep

    names = {"ws": workspace}
    exec(listing("Attach ADLA"), names)
    told = capsys.readouterr().out
    assert told.startswith("compute not found\nadla_compute_name adla-compute\nadla_resource_id house\n")
    assert told.endswith('Provisioning operation finished, operation "Succeeded"\n')
    exec(listing("Attach ADLA"), names)
    assert capsys.readouterr().out == "Compute target already exists\n"
    assert isinstance(names["adla_compute"], AdlaCompute) and names["adla_compute"].account_name == "lake"
    assert AdlaStep("a.usql", compute_target=names["adla_compute"]).compute_target == "adla-compute"
