import json
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from waiting import eventually

from stepwell import (
    BanditPolicy,
    DaskCompute,
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    Experiment,
    GridParameterSampling,
    HyperDriveConfig,
    HyperDriveRun,
    HyperDriveStep,
    HyperDriveStepRun,
    PipelineData,
    PipelineParameter,
    PipelineRun,
    PrimaryMetricGoal,
    RandomParameterSampling,
    ScriptRunConfig,
    TrainingOutput,
    choice,
    uniform,
)
from stepwell.blocks.server.documents import client
from stepwell.deployments.reports.report import in_json, report
from stepwell.errors import UserErrorException

WHY = 'setting hyperparameters: [["x", "choice", [[1, 2, 3]]]] → [["x", "choice", [[1, 2, 3, 4, 5]]]]'
TRAIN = """
import argparse, json, os
from stepwell import Run
parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--x", type=float)
asked = parser.parse_args()
base = float(open(asked.data).read())
run = Run.get_context()
for epoch in range(3):
    run.log("score", base - abs(asked.x - 3) + epoch / 10)
os.makedirs("outputs", exist_ok=True)
open("outputs/model.txt", "w").write(f"model {asked.x}")
"""


def config(project, options=(1, 2, 3, 4), **more):
    return HyperDriveConfig(**{
        "hyperparameter_sampling": GridParameterSampling({"x": choice(*options)}),
        "primary_metric_name": "score",
        "primary_metric_goal": PrimaryMetricGoal.MAXIMIZE,
        "max_total_runs": 10,
        "max_concurrent_runs": 2,
        "run_config": ScriptRunConfig(project.source, "train.py"),
        **more,
    })  # fmt: skip


def test_a_sweep_finds_the_best_trial_and_is_reused_trial_by_trial(project):
    project.script("train.py", TRAIN)
    (project.workspace.get_default_datastore().local_root / "base.txt").write_text("10")
    data = DataReference(project.workspace.get_default_datastore(), "data", path_on_datastore="base.txt")
    metrics, model = (
        PipelineData("metrics"),
        PipelineData("model", training_output=TrainingOutput("Model", model_file="outputs/model.txt")),
    )

    def made(*options):
        step = HyperDriveStep("search", config(project, options), ["--data", data], [data], [model], metrics)
        return project.pipeline(step)

    summary = project.run(made(1, 2, 3))
    run = project.workspace.get_run(summary.run_id)
    (step,) = run.find_step_run("search")
    assert summary.status == "Finished", summary.steps[0].error + step.get_job_log()
    assert step.get_outputs()["model"].local_path.read_text() == "model 3.0"
    told = json.loads(step.get_outputs()["metrics"].local_path.read_text())
    children = [child for child in run.get_children() if child.type == "azureml.scriptrun"]
    assert set(told) == {child.id for child in children} and len(children) == 3
    assert sorted(found["score"][-1] for found in told.values()) == [8.2, 9.2, 10.2]
    assert project.executions == {"train.py": 3}
    sweep = HyperDriveStepRun(step)
    assert sweep.hyperdrive_config.to_plain() == config(project, (1, 2, 3)).to_plain() and sweep.cancel()
    assert sweep.hyperdrive_config.run_config.arguments == ["--data", "$AZUREML_DATAREFERENCE_data"]
    with pytest.raises(UserErrorException, match="no diagnostics beside its logs"):
        sweep.get_diagnostics()

    assert project.happened(made(1, 2, 3)) == {"search": "reused"}
    again = project.run(made(1, 2, 3, 4, 5))
    assert [(one.happened, one.why) for one in again.steps] == [("ran", (WHY,))]
    assert project.executions == {"train.py": 5}


SLOW = """
import argparse, sys, time
from stepwell import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
x = parser.parse_args().x
if x == 0:
    sys.exit("no such x")
run = Run.get_context()
run.log("score", float(x))
if x == 1:
    time.sleep(600)
if x == 5:
    open("settings.txt").read()
"""


