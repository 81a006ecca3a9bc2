"""`stepwell report`: the report of a run from the command line and from Python."""

from __future__ import annotations

from typer.testing import CliRunner

from stepwell import PipelineRun
from stepwell.deployments.cli.main import app

BODY = """
    import os
    from stepwell import Run
    run = Run.get_context()
    run.log_row("classes <b>", label="a", count=3)
    print("<script>", os.environ.get("NOT_THERE"))
    sys.exit(len(args) - 1 and 3)
"""


def test_a_run_is_written_to_one_file_by_its_name_and_again_in_its_place(project, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = project.run(project.pipeline(project.step("a.py", BODY, arguments=["x"]), name="digits"))
    done = CliRunner().invoke(app, ["report", good.run_id, "-w", project.workspace.name])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == "digits-1.html"
    html = (tmp_path / "digits-1.html").read_text()
    assert "classes &lt;b&gt;" in html and "no earlier result of this step is known" in html and "a.py" in html
    assert "script a.py" in html and "python" in html  # what the result depends on

    bad = project.run(project.pipeline(project.step("a.py", arguments=["x", "y"]), name="digits"))
    run = PipelineRun.get(project.workspace, bad.run_id)
    assert run.report().name == "digits-2.html" and run.report().name == "digits-2.html"
    path = run.report(tmp_path / "deep" / "mine.html")
    assert "&lt;script&gt; None" in path.read_text() and "exit code 3" in path.read_text()
    refused = CliRunner().invoke(app, ["report", bad.run_id, "-w", project.workspace.name, "-o", str(project.log)])
    assert refused.exit_code == 1 and "no report" in str(refused.exception) and project.executions["a.py"] == 2
