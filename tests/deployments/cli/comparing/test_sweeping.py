"""`stepwell run --sweep`: a run for each combination, with what they have in common run once."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading

import pytest
from typer.testing import CliRunner
from waiting import eventually

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


def test_runs_of_a_sweep_are_at_work_at_the_same_time_and_share_what_they_have_in_common(project, pipeline_file):
    meet = """
        import os, time
        rate, folder = args[1], FOLDER
        open(os.path.join(folder, "rate" + rate), "w").close()
        until = time.monotonic() + 300
        while len([n for n in os.listdir(folder) if n.startswith("rate")]) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        sys.exit(len([n for n in os.listdir(folder) if n.startswith("rate")]) < 2)
    """
    project.script("train.py", textwrap.dedent(meet).replace("FOLDER", repr(str(project.folder))))
    swept = CliRunner().invoke(app, ["run", str(pipeline_file), "-p", "rate=1,2,3", "--sweep", "--at-once", "2"])
    assert swept.exit_code == 0, swept.output
    assert project.executions == {"load.py": 1, "train.py": 3}
    assert [line.split()[1] for line in swept.stdout.splitlines()[1:4]] == ["Finished"] * 3


def test_runs_side_by_side_are_reused_one_by_one_and_say_whose_lines_are_shown(project, pipeline_file):
    project.script("train.py", "print('rate', args[1], flush=True)")
    for rates, count in (("1,2", 2), ("1,2,4", 3)):
        words = ["-p", f"rate={rates}", "--sweep", "--logs", "--at-once", "2"]
        swept = CliRunner().invoke(app, ["run", str(pipeline_file), *words])
        assert swept.exit_code == 0, swept.output
        assert project.executions == {"load.py": 1, "train.py": count}
    assert "swept#5 | train.py | rate 4.0" in swept.stderr and "Run 3 of 3: rate=4.0" in swept.stderr


def test_an_interrupted_sweep_cancels_what_is_at_work_and_begins_no_other(project, pipeline_file):
    body = f"import os, time\nopen(os.path.join({str(project.folder)!r}, 'began' + args[1]), 'w').close()\ntime.sleep(600)\n"
    project.script("train.py", body)

    def interrupt():
        eventually(lambda: all((project.folder / f"began{rate}.0").exists() for rate in (1, 2)))
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=interrupt, daemon=True)
    watching.start()
    swept = CliRunner().invoke(app, ["run", str(pipeline_file), "-p", "rate=1,2,3,4", "--sweep", "--at-once", "2"])
    watching.join()
    assert swept.exit_code == 130, swept.output
    assert [line.split()[1] for line in swept.stdout.splitlines()[1:3]] == ["Canceled"] * 2
    assert project.executions == {"load.py": 1, "train.py": 2}


def test_how_many_at_once_is_no_word_of_a_single_run(project, pipeline_file):
    done = CliRunner().invoke(app, ["run", str(pipeline_file), "--at-once", "2"])
    assert "about the runs of a sweep" in str(done.exception) and not project.executions
