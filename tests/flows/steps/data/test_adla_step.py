"""An AdlaStep in a pipeline: what it reads and writes, what its key has, and what its errors say."""

from __future__ import annotations

import pytest

from stepwell import (
    AdlaCompute,
    AdlaStep,
    ComputeTarget,
    DataReference,
    Dataset,
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


def test_a_wrong_script_fails_with_its_line_and_no_traceback(project, totals):
    failed = project.run(totals(SCRIPT.replace("SUM(Duration) AS", "SUM(Duratoin) AS"))).steps[0]
    assert failed.happened == "failed"
    assert "totals.usql, line 4, column 28: There is no column 'Duratoin'" in failed.error
    assert "Write Duration." in failed.error and "Traceback" not in failed.error


def test_an_output_folder_of_files_feeds_a_script_and_sql_is_kept(project, totals):
    script = SCRIPT.replace('"@@totals@@"', '"@@totals@@/part.csv"')
    out = OutputFileDatasetConfig("totals")
    usql = totals(script, out=out).steps[0]
    check = project.step(
        "check.py", "import os\nprint(open(os.path.join(args[0], 'part.csv')).read())", arguments=[out.as_input("t")]
    )
    summary = project.run(project.pipeline(usql, check))
    assert [step.happened for step in summary.steps] == ["ran", "ran"]
    folders = [*project.workspace.store.root.rglob("outputs/usql/totals.sql")]
    assert folders and "CREATE TEMP VIEW" in folders[0].read_text()


def test_a_step_is_a_task_in_a_flow_of_ones_own(project):
    from prefect import flow

    project.write(
        "n.usql",
        '@r = SELECT x + @@more@@ AS x FROM (VALUES (1)) AS t(x); OUTPUT @r TO "@@n@@" USING Outputters.Csv();',
    )
    step = AdlaStep(
        "n.usql",
        outputs=[PipelineData("n", datastore=project.workspace.get_default_datastore())],
        params={"more": 41},
        source_directory=project.source,
    )

    @flow
    def own():
        with project.workspace:
            return project.workspace.path_of(step()["n"]).read_text()

    assert own() == "42\n"


def test_a_dataset_is_read_by_its_files_and_no_table(project):
    data = project.workspace.get_default_datastore()
    project.write("in.csv", "1\n")
    data.upload_files([str(project.source / "in.csv")], target_path="d", overwrite=True, show_progress=False)
    files = Dataset.File.from_files((data, "d")).as_named_input("rows").as_mount()
    path = "@@rows@@"
    project.write(
        "n.usql",
        f'@r = EXTRACT x int FROM "{path}/{{*}}" USING Extractors.Csv(); OUTPUT @r TO "@@n@@" USING Outputters.Csv();',
    )
    step = AdlaStep("n.usql", inputs=[files], outputs=[PipelineData("n")], source_directory=project.source)
    summary = project.run(project.pipeline(step)).steps[0]
    assert summary.happened == "ran", summary.error
    table = Dataset.Tabular.from_delimited_files((data, "d/in.csv")).as_named_input("table")
    with pytest.raises(UserErrorException, match="The input 'table' is a table that code reads"):
        AdlaStep("n.usql", inputs=[table], source_directory=project.source)


def test_what_can_not_be_asked_is_refused():
    with pytest.raises(UserErrorException, match="`degree_of_parallelism` must be at least 1"):
        AdlaStep("a.usql", degree_of_parallelism=0)
    with pytest.raises(UserErrorException, match="The secret parameter 'key' can't stand in a U-SQL script"):
        AdlaStep("a.usql", params={"key": PipelineParameter("key", "xyzzy", secret=True)})
    with pytest.raises(UserErrorException, match="`script_name` must name a script"):
        AdlaStep("")


def test_a_file_of_the_source_directory_that_a_script_reads_counts_from_then_on(project):
    project.write(
        "n.usql", '@r = EXTRACT x int FROM "n.csv" USING Extractors.Csv(); OUTPUT @r TO "@@n@@" USING Outputters.Csv();'
    )
    project.write("n.csv", "1\n")
    pipeline = project.pipeline(AdlaStep("n.usql", outputs=[PipelineData("n")], source_directory=project.source))
    first = project.run(pipeline).steps[0]
    assert first.happened == "ran" and first.undeclared == ("n.csv",)
    assert project.happened(pipeline) == {"n.usql": "reused"}
    project.write("n.csv", "2\n")
    assert project.run(pipeline).steps[0].why == ("file read but not declared n.csv changed",)
