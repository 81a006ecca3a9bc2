"""A pipeline as its author uses it: a callable, a Prefect flow, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import httpx
import prefect_api
import pytest
from prefect import Flow, flow
from prefect.exceptions import ParameterTypeError
from stepwell import (
    Datastore,
    Experiment,
    LocalCompute,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    RunConfiguration,
)
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import ActivityFailedException, UserErrorException


@pytest.fixture
def trained(project):
    """Return a pipeline of one step that writes the parameter's value."""
    rate, model = PipelineParameter("rate", 10), PipelineData("model", pipeline_output_name="best")
    step = project.step("train.py", "open(args[1], 'w').write(args[0])", arguments=[rate, model], outputs=[model])
    return project.pipeline(step, name="training", description="Trains.")


def written(project, result):
    return project.workspace.store.tree_path(result["train.py"]["model"].digest).read_text()


def test_calling_a_pipeline_runs_it_and_returns_what_its_steps_wrote(project, trained):
    assert written(project, trained()) == "10"
    assert written(project, trained(rate=20)) == "20"
    result = trained(rate=10)
    assert written(project, result) == "10" and project.executions["train.py"] == 2
    assert result["train.py"].record.seconds > 0


def test_the_flow_has_a_typed_parameter_for_each_of_the_pipelines(trained):
    assert isinstance(trained.flow, Flow) and trained.flow.name == "training"
    properties = trained.flow.parameters.properties
    assert (properties["rate"]["type"], properties["rate"]["default"]) == ("integer", 10)
    assert {"regenerate_outputs", "continue_on_step_failure"} < set(properties)
    assert trained.flow.description == "Trains."


def test_wrong_parameters_are_refused_and_nothing_runs(project, trained):
    with pytest.raises(UserErrorException, match="no parameter 'rates'"):
        trained.plan(rates=1)
    with pytest.raises(UserErrorException, match="must be of type int"):
        trained.plan(rate="fast")
    with pytest.raises(ParameterTypeError):
        trained(rate="fast")
    with pytest.raises(UserErrorException, match="no parameter 'rates'"):
        trained(rates=1)
    assert not project.executions


def test_a_pipeline_is_a_subflow_of_a_users_flow(project, trained):
    @flow
    def search():
        return [written(project, trained(rate=rate)) for rate in (1, 2, 1)]

    with client_settings():
        assert search() == ["1", "2", "1"]
    assert project.executions["train.py"] == 2


def test_making_a_pipeline_reads_writes_and_asks_nothing(project, chain, monkeypatch):
    _, steps = chain("a.py", "b.py")
    (project.source / "unreadable").symlink_to("/nowhere")  # which no snapshot takes
    monkeypatch.setattr(httpx.Client, "send", lambda *_, **__: pytest.fail("asked"))
    assert [step.name for step in Pipeline(project.workspace, steps).steps] == ["a.py", "b.py"]
    monkeypatch.undo()
    assert not (project.workspace.store.root / "runs").exists()


def test_what_is_wrong_is_said_before_anything_runs(project, trained):
    with pytest.raises(UserErrorException, match=r"Step \[gone.py\]: script not found at: .*gone.py"):
        project.pipeline(project.step("gone.py"))
    with pytest.raises(UserErrorException, match="takes no argument 'step'"):
        Pipeline(project.workspace, [], step=1)
    with pytest.raises(UserErrorException, match="'regenerate_outputs' can't name a pipeline parameter"):
        project.pipeline(project.step("a.py", "", arguments=[PipelineParameter("regenerate_outputs", 1)]))
    nowhere = project.workspace.get_default_datastore().path("nowhere", "raw")
    lost = project.pipeline(project.step("a.py", inputs=[nowhere]), project.step("train.py", compute_target="moon"))
    assert [error.split(" ")[0] for error in lost.validate()] == ["There", "ComputeTargetNotFound:"]
    assert project.run(lost).status == "Failed" and not project.executions
    assert trained.validate() == []


def test_a_description_is_any_text_and_is_kept(project):
    text = "Batch scoring:\n100% of in/out,\tfor <everybody>"
    pipeline = project.pipeline(project.step("a.py", ""), description=text)
    assert pipeline.name == "Batch scoring: 100_ of in_out, for _everybody_"
    assert project.run(pipeline).headline.startswith("Finished: 1 ran")
    published = pipeline.publish()
    assert (published.name, published.description) == (pipeline.name, text)
    with pytest.raises(UserErrorException, match="can't name a pipeline"):
        project.pipeline(project.step("a.py"), name="a/b")


def test_targets_that_were_never_saved_travel_with_the_pipeline(project):
    run = project.pipeline(project.step("a.py", "", compute_target=LocalCompute(max_concurrent=1)))
    assert run.validate() == []
    made = project.run(run)
    assert made.headline.startswith("Finished: 1 ran")
    assert project.happened(run.on(LocalCompute(max_concurrent=2))) == {"a.py": "reused"}
    config = RunConfiguration()
    config.target = LocalCompute(max_concurrent=3)
    step = project.step("a.py", runconfig=config, workspace=project.workspace)
    assert step.compute_target == "LocalCompute(max_concurrent=3)"

    @flow
    def own():
        return step()

    with client_settings():
        assert own().record.run_id == made.run_id