def test_a_policy_cancels_a_trial_that_is_at_work_and_a_failed_trial_fails_no_sweep(project):
    project.script("train.py", SLOW)
    project.write("settings.txt", "a")
    policy = BanditPolicy(slack_amount=2)
    search = config(project, (1, 5, 0), policy=policy, max_concurrent_runs=3)
    pipeline = project.pipeline(HyperDriveStep("search", search))
    summary = project.run(pipeline)
    run = project.workspace.get_run(summary.run_id)
    sweep = HyperDriveStepRun(run.find_step_run("search")[0])
    assert summary.status == "Finished", summary.steps[0].error + sweep.get_job_log()
    found = {json.loads(one["hyperparameters"])["x"]: one for one in sweep.get_children_sorted_by_primary_metric()}
    assert {x: (one["status"], one["best_primary_metric"]) for x, one in found.items()} == {
        5: ("Completed", 5.0), 1: ("Canceled", 1.0), 0: ("Failed", None)
    }  # fmt: skip
    assert [child.status for child in sweep.get_children(status="Failed")] == ["Failed"]
    best = sweep.get_best_run_by_primary_metric()
    assert (best.id, best.get_metrics()) == (found[5]["run_id"], {"score": 5.0})
    assert best.get_details()["runDefinition"]["arguments"] == ["--x", "5"] and best.parent.id == run.id
    assert sweep.get_metrics("score") == {
        one["run_id"]: {} if x == 0 else {"score": float(x)} for x, one in found.items()
    }
    assert "bandit policy at interval 1" in sweep.get_job_log() and "no such x" in sweep.get_job_log()
    told = report(run.folder).splitlines()
    (start,) = (number for number, line in enumerate(told) if line == "Trials of search:")
    assert [line.split()[:5] for line in told[start + 1 : start + 5]] == [
        ["trial", "x", "score", "state", "run"],
        ["1", "5", "5", "finished", best.name],
        ["0", "1", "1", "canceled", sweep.get_children(status="Canceled").__next__().name],
        ["2", "0", "failed", sweep.get_children(status="Failed").__next__().name, "The"],
    ]
    assert any(line.startswith("Picture: ") and line.endswith(".svg") for line in told)
    assert in_json(run.summary(), run.folder)["steps"][0]["trials"][1]["hyperparameters"] == {"x": 5}
    with client() as api:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run.id)]))
        shown = {a.type: a.data for a in api.read_artifacts(flow_run_filter=of_run) if "metrics-" not in a.key}
    assert f"/runs/flow-run/{best.id})" in shown["table"] and shown["image"].startswith("data:image/svg+xml;base64,")
    # What failed is tried again, without the trials that did well.
    lacks = "of its 3 trials 1 failed"
    assert any(lacks in warning for warning in summary.warnings)
    assert [decision.why[0].partition(" is ")[2] for decision in pipeline.plan()] == [f"incomplete: {lacks}"]
    again = project.run(pipeline).steps[0]
    assert (again.happened, project.executions) == ("ran", {"train.py": 5}) and lacks in again.why[0]


def test_what_a_trial_read_undeclared_counts_for_the_sweep(project):
    project.script("train.py", SLOW)
    project.write("settings.txt", "a")
    pipeline = project.pipeline(HyperDriveStep("search", config(project, (5,))))
    assert [project.happened(pipeline) for _ in "12"] == [{"search": "ran"}, {"search": "reused"}]
    project.write("settings.txt", "b")
    assert [step.why for step in project.run(pipeline).steps] == [("file read but not declared settings.txt changed",)]


def test_a_sweep_fails_if_all_its_trials_do(project):
    project.script("train.py", SLOW)
    summary = project.run(project.pipeline(HyperDriveStep("search", config(project, (0,)))))
    assert summary.status == "Failed"
    assert "All 1 trials failed; the first:" in summary.steps[0].error and "no such x" in summary.steps[0].error
    assert "Traceback" not in summary.steps[0].error


COPY = """
import sys
from stepwell import Run
value = float(sys.argv[3])
open(sys.argv[1], "w").write(f"made with {value}")
Run.get_context().log("loss", [value, value / 2][int(value > 2)])
"""


