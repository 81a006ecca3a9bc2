"""Runs and their steps as anybody sees them later: logs, metrics, outputs, where reused results are from."""

from __future__ import annotations

import pytest
from stepwell import Experiment, PipelineData, PipelineParameter, PipelineRun
from stepwell.errors import DatastoreException, ExperimentExecutionException, UserErrorException
from stepwell.model.names import folder_name

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
    assert project.workspace.get_run(run.id[:9]).id == run.id  # up to seven digits are a run's number
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


def test_a_step_tells_what_v1s_runs_do(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = """
        from stepwell import Run
        run = Run.get_context()
        run.set_tags({"stage": "trial", "gone": 1})
        run.remove_tags(["gone"])
        run.add_properties({"owner": "me"})
        open('outputs/a.txt', 'w').write('a')
        print('said')
    """
    made = project.pipeline(project.step("tells.py", body))
    run = project.workspace.get_run(project.run(made).run_id)
    (step,) = run.get_children(recursive=True, tags={"stage": "trial"}, type="azureml.StepRun", status="Completed")
    assert (step.type, step.parent.id, step.number) == ("azureml.StepRun", run.id, run.number)
    assert step.experiment.name == run.experiment_name and step.get_tags() == step.tags == {"stage": "trial"}
    assert step.get_properties() == {"owner": "me"} and list(step.get_children()) == []
    assert list(run.get_children(tags="gone")) == [] == list(run.get_children(type="azureml.PipelineRun"))
    assert [one.name for one in run.get_children(properties={"owner": "me"})] == ["tells.py"]
    details = step.get_details_with_logs()
    assert details["runId"] == step.id and details["logFiles"]["logs/stdout.txt"] == "said\n"
    assert sorted(step.get_details()["logFiles"]) == sorted(details["logFiles"])
    assert any(open(path).read() == "said\n" for path in step.get_all_logs("logs-here"))
    step.download_files("outputs/", "there", append_prefix=False)
    assert (tmp_path / "there" / "a.txt").read_text() == "a"
    assert step.get_portal_url() == run.get_portal_url()


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
    assert (
        written == {f"in/{folder_name(name)}/out/f": name for name in ("x/a", "x_a", "..")}
        and "in/x_a/out/f" in written
    )


def test_a_run_that_there_is_not_has_no_status(project):
    for wrong in ("nope", "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(ExperimentExecutionException, match=f"There is no run '{wrong}'"):
            PipelineRun(Experiment(project.workspace, "trial"), wrong).get_status()


def test_details_have_parameters_in_their_own_types_and_steps_in_order(project):
    kinds = {"whole": 3, "share": 0.5, "flag": True, "word": "5", "sizes": [1, 2], "token": "hunter2", "none": None}
    values = [PipelineParameter(name, value) for name, value in kinds.items()]
    steps = [project.step(f"{name}.py", "") for name in "ab"]
    last = project.step("last.py", "", params={value.name: value for value in values})
    steps[1].run_after(last)
    run = project.workspace.get_run(project.run(project.pipeline(steps[1], steps[0], last)).run_id)
    details = run.get_details()
    assert details["parameters"] == {**kinds, "token": "***"}
    assert list(details["steps"]) == ["a.py", "last.py", "b.py"]


def test_outputs_of_steps_with_any_names_have_folders_of_their_own_below_the_target(project, tmp_path):
    names = ["eval/test", "eval_test", "..", ".", "a\nb", "x" * 250, "same", "same"]
    outs = [PipelineData(f"out{number}") for number in range(len(names))]
    steps = [
        project.step("a.py", "open(args[0], 'w').write(args[0])", name=name, arguments=[out], outputs=[out])
        for name, out in zip(names, outs, strict=True)
    ]
    run = project.workspace.get_run(project.run(project.pipeline(*steps)).run_id)
    assert run.download(tmp_path / "deep" / "target") == len(names)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]
    files = [path for path in (tmp_path / "deep" / "target").rglob("*") if path.is_file()]
    assert len(files) == len({path.parent for path in files}) == len(names)
