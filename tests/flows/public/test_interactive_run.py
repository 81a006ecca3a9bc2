"""Interactive runs: logged to while a program works, ended by it, and found, shown and asked by anybody."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from forked import program
from typer.testing import CliRunner

from stepwell import Experiment, Model, PipelineRun, Run, Workspace
from stepwell.blocks.server.documents import client
from stepwell.deployments.cli.main import app
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.errors import (
    ActivityFailedException,
    ExperimentExecutionException,
    ModelPathNotFoundException,
    StepwellError,
)


def in_prefect(run):
    with client() as api:
        return api.read_flow_run(UUID(run.id)).state.type.value


def test_what_is_logged_is_found_by_others_and_shown(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = Experiment(workspace, "try")
    run = experiment.start_logging(outputs="outputs", snapshot_directory=".", display_name="My run")
    assert isinstance(run, Run) and run.status == "Running" and in_prefect(run) == "RUNNING"
    with pytest.raises(ExperimentExecutionException, match="until this program ends it"):
        run.wait_for_completion()
    run.log("rate", 0.5)
    for value in (1, 2, 3):
        run.log("loss", value)
    run.log_list("list", [1, 2])
    run.log_table("table", {"a": [1], "b": [2]})
    (tmp_path / "plot.png").write_bytes(b"picture")
    run.log_image("plot", path="plot.png")
    run.tag("stage", "trial")
    run.set_tags({"a": 1, "gone": True})
    run.remove_tags(["gone", "never"])
    run.add_properties({"owner": "me"})
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.pkl").write_text("model")
    run.upload_file("extra/f.txt", "plot.png")
    run.complete()
    run.complete()
    assert (run.get_status(), run.status, in_prefect(run)) == ("Completed", "Completed", "COMPLETED")
    assert run.wait_for_completion(show_output=True)["status"] == "Completed"
    found = Workspace.get(workspace.name).get_run(run.id)
    assert type(found) is type(run) and isinstance(found, PipelineRun) and found.display_name == "My run"
    for one in (run, found, Run.get(workspace, run.id), Run(experiment, run.id), next(experiment.get_runs())):
        metrics = one.get_metrics()
        known = {"rate": 0.5, "loss": [1, 2, 3], "list": [1, 2], "table": {"a": [1], "b": [2]}}
        assert {name: metrics[name] for name in known} == known
        assert one.get_metrics("rate") == {"rate": 0.5}
        assert one.tags == {"stage": "trial", "a": "1"} == one.get_tags() and one.properties["owner"] == "me"
        assert one.get_file_names() == ["extra/f.txt", "outputs/model.pkl", "plot.png"]
    found.download_file("outputs/model.pkl", str(tmp_path / "copy.pkl"))
    assert (tmp_path / "copy.pkl").read_text() == "model"
    shown = CliRunner().invoke(app, ["show", run.id, "-w", workspace.name]).stdout
    assert (
        f"try#{run.number}  Finished\n" in shown
        and "rate = 0.5" in shown
        and "loss = 3" in shown
        and "plot.png" in shown
    )
    assert f"try#{run.number}" in CliRunner().invoke(app, ["runs", "-w", workspace.name]).stdout
    with client() as api:
        rows = api.request("POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run.id]}}}).json()
    table = next(row for row in rows if row["type"] == "table")
    assert {"step": "", "metric": "rate", "value": 0.5} in json.loads(table["data"])
    assert {row["type"] for row in rows} == {"table", "image", "markdown"}


def test_a_model_is_registered_from_what_was_uploaded(workspace, tmp_path):
    (tmp_path / "m.pkl").write_text("model")
    with Experiment(workspace, "try").start_logging() as run:
        run.upload_file("outputs/m.pkl", str(tmp_path / "m.pkl"))
        model = run.register_model("flats", "outputs/m.pkl", tags={"area": "north"})
        with pytest.raises(ModelPathNotFoundException, match="no file 'other'"):
            run.register_model("other")
    assert Model(workspace, "flats").run_id == run.id == model.run_id and model.tags == {"area": "north"}


def test_a_run_ends_as_its_block_or_its_maker_says(workspace):
    experiment = Experiment(workspace, "ends")
    with experiment.start_logging() as good:
        pass
    with pytest.raises(KeyError), experiment.start_logging() as bad:
        raise KeyError("no such thing")
    failed = experiment.start_logging()
    failed.fail("went wrong", "E7")
    failed.complete()
    stopped = experiment.start_logging()
    PipelineRun.get(workspace, stopped.id).cancel()
    stopped.complete()
    runs = [good, bad, failed, stopped]
    assert [run.get_status() for run in runs] == ["Completed", "Failed", "Failed", "Canceled"]
    assert [in_prefect(run) for run in runs] == ["COMPLETED", "FAILED", "FAILED", "CANCELLED"]
    assert failed.get_detailed_status() == {"status": "Failed", "details": "E7: went wrong"}
    with pytest.raises(ActivityFailedException, match="E7: went wrong"):
        failed.wait_for_completion()
    assert failed.wait_for_completion(raise_on_error=False)["status"] == "Failed"
    assert list(Run.list(experiment, status="Canceled"))[0].id == stopped.id


@pytest.mark.parametrize(
    ("end", "status"),
    [("", "Completed"), ("raise ValueError('boom')", "Failed"), ("import os; os._exit(0)", "Failed")],
)
def test_a_run_ends_with_its_process(workspace, end, status):
    code = (
        "from stepwell import Experiment, Workspace\n"
        f"run = Experiment(Workspace.get({workspace.name!r}), 'process').start_logging()\n"
        f"run.log('x', 1)\nprint(run.id, flush=True)\n{end}\n"
    )
    done = program(code)
    assert (done.returncode == 1) == ("boom" in done.stderr) == ("boom" in end)
    run = workspace.get_run(done.stdout.split()[-1])
    assert run.get_status() == status and run.get_metrics() == {"x": 1}
    if "boom" in end:
        assert run.get_detailed_status()["details"] == "ValueError: boom"


def test_children_are_runs_of_their_own(workspace):
    experiment = Experiment(workspace, "family")
    root = experiment.start_logging()
    one = root.child_run("one")
    two, three = root.create_children(tag_key="n", tag_values=[2, 3])
    below = one.child_run()
    for number, run in enumerate((one, two, three, below)):
        run.log("number", number)
        run.complete()
    assert root.create_children(count=0) == []
    root.complete()
    assert one.parent.id == root.id and root.parent is None and one.name.startswith("one#")
    assert [run.id for run in root.get_children()] == [three.id, two.id, one.id]
    assert {run.id for run in root.get_children(recursive=True)} == {one.id, two.id, three.id, below.id}
    assert [run.id for run in root.get_children(tags={"n": 2})] == [two.id]
    assert [run.id for run in root.get_children(tags="n", status="Completed")] == [three.id, two.id]
    assert list(root.get_children(type="azureml.StepRun")) == []
    assert [run.id for run in experiment.get_runs()] == [root.id]
    assert len(list(experiment.get_runs(include_children=True))) == 5
    assert two.get_metrics() == {"number": 1} and root.get_metrics() == {}


def test_a_pipeline_is_submitted_as_a_child_and_the_host_may_tag_it(project, chain):
    root = Experiment(project.workspace, "parent").start_logging()
    pipeline, _ = chain("a.py")
    child = root.submit_child(pipeline, tags={"kind": "child"})
    child.tag("later", 7)
    child.log("score", 0.25)
    child.wait_for_completion(show_output=False)
    root.complete()
    found = project.workspace.get_run(child.id)
    assert found.parent.id == root.id and [run.id for run in root.get_children()] == [child.id]
    assert found.tags == {"kind": "child", "later": "7"} and found.get_metrics() == {"score": 0.25}
    assert [step.name for step in found.get_children()] == ["a.py"] == [step.name for step in found.get_steps()]
    for refused in (found.complete, lambda: found.fail("x"), lambda: found.child_run("x")):
        with pytest.raises(NotImplementedError):
            refused()


def test_secrets_are_masked_and_asked_for_by_name(workspace, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "verysecrettoken")
    workspace.get_default_keyvault().set_secret("pw", "from the vault")
    with Experiment(workspace, "secret").start_logging() as run:
        run.log("text", "a verysecrettoken here")
        run.tag("t", "verysecrettoken")
        assert run.get_secret("pw") == "from the vault"
    assert run.get_metrics() == {"text": "a *** here"} and run.tags == {"t": "***"}
    assert "verysecrettoken" not in "".join(p.read_text() for p in Path(run.folder.path).rglob("*") if p.is_file())


def test_a_run_is_found_by_its_short_name_as_by_its_id(workspace):
    with Experiment(workspace, "short").start_logging() as run:
        run.log("n", 1)
    found = Run(Experiment(workspace, "short"), run.name)
    assert (found.id, found.status, found.get_metrics()) == (run.id, "Completed", {"n": 1})


def test_a_run_that_cannot_be_recorded_does_not_go_on_in_prefect(workspace, monkeypatch):
    seen = []

    def full(folder, facts):
        seen.append(folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "describe", full)
    with pytest.raises(StepwellError, match="can't be recorded"):
        Experiment(workspace, "full").start_logging()
    with client() as api:
        assert api.read_flow_run(UUID(seen[0].run_id)).state.type.value == "FAILED"
