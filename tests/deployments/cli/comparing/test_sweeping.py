"""`stepwell run --sweep`: a run for each combination, with what they have in common run once."""

from __future__ import annotations

import json
import signal
import textwrap

import pytest
from typer.testing import CliRunner

from stepwell.deployments.cli.main import app


@pytest.fixture
def pipeline_file(project):
    project.script("load.py", "open(args[0], 'w').write('data')")
    project.script(
        "train.py",
        """
        from stepwell import Run
        rate = float(args[1])
        Run.get_context().log("score", rate * 10)
        sys.exit(rate == 3)
        """,
    )
    text = f"""
        from stepwell import Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace
        data, source = PipelineData("data"), {str(project.source)!r}
        load = PythonScriptStep("load.py", arguments=[data], outputs=[data], source_directory=source)
        rate = PipelineParameter("rate", 1.0)
        train = PythonScriptStep("train.py", arguments=[data, rate], inputs=[data], source_directory=source)
        pipeline = Pipeline(Workspace.get({project.workspace.name!r}), [train], name="swept")
    """
    file = project.folder / "pipeline.py"
    file.write_text(textwrap.dedent(text))
    return file


@pytest.fixture(autouse=True)
def own_signals():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_sweep_runs_every_combination_and_shows_them_as_a_table(project, pipeline_file):
    (project.folder / "params.yaml").write_text("rate: [1, 2, 3]\n")
    swept = CliRunner().invoke(app, ["run", str(pipeline_file), "-p", f"@{project.folder / 'params.yaml'}", "--sweep"])
    assert swept.exit_code == 1, swept.output  # the third fails, and keeps no other from running
    assert project.executions == {"load.py": 1, "train.py": 3}
    lines = swept.stdout.splitlines()
    assert lines[0].split() == ["run", "status", "seconds", "rate", "score"]
    assert [(line.split()[1], line.split()[3]) for line in lines[1:4]] == [
        ("Finished", "1"),
        ("Finished", "2"),
        ("Failed", "3"),
    ]
    tag = lines[4].rpartition(" ")[2]
    again = CliRunner().invoke(
        app, ["compare", "--tag", tag, "--json", "--sort", "score", "-w", project.workspace.name]
    )
    assert [row["params.rate"] for row in json.loads(again.stdout)] == [3.0, 2.0, 1.0]


def test_a_value_that_no_run_can_have_is_said_before_any_runs(project, pipeline_file):
    swept = CliRunner().invoke(app, ["run", str(pipeline_file), "-p", "rate=1,many", "--sweep"])
    assert swept.exit_code and "must be of type float" in str(swept.exception)
    assert not project.executions