def test_the_best_trials_own_output_is_the_steps_and_a_trial_can_be_a_command(project):
    project.script("copy.py", COPY)
    made = PipelineData("made")
    search = config(
        project,
        run_config=ScriptRunConfig(project.source, command=["python", "copy.py", made]),
        hyperparameter_sampling=RandomParameterSampling({"x": choice(2, 3, 4)}),
        primary_metric_name="loss",
        primary_metric_goal=PrimaryMetricGoal.MINIMIZE,
    )
    pipeline = project.pipeline(HyperDriveStep("search", search, outputs=[made]))
    summary = project.run(pipeline)
    (step,) = project.workspace.get_run(summary.run_id).find_step_run("search")
    assert summary.status == "Finished", step.get_job_log()
    assert step.get_outputs()["made"].local_path.read_text() == "made with 3.0"
    project.write("copy.py", COPY.replace("made with", "made anew with"))
    assert project.happened(pipeline) == {"search": "ran"}


def test_a_model_that_no_trial_kept_is_named_with_what_there_is(project):
    project.script("train.py", "import os; from stepwell import Run; Run.get_context().log('score', 1)\nos.makedirs('outputs', exist_ok=True); open('outputs/a.txt', 'w').close()")  # fmt: skip
    model = PipelineData("model", training_output=TrainingOutput("Model", model_file="outputs/b.txt"))
    summary = project.run(project.pipeline(HyperDriveStep("search", config(project, (1,)), outputs=[model])))
    assert "The best trial kept no file 'outputs/b.txt'" in summary.steps[0].error
    assert "outputs/a.txt" in summary.steps[0].error and "Traceback" not in summary.steps[0].error


def test_a_sweep_without_the_metric_says_what_was_logged(project):
    project.script("train.py", "from stepwell import Run; Run.get_context().log('Score', 1)")
    model = PipelineData("model", training_output=TrainingOutput("Model"))
    summary = project.run(project.pipeline(HyperDriveStep("search", config(project, (1,)), outputs=[model])))
    assert "No trial that finished logged the primary metric 'score'" in summary.steps[0].error
    assert "logged were: Score" in summary.steps[0].error
    summary = project.run(project.pipeline(HyperDriveStep("search", config(project, (1,)))))
    assert any("no trial has a value of the primary metric 'score'" in warning for warning in summary.warnings)


def test_a_sweep_is_a_task_of_a_flow(project):
    project.script("train.py", "import sys; from stepwell import Run; Run.get_context().log('score', int(sys.argv[2]))")
    metrics = PipelineData("metrics")
    step = HyperDriveStep("search", config(project, (1, 2)), metrics_output=metrics, workspace=project.workspace)

    @flow
    def own():
        return step()

    found = json.loads(project.workspace.path_of(own()["metrics"]).read_text())
    assert sorted(one["score"] for one in found.values()) == [[1], [2]]


def test_a_cancelled_run_cancels_its_trials(project):
    project.script(
        "train.py", "import time; from stepwell import Run; Run.get_context().log('score', 1); time.sleep(600)"
    )
    pipeline = project.pipeline(HyperDriveStep("search", config(project, (1, 2))))
    run = Experiment(project.workspace, "e").submit(pipeline)
    eventually(lambda: len([c for c in run.get_children(type="azureml.scriptrun") if c.get_metrics()]) == 2)
    run.cancel()
    eventually(lambda: run.get_status() == "Canceled")
    eventually(lambda: [c.status for c in run.get_children(type="azureml.scriptrun")] == ["Canceled"] * 2)
    assert not [c for c in run.get_children(type="azureml.scriptrun") if c.folder.is_alive()]


def test_a_submitted_search_runs_each_time_and_its_trials_are_reused(project):
    project.script("train.py", "import sys; from stepwell import Run; Run.get_context().log('score', int(sys.argv[2]))")
    experiment = Experiment(project.workspace, "e")
    run = experiment.submit(config(project, (1, 2)))
    assert isinstance(run, HyperDriveRun) and run.type == "hyperdrive"
    assert run.wait_for_completion(show_output=False)["status"] == "Completed"
    assert sorted(json.loads(text)["x"] for text in run.get_hyperparameters().values()) == [1, 2]
    again = experiment.submit(config(project, (1, 2, 3)))
    again.wait_for_completion(show_output=False)
    again = PipelineRun.get(project.workspace, again.id)
    best = again.get_best_run_by_primary_metric()
    assert best.get_metrics() == {"score": 3} and len(list(again.get_children())) == 3
    assert [one["best_primary_metric"] for one in again.get_children_sorted_by_primary_metric(top=2)] == [3.0, 2.0]
    assert [one["best_primary_metric"] for one in again.get_children_sorted_by_primary_metric(reverse=True)] == [
        1,
        2,
        3,
    ]
    assert set(again.get_metrics()) == {child.id for child in again.get_children()}
    assert project.executions == {"train.py": 3}
    assert [r.id for r in experiment.get_runs()] == [again.id, run.id]


