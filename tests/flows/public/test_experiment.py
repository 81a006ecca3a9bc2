"""Submitted runs live in processes of their own: waited for, found, and cancelled from anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import PATIENCE, eventually, has_ended

from stepwell import Experiment, PipelineParameter, Run, ScriptRunConfig, Workspace
from stepwell.blocks.store.maintenance import collect
from stepwell.errors import ActivityFailedException, ComputeTargetException, DatastoreException, UserErrorException
from stepwell.flows.public.interactive_run import ScriptRun
from stepwell.flows.runs import launch

SOURCE = Path(__file__).resolve().parents[3] / "src"
SLEEP = "import os, time\nopen(args[0], 'w').write(str(os.getpid()))\ntime.sleep(900)"


@pytest.fixture
def sleeper(project):
    """Return a pipeline that sleeps for a minute and writes its process id, and the file where it does."""
    place = project.folder / "pid"
    last = project.step("last.py", "")
    first = project.step("sleep.py", SLEEP, arguments=[place])
    last.run_after(first)
    return project.pipeline(first, last), place


def is_written(place):
    return place.exists() and place.read_text()


def test_a_submitted_run_runs_in_another_process_and_can_be_waited_for(project, chain, capsys):
    pipeline, _ = chain("a.py", "b.py")
    experiment = Experiment(project.workspace, "trial")
    run = experiment.submit(pipeline, tags={"team": "blue"})
    assert run.id in capsys.readouterr().out
    assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Finished"
    assert (run.get_status(), run.status, run.tags) == ("Finished", "Completed", {"team": "blue"})
    assert [step.name for step in run.get_steps()] == ["b.py", "a.py"]
    assert [found.id for found in experiment.get_runs(tags={"team": "blue"})] == [run.id]
    assert list(experiment.get_runs(tags={"team": "red"})) == []
    again = experiment.submit(pipeline)
    assert again.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Finished"
    assert all(step.reused for step in again.get_steps()) and project.executions == {"a.py": 1, "b.py": 1}
    assert {step.id for step in again.get_steps()} == {step.id for step in run.get_steps()}


def test_a_submitted_run_has_the_source_and_the_values_of_its_submission(project):
    rate = PipelineParameter("rate", 1)
    go = project.folder / "go"
    body = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.02)\nprint('old', *args)"
    first, second = (
        project.step("a.py", body, arguments=[rate]),
        project.step("b.py", "print('old', *args)", arguments=[rate]),
    )
    second.run_after(first)
    run = Experiment(project.workspace, "trial").submit(project.pipeline(second), pipeline_parameters={"rate": 7})
    project.script("b.py", "print('new')")
    go.touch()
    assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Finished"
    assert run.find_step_run("b.py")[0].get_stdout_log() == "old 7\n"


def test_wrong_parameters_raise_before_a_run_is_made(project, chain):
    pipeline, _ = chain("a.py")
    with pytest.raises(UserErrorException, match="no parameter 'x'"):
        Experiment(project.workspace, "trial").submit(pipeline, pipeline_parameters={"x": 1})
    with pytest.raises(UserErrorException, match="can't name an experiment"):
        Experiment(project.workspace, "a b")
    assert project.workspace.experiments == {}


def test_what_validate_lists_is_refused_before_a_run_is_made(project):
    nowhere = project.workspace.get_default_datastore().path("nowhere", "raw")
    for step, error, words in (
        (project.step("a.py", "", arguments=[nowhere], inputs=[nowhere]), DatastoreException, "There is no data at a path"),
        (project.step("a.py", compute_target="moon"), ComputeTargetException, "ComputeTargetNotFound"),
        (project.step("b.py", "import no_such_module"), UserErrorException, "is not installed: no_such_module"),
        (project.step("a.py", resources={"gpus": 1}), ComputeTargetException, "has no GPUs"),
    ):  # fmt: skip
        pipeline = project.pipeline(step)
        (listed,) = pipeline.validate()
        with pytest.raises(error, match=words) as caught:
            Experiment(project.workspace, "trial").submit(pipeline)
        assert caught.value.title == listed
    assert project.workspace.experiments == {} and project.workspace.store.run_folders() == []


def test_a_failed_run_raises_for_who_waits_unless_told_not_to(project):
    run = Experiment(project.workspace, "trial").submit(project.pipeline(project.step("a.py", "sys.exit(9)")))
    assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE, raise_on_error=False) == "Failed"
    with pytest.raises(ActivityFailedException, match="failed with exit code 9"):
        run.wait_for_completion(show_output=False)


def test_a_time_out_of_waiting_leaves_the_run_alone_and_cancel_ends_it(project, sleeper):
    pipeline, place = sleeper
    run = Experiment(project.workspace, "trial").submit(pipeline)
    eventually(lambda: is_written(place))
    assert run.wait_for_completion(show_output=False, timeout_seconds=0.1) == "Running"
    run.cancel()
    assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Canceled"
    eventually(lambda: has_ended(int(place.read_text())))
    assert {step.name: step.get_status() for step in run.get_steps()} == {"sleep.py": "Canceled", "last.py": "Canceled"}
    assert project.records() == [] and project.executions == {"sleep.py": 1}
    run.cancel()
    assert run.get_status() == "Canceled"


SUBMIT = """
import sys
from stepwell import Experiment, Pipeline, PythonScriptStep, Workspace
ws = Workspace.get(sys.argv[1])
step = PythonScriptStep("a.py", source_directory=sys.argv[2])
print(Experiment(ws, "far").submit(Pipeline(ws, [step])).id, flush=True)
import time; time.sleep(900)
"""


def test_a_run_outlives_its_submitter_and_is_found_from_another_process(project):
    go = project.folder / "go"
    project.script(
        "a.py", f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.02)\nprint('done')"
    )
    command = [sys.executable, "-c", SUBMIT, project.workspace.name, str(project.source)]
    submitter = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert submitter.stdout is not None
    lines = [submitter.stdout.readline() for _ in range(3)]
    os.killpg(submitter.pid, signal.SIGKILL)
    submitter.communicate()
    go.touch()
    run = Workspace.get(project.workspace.name).get_run(lines[-1].strip())
    assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Finished"
    assert run.find_step_run("a.py")[0].get_stdout_log() == "done\n"
    assert list(Workspace.get(project.workspace.name).experiments) == ["far"]


def test_a_run_of_another_pid_namespace_is_seen_collected_around_and_cancelled(project, sleeper, new_pid_namespace):
    """As of a container that shares this home."""
    _, place = sleeper
    project.script("a.py", SLEEP.replace("args[0]", repr(str(place))))
    command = [*new_pid_namespace, sys.executable, "-c", SUBMIT, project.workspace.name, str(project.source)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as submitter:
        try:
            assert submitter.stdout is not None
            run_id = [submitter.stdout.readline() for _ in range(3)][-1].strip()
            eventually(lambda: is_written(place))
            work = project.workspace.store.root / "work"
            scratch = set(os.listdir(work))
            collect(project.workspace.store, days=0)
            run = Workspace.get(project.workspace.name).get_run(run_id)
            assert scratch and scratch == set(os.listdir(work)) and run.get_status() == "Running"
            run.cancel()
            assert run.wait_for_completion(show_output=False, timeout_seconds=PATIENCE) == "Canceled"
            eventually(lambda: os.listdir(work) == [])
        finally:
            submitter.kill()


def test_a_run_whose_process_was_killed_has_failed_and_leaves_no_process(project, sleeper, monkeypatch):
    monkeypatch.setattr(launch, "subprocess", subprocess)  # its own command line tells which process it is
    pipeline, place = sleeper
    run = Experiment(project.workspace, "trial").submit(pipeline)
    eventually(lambda: is_written(place))
    script = psutil.Process(int(place.read_text()))
    (runner,) = [p for p in psutil.process_iter(["cmdline"]) if any(run.id in word for word in p.info["cmdline"] or ())]
    runner.kill()
    eventually(lambda: run.get_status() == "Failed")
    with pytest.raises(ActivityFailedException, match="The run's process is gone"):
        run.wait_for_completion(show_output=False)
    eventually(lambda: has_ended(script.pid))


@pytest.mark.parametrize(
    ("config", "more", "words"),
    [("pipeline", {"paramters": {"rate": 2}}, "Experiment.submit takes no argument 'paramters'"),
     ("pipeline", {"tags": "blue"}, "`tags` of Experiment.submit must be a dict, not 'blue'"),
     ("step", {}, "`config` of Experiment.submit must be a Pipeline, a ScriptRunConfig, a HyperDriveConfig, a PublishedPipeline or a PipelineEndpoint, not a PythonScriptStep"),
     (None, {}, "`config` of Experiment.submit must be a Pipeline")],
)  # fmt: skip
def test_wrong_calls_are_refused_before_anything_runs(project, chain, config, more, words):
    pipeline, (step,) = chain("a.py")
    with pytest.raises(UserErrorException) as caught:
        Experiment(project.workspace, "trial").submit({"pipeline": pipeline, "step": step}.get(config), **more)
    assert words in caught.value.title


def test_an_experiment_has_labels_and_is_archived(workspace):
    experiment = Experiment(workspace, "labelled")
    with experiment.start_logging():
        pass
    experiment.tag("owner", "me")
    experiment.set_tags({"n": 1, "gone": True})
    experiment.remove_tags(["gone"])
    assert Experiment(workspace, "labelled").tags == {"owner": "me", "n": "1"}
    Experiment(workspace, "empty").tag("x")
    names = lambda **more: [one.name for one in Experiment.list(workspace, **more)]
    assert names() == ["labelled", "empty"] and names(tags={"n": 1}) == ["labelled"] and names(tags="x") == ["empty"]
    experiment.archive()
    assert experiment.archived_time and names() == ["empty"] and names(view_type="ArchivedOnly") == ["labelled"]
    experiment.reactivate()
    assert experiment.archived_time is None and names(experiment_name="labelled") == ["labelled"]
    with pytest.raises(UserErrorException, match="has runs"):
        Experiment.delete(workspace, experiment.id)
    Experiment.delete(workspace, Experiment(workspace, "empty").id)
    assert names(view_type="All") == ["labelled"]
    with pytest.raises(UserErrorException, match="no experiment"):
        Experiment.delete(workspace, "nothing")


def test_a_script_is_submitted_without_a_pipeline(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = """
        from stepwell import Run
        run = Run.get_context()
        run.log("rate", float(args[1]))
        run.tag("by", "script")
        open("outputs/m.pkl", "w").write("model")
        print("said")
    """
    project.script("train.py", body)
    parent = Experiment(project.workspace, "scripts").start_logging()
    config = ScriptRunConfig(str(project.source), "train.py", ["--rate", 0.5], compute_target="local")
    run = parent.submit_child(config, tags={"n": 1})
    parent.complete()
    assert run.wait_for_completion(show_output=False)["status"] == "Completed"
    found = Run.get(project.workspace, run.id)
    for one in (run, found):
        assert isinstance(one, ScriptRun) and one.parent.id == parent.id and one.type == "azureml.scriptrun"
        assert one.get_metrics() == {"rate": 0.5} and one.tags == {"by": "script", "n": "1"}
        assert one.get_file_names() == ["outputs/m.pkl"] and list(one.get_children()) == []
    assert found.get_details_with_logs()["logFiles"]["logs/stdout.txt"] == "said\n" and found.get_all_logs("logs")
    assert found.register_model("m", "outputs/m.pkl").run_id == run.id
    found.download_file("outputs/m.pkl", "copy.pkl")
    assert Path("copy.pkl").read_text() == "model"
    command = ScriptRunConfig(project.source, command=["python", "train.py", "--rate", "2"])
    again = Experiment(project.workspace, "scripts").submit(command)
    assert again.wait_for_completion()["status"] == "Completed" and again.get_metrics() == {"rate": 2}


def test_an_estimator_is_submitted_with_the_data_among_its_arguments(project: Project) -> None:
    from stepwell import DataReference, Estimator

    store = project.workspace.get_default_datastore()
    (project.folder / "a.txt").write_text("seven")
    store.upload_files([str(project.folder / "a.txt")], target_path="in")
    body = "from stepwell import Run; Run.get_context().log('found', open(f'{args[1]}/a.txt').read())"
    estimator = Estimator(
        project.source,
        entry_script=project.script("train.py", body),
        script_params={"--data": DataReference(store, "texts", path_on_datastore="in"), "--quick": ""},
    )
    run = Experiment(project.workspace, "estimators").submit(estimator)
    assert run.wait_for_completion()["status"] == "Completed" and run.get_metrics() == {"found": "seven"}
