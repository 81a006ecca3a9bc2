"""`DatabricksStep` in a Databricks workspace: the article's pipeline, reused and explained, its metrics kept, its run's page shown."""

import databricks_workspace
import pytest
from stepwell import ComputeTarget, DatabricksCompute, DatabricksStep, PipelineData, PipelineParameter
from stepwell.blocks.compute.databricks import databricks_compute, remote_job
from stepwell.blocks.compute.databricks.connection import StoppableClock
from stepwell.blocks.compute.job import Finished
from stepwell.flows.runs.artifacts import markdown
from stepwell.model.records import Exit


@pytest.fixture
def dbx(tmp_path, monkeypatch):
    """A workspace that is served, and known from outside of the code; pauses pass at once."""

    class Clock(StoppableClock):
        def wait(self, seconds):
            super().wait(0)

    monkeypatch.setattr(remote_job, "StoppableClock", Clock)
    (tmp_path / "bricks/dbfs").mkdir(parents=True)
    workspace = databricks_workspace.Workspace(tmp_path / "bricks")
    with databricks_workspace.serving(workspace) as url:
        monkeypatch.setenv("DATABRICKS_HOST", url)
        monkeypatch.delenv("STEPWELL_V1_DATABRICKS", raising=False)
        yield workspace


@pytest.fixture
def target(project, dbx):
    config = DatabricksCompute.attach_configuration("group", "bricks", access_token=databricks_workspace.TOKEN)
    return ComputeTarget.attach(project.workspace, "bricks", config)


def test_the_articles_step_runs_there_is_reused_and_runs_again_when_its_notebook_changes(project, dbx, target):
    ran = []

    def notebook(task):
        given = task["base_parameters"]
        ran.append(given["myparam"])
        text = dbx.dbfs(given["step_1_input"]).read_text()
        dbx.dbfs(given["step_1_output"]).mkdir(parents=True)
        (dbx.dbfs(given["step_1_output"]) / "part-0.csv").write_text(text.upper())

    dbx.on_notebook = notebook
    dbx.notebooks["/Users/me/demo"] = {"content": "# first"}
    step_1_input, step_1_output = PipelineData("step_1_input"), PipelineData("step_1_output")
    first = project.step(
        "make.py", "open(args[0], 'w').write('made')", arguments=[step_1_input], outputs=[step_1_input]
    )

    def pipeline():
        step = DatabricksStep(
            name="databricksmodule", inputs=[step_1_input], outputs=[step_1_output], num_workers=1,
            notebook_path="/Users/me/demo", notebook_params={"myparam": PipelineParameter("mine", "testparam")},
            run_name="demo run name", compute_target=target,
        )  # fmt: skip
        return project.pipeline(first, step)

    summary = project.run(pipeline())
    assert [(step.happened, step.error) for step in summary.steps] == [("ran", ""), ("ran", "")]
    assert summary.steps[1].ran_on["Databricks run"] == "https://dbx.example/#job/runs/1000"
    assert "- databricksmodule: [Databricks run](<https://dbx.example/#job/runs/1000>)" in markdown(summary)
    result = project.workspace.path_of(pipeline()()["databricksmodule"]["step_1_output"])
    assert (result / "part-0.csv").read_text() == "MADE" and ran == ["testparam"]  # the second one was reused
    dbx.notebooks["/Users/me/demo"] = {"content": "# second"}
    summary = project.run(pipeline())
    assert [step.happened for step in summary.steps] == ["reused", "ran"] and len(ran) == 2
    assert "content of /Users/me/demo" in str(summary.steps[1].why)
    assert databricks_workspace.TOKEN not in "".join(
        path.read_text(errors="replace") for path in project.workspace.store.root.rglob("*.json*") if path.is_file()
    )


def test_a_scripts_metrics_and_files_are_the_steps(project, dbx, target):
    project.write(
        "score.py",
        "from stepwell import Run\nRun.get_context().log('rows', 7)\nopen('outputs/a.txt', 'w').write('kept')",
    )
    step = DatabricksStep(
        "score", python_script_name="score.py", source_directory=project.source, compute_target="bricks"
    )
    summary = project.run(project.pipeline(step))
    assert [(one.happened, one.error) for one in summary.steps] == [("ran", "")]
    (record,) = project.records()
    assert '"rows"' in record.read_text()


def test_a_failure_has_the_jobs_own_error_and_page_and_a_retry_is_another_job(project, dbx, target):
    dbx.notebooks["/demo"] = {"content": "1 / 0"}
    dbx.on_notebook = lambda task: 1 / 0
    step = DatabricksStep("demo", notebook_path="/demo", compute_target="bricks", retries=1)
    summary = project.run(project.pipeline(step))
    assert summary.status == "Failed" and "ZeroDivisionError: division by zero" in summary.steps[0].error
    assert summary.steps[0].ran_on["Databricks run"] == "https://dbx.example/#job/runs/1001" and len(dbx.submitted) == 2


def test_a_missing_notebook_is_named_before_anything_starts(project, dbx, target):
    step = DatabricksStep("demo", notebook_path="/Users/me/lost", compute_target="bricks")
    with pytest.raises(Exception, match="has no notebook '/Users/me/lost'"):
        project.pipeline(step).plan()
    assert dbx.submitted == []


def test_unmodified_code_runs_here_where_that_is_chosen_outside_of_it(project, dbx, target, monkeypatch):
    jobs = []

    def here(job, *_, folder=""):
        jobs.append(job.call.definition.driver.name)
        return Finished(Exit(0, 0.0), {})

    monkeypatch.setattr(databricks_compute, "run_on_spark", here)
    monkeypatch.setattr(
        "stepwell.flows.engine.environment_checks._check_driver", lambda *_: None
    )  # Spark may lack here
    project.write("demo.py", "# Databricks notebook source\nprint(1)")
    step = DatabricksStep("demo", notebook_path="demo", source_directory=project.source, compute_target="bricks")
    monkeypatch.setenv("STEPWELL_V1_DATABRICKS", "local")
    assert project.happened(project.pipeline(step)) == {"demo": "ran"}
    assert jobs == ["spark_notebook"] and dbx.requests == []


def test_a_target_that_is_local_runs_the_step_on_spark_of_this_machine(project):
    pytest.importorskip("pyspark")
    project.write("demo.py", "import sys\nopen(sys.argv[2], 'w').write(' '.join(sys.argv[:2]))")
    target, out = ComputeTarget.attach(project.workspace, "bricks", DatabricksCompute(local=True)), PipelineData("out")
    step = DatabricksStep(
        "demo", python_script_name="demo.py", source_directory=project.source, outputs=[out], compute_target=target,
    )  # fmt: skip
    summary = project.run(project.pipeline(step))
    assert [(one.happened, one.error) for one in summary.steps] == [("ran", "")]
    assert summary.steps[0].ran_on["spark"] == "local[*]"
