"""An AdlaStep in a pipeline: what it reads and writes, what its key has, and what its errors say."""

from __future__ import annotations

import pytest

from stepwell import (
    AdlaCompute,
    AdlaStep,
    ComputeTarget,
    DataReference,
    OutputFileDatasetConfig,
    PipelineData,
    PipelineParameter,
)
from stepwell.errors import UserErrorException

pytest.importorskip("duckdb")
pytest.importorskip("lark")

SCRIPT = """
DECLARE @least int = @@least@@;
@log = EXTRACT Region string, Duration int? FROM "@@log@@" USING Extractors.Csv(skipFirstNRows: 1);
@long = SELECT Region, SUM(Duration) AS Total FROM @log GROUP BY Region HAVING SUM(Duration) >= @least;
OUTPUT @long TO "@@totals@@" ORDER BY Region USING Outputters.Csv(outputHeader: true);
"""


@pytest.fixture
def totals(project):
    """Return a function that makes a pipeline of one AdlaStep, whose output is a file."""
    data = project.workspace.get_default_datastore()
    ComputeTarget.attach(
        project.workspace, "adla", AdlaCompute.attach_configuration(resource_group="group", account_name="account")
    )

    def made(script=SCRIPT, log="Region,Duration\nen,73\nde,\nen,10\nfr,5\n", out=None, **more):
        project.write("totals.usql", script)
        path = project.folder / "log.csv"
        path.write_text(log)
        data.upload_files([str(path)], target_path="in", overwrite=True, show_progress=False)
        step = AdlaStep(
            "totals.usql",
            inputs=[DataReference(datastore=data, data_reference_name="log", path_on_datastore="in/log.csv")],
            outputs=[out or PipelineData("totals", datastore=data)],
            params={"least": PipelineParameter("least", 6)},
            compute_target="adla",
            source_directory=project.source,
            **{"degree_of_parallelism": 2, "priority": 10, "runtime_version": "default", **more},
        )
        return project.pipeline(step)

    return made


def test_a_script_runs_is_reused_and_runs_again_with_a_reason(project, totals):
    pipeline = totals()
    first = project.run(pipeline).steps[0]
    assert first.happened == "ran"
    out = project.workspace.path_of(pipeline(least=6)["totals.usql"]["totals"])
    assert out.read_bytes() == b'"Region","Total"\r\n"en",83\r\n'
    again = project.run(totals(priority=1, runtime_version="other")).steps[0]
    assert again.happened == "reused"
    changed = project.run(pipeline, least=5).steps[0]
    assert (changed.happened, changed.why) == ("ran", ("parameter least: 6 → 5",))
    assert project.run(totals(SCRIPT.replace("SUM(Duration) AS", "MAX(Duration) AS"))).steps[0].why == (
        "script totals.usql changed",
    )
    assert project.run(totals(log="Region,Duration\nen,9\n")).steps[0].why[0].startswith("input log")