def test_data_without_a_datastore_go_to_the_pipelines(project):
    Datastore.register(project.workspace, "away", str(project.folder / "away"))
    own = Datastore.register(project.workspace, "own", str(project.folder / "own"))
    out, placed, config = PipelineData("out"), PipelineData("placed", own), OutputFileDatasetConfig("config")
    body = "for path in args[:2]: open(path, 'w').write('x')\nopen(args[2] + '/y', 'w').write('y')"
    step = project.step("a.py", body, arguments=[out, placed, config], outputs=[out, placed])
    for default in ("away", Datastore(project.workspace, "away")):
        pipeline = project.pipeline(step, default_datastore=default)
        result = pipeline()["a.py"]
        usual = project.workspace.default_datastore_name
        assert {n: a.datastore for n, a in result.items()} == {"out": "away", "placed": "own", "config": usual}
        assert (project.folder / "away" / result["out"].path).read_text() == "x"
    assert project.pipeline(step).definition.steps[0].outputs[0].datastore is None


def test_a_pipeline_submits_itself_and_is_called_as_its_experiment_if_nothing_else_names_it(project):
    body = "from stepwell import Run\nrun = Run.get_context()\nprint(run.number, args[0])\nrun.tag('ok', True)\nrun.parent.tag('share', 0.5)"
    pipeline = project.pipeline(project.step("a.py", body, arguments=[PipelineParameter("rate", 1)]))
    pipeline._set_experiment_name("nightly")
    run = pipeline.submit("nightly", {"rate": 3}, tags={"green": True, "count": 7, "part": 0.5})
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert (run.experiment.name, pipeline.name, run.name) == ("nightly", "nightly", f"nightly#{run.number}")
    assert {"green": "True", "count": "7", "part": "0.5", "share": "0.5"}.items() <= run.tags.items()
    assert [
        found.id for found in Experiment(project.workspace, "nightly").get_runs(tags={"green": True, "count": 7})
    ] == [run.id]
    (step,) = run.get_steps()
    assert step.get_stdout_log() == f"{run.number} 3\n" and run.number > 0
    named = project.pipeline(project.step("a.py"), description="mine")
    named._set_experiment_name("nightly")
    assert named.name == "mine"
    published = named.publish()
    again = published.submit(project.workspace, "nightly", tags={"green": False})
    assert again.wait_for_completion(show_output=False, raise_on_error=False) and again.tags["green"] == "False"


def test_a_step_whose_input_vanished_fails_the_plan_with_a_hint(project):
    nowhere = project.workspace.get_default_datastore().path("nowhere", "raw")
    with pytest.raises(Exception, match="There is no data at a path") as caught:
        project.pipeline(project.step("a.py", "", inputs=[nowhere])).plan()
    folder = project.workspace.get_default_datastore().local_root
    assert caught.value.facts["the datastore is"].startswith(
        f"{folder}, in the home of this machine; every other machine"
    )
    assert "Datastore.register(ws, name, url)" in caught.value.hint


def test_of_a_datastore_that_all_machines_reach_no_more_is_told(project, tmp_path):
    nowhere = Datastore.register(project.workspace, "far", str(tmp_path / "far")).path("nowhere")
    with pytest.raises(Exception, match="There is no data at a path") as caught:
        project.pipeline(project.step("a.py", "", inputs=[nowhere])).plan()
    assert "the datastore is" not in caught.value.facts
    assert caught.value.hint == "Upload the data first, or correct `path_on_datastore`."


def test_a_secret_reaches_the_script_and_nothing_else(project, server, stepwell_home):
    secret = "s3cret-" + "0123456789abcdef"
    token, out = PipelineParameter("token", "none"), PipelineData("out")
    body = f"import os\nopen(args[0], 'w').write(str(os.environ['AML_PARAMETER_token'] == {secret[:7]!r} + {secret[7:]!r}))\nprint(os.environ['AML_PARAMETER_token'])"
    step = project.step("a.py", body, arguments=[out], outputs=[out], params={"token": token})
    pipeline = project.pipeline(step)
    result = pipeline(token=secret)["a.py"]
    assert project.workspace.store.tree_path(result["out"].digest).read_text() == "True"
    flow_run = prefect_api.get(f"{server}/flow_runs/{result.record.run_id}").text
    logs = prefect_api.post(f"{server}/logs/filter", json={}).text
    assert secret not in flow_run and secret not in logs
    spoilt = [path for path in stepwell_home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert spoilt == []
    assert pipeline(token=secret)["a.py"].record.run_id == result.record.run_id
    assert pipeline(token="other")["a.py"].record.run_id != result.record.run_id


def test_a_failed_run_in_a_users_flow_fails_that_flow(project):
    pipeline = project.pipeline(project.step("a.py", "sys.exit(4)"))

    @flow
    def outer():
        pipeline()

    with client_settings(), pytest.raises(ActivityFailedException, match="1 of 1 steps failed"):
        outer()


def test_steps_find_their_scripts_in_the_pipelines_directory(project, monkeypatch):
    project.script("a.py")
    assert project.happened(
        Pipeline(project.workspace, [PythonScriptStep("a.py")], default_source_directory=project.source)
    ) == {"a.py": "ran"}
    monkeypatch.chdir(project.source)
    assert project.happened(Pipeline(project.workspace, [PythonScriptStep("a.py")])) == {"a.py": "reused"}
    assert Path.cwd() == project.source


def test_a_pipeline_is_submitted_as_v1_does(project, chain):
    pipeline, _ = chain("a.py")
    pipeline._set_experiment_name("ignored")
    parent = Experiment(project.workspace, "e").start_logging()
    run = pipeline.submit("by-itself", {}, False, True, parent.id, None, tags={"n": "1"})
    parent.complete()
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert (run.experiment_name, run.parent.id, run.tags) == ("by-itself", parent.id, {"n": "1"})
    assert pipeline.service_endpoint().startswith("http")
