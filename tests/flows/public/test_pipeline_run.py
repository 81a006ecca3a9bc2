"""Runs and their steps as anybody sees them later: logs, metrics, outputs, where reused results are from."""

from __future__ import annotations

import pytest
from stepwell import PipelineData
from stepwell.errors import DatastoreException, ExperimentExecutionException, UserErrorException

BODY = """
    import os
    from stepwell import Run
    run = Run.get_context()
    run.log('accuracy', 0.5)
    run.parent.log('best', 7)
    run.parent.tag('stage', 'trial')
    print('to stdout')
    print('to stderr', file=sys.stderr)
    os.makedirs(args[0] + '/deep')
    open(args[0] + '/deep/file', 'w').write('content')
    open('outputs/plot.txt', 'w').write('plot')
"""


@pytest.fixture
def run(project):
    """Return a run of a pipeline of one step."""
    out = PipelineData("out", pipeline_output_name="final")
    project.made = project.pipeline(project.step("a.py", BODY, arguments=[out], outputs=[out]))
    return project.workspace.get_run(project.run(project.made).run_id)


def test_a_run_is_found_by_the_beginning_of_its_id(project, run):
    assert project.workspace.get_run(run.id[:6]).id == run.id
    for wrong in ("nope", ""):
        with pytest.raises(ExperimentExecutionException, match="There is no run|Several runs"):
            project.workspace.get_run(wrong)


def test_a_steps_logs_metrics_and_files_are_kept(run, tmp_path):
    (step,) = run.get_steps()
    assert (step.get_stdout_log(), step.get_stderr_log()) == ("to stdout\n", "to stderr\n")
    assert set(step.get_job_log().splitlines()) == {"to stdout", "to stderr"}
    assert step.get_metrics() == {"accuracy": 0.5} and step.get_metrics("other") == {}
    assert run.get_metrics() == {"best": 7} and run.get_metrics(recursive=True)["a.py"] == {"accuracy": 0.5}
    assert run.tags == {"stage": "trial"}
    step.download_file("outputs/plot.txt", str(tmp_path / "here.txt"))
    assert (tmp_path / "here.txt").read_text() == "plot"
    with pytest.raises(UserErrorException, match="left no file 'nothing'"):
        step.download_file("nothing")


def test_a_reused_step_shows_what_the_first_run_left_and_whose_it_is(project, run):
    (first,) = run.get_steps()
    later = project.workspace.get_run(project.run(project.made).run_id)
    (step,) = later.get_steps()
    assert step.reused and not first.reused
    assert step.properties == {"azureml.reusedrunid": first.id, "azureml.reusedpipelinerunid": run.id}
    assert (step.get_stdout_log(), step.get_metrics()) == ("to stdout\n", {"accuracy": 0.5})
    assert step.get_file_names() == first.get_file_names() == ["outputs/plot.txt"]
    assert later.get_metrics() == {"best": 7}
    assert step.get_output_data("out").artifact == first.get_output_data("out").artifact
    assert [found.id for found in project.workspace.experiments["pipeline"].get_runs()] == [later.id, run.id]


def test_outputs_can_be_copied_out_and_the_copies_are_independent(run, tmp_path):
    data = run.get_pipeline_output("final")
    assert data.download(tmp_path / "v1") == 1
    assert (tmp_path / "v1" / data.path_on_datastore / "deep" / "file").read_text() == "content"
    assert run.download(tmp_path / "all") == 1
    copy = tmp_path / "all" / "a.py" / "out" / "deep" / "file"
    copy.write_text("changed")
    assert (data.local_path / "deep" / "file").read_text() == "content"
    assert run.download(tmp_path / "all") == 0 and copy.read_text() == "changed"
    assert run.download(tmp_path / "all", overwrite=True) == 1 and copy.read_text() == "content"
    with pytest.raises(UserErrorException, match="The pipeline has no output 'other'"):
        run.get_pipeline_output("other")


def test_a_damaged_output_is_not_handed_out(run, tmp_path):
    data = run.get_pipeline_output("final")
    file = data.local_path / "deep" / "file"
    file.chmod(0o644)
    file.write_text("forged!")
    with pytest.raises(DatastoreException, match="is gone or was damaged"):
        data.download(tmp_path)


def test_details_tell_what_happened_to_each_step(run):
    details = run.get_details()
    assert details["runId"] == run.id and details["status"] == "Completed" and details["steps"] == {"a.py": "ran"}
    assert details["startTimeUtc"] < details["endTimeUtc"]
    assert run.id in run.get_portal_url()
    assert run.find_step_run("a.py")[0].why and run.find_step_run("b.py") == []


def test_outputs_of_steps_with_names_alike_are_copied_apart(project, tmp_path):
    steps = []
    for name in ("x/a", "x_a", ".."):
        out = PipelineData("out")
        body = f"import os\nos.makedirs(args[-1])\nopen(args[-1] + '/f', 'w').write({name!r})\n"
        steps.append(project.step(f"s{len(steps)}.py", body, name=name, arguments=[out], outputs=[out]))
    run = project.workspace.get_run(project.run(project.pipeline(*steps)).run_id)
    assert run.download(tmp_path / "all" / "in") == 3
    written = {str(p.relative_to(tmp_path / "all")): p.read_text() for p in (tmp_path / "all").rglob("f")}
    assert written == {"in/x_a/out/f": "x_a", "in/x_a_/out/f": "x/a", "in/.._/out/f": ".."}