def test_trials_run_on_the_nodes_of_one_cluster_and_are_cancelled_there_too(project):
    DaskCompute(max_nodes=2, min_nodes=2).attach_to(project.workspace, "workers")
    project.script("train.py", SLOW)
    project.write("settings.txt", "a")
    search = config(
        project,
        (1, 5),
        policy=BanditPolicy(slack_amount=2),
        run_config=ScriptRunConfig(project.source, "train.py", compute_target="workers"),
    )
    summary = project.run(project.pipeline(HyperDriveStep("search", search)))
    sweep = HyperDriveStepRun(project.workspace.get_run(summary.run_id).find_step_run("search")[0])
    assert [one["status"] for one in sweep.get_children_sorted_by_primary_metric()] == ["Completed", "Canceled"]
    ran_on = [run.summary().steps[0].ran_on for run in sweep.get_children(status="Completed")]
    assert ran_on[0]["worker"] and "worker" not in summary.steps[0].ran_on  # the sweep itself takes no node


READ = """
import argparse, os
from stepwell import Run
parser = argparse.ArgumentParser()
for name in ("made", "files", "path", "rate", "x"):
    parser.add_argument(f"--{name}")
asked = parser.parse_args()
run = Run.get_context()
made, path = open(asked.made).read(), open(asked.path).read()
files = sorted(os.listdir(asked.files))
table = run.input_datasets["table"].to_pandas_dataframe()["a"].sum()
token = len(os.environ["AML_PARAMETER_token"])
run.log("score", float(asked.x))
run.tag("told", f"{made} {files} {path} {table} {asked.rate} {token}")
"""


def test_inputs_and_parameters_of_every_kind_arrive_in_trials(project):
    ws = project.workspace
    store = ws.get_default_datastore()
    (store.local_root / "raw").mkdir()
    (store.local_root / "raw" / "t.csv").write_text("a\n1\n2\n")
    (store.local_root / "raw" / "other.txt").write_text("x")
    project.script("train.py", READ)
    made = PipelineData("made")
    first = project.step("first.py", "open(args[0], 'w').write('out')", arguments=[made], outputs=[made])
    files = Dataset.File.from_files((store, "raw")).as_named_input("files").as_mount()
    table = Dataset.Tabular.from_delimited_files((store, "raw/t.csv")).as_named_input("table")
    path = (PipelineParameter("path", DataPath(store, "raw/other.txt")), DataPathComputeBinding())
    rate, token = PipelineParameter("rate", 0.1), PipelineParameter("token", "", secret=True)
    step = HyperDriveStep(
        "search",
        config(project, (1, 2)),
        ["--made", made, "--files", files, "--path", path, "--rate", rate],
        [made, files, table, path],
        params={"token": token},
    )
    pipeline = project.pipeline(first, step)
    summary = project.run(pipeline, rate=0.5, token="s3cr3t-v4lue")
    run = ws.get_run(summary.run_id)
    assert summary.status == "Finished", [s.error for s in summary.steps] + [
        run.find_step_run("search")[0].get_job_log()
    ]
    children = list(HyperDriveStepRun(run.find_step_run("search")[0]).get_children())
    assert {child.tags["told"] for child in children} == {"out ['other.txt', 't.csv'] x 3 0.5 12"}
    kept = "".join(p.read_text(errors="replace") for c in children for p in c.folder.path.rglob("*.json*"))
    assert "s3cr3t" not in kept
    assert project.happened(pipeline, rate=0.5, token="s3cr3t-v4lue") == {"first.py": "reused", "search": "reused"}
