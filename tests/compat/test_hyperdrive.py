"""A search for hyperparameters with the SDK's imports and names, as its users write it."""

from __future__ import annotations

import json

import pytest
from azureml.core import ScriptRunConfig
from azureml.pipeline.core import Pipeline, PipelineData, TrainingOutput
from azureml.pipeline.steps import HyperDriveStep, HyperDriveStepRun, PythonScriptStep
from azureml.train.hyperdrive import (
    BanditPolicy,
    BayesianParameterSampling,
    HyperDriveConfig,
    HyperDriveRunConfig,
    PrimaryMetricGoal,
    RandomParameterSampling,
    choice,
    loguniform,
    uniform,
)

TRAIN = """
import argparse, os
from azureml.core import Run
parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, dest="batch_size")
parser.add_argument("--learning-rate", type=float, dest="rate")
asked = parser.parse_args()
run = Run.get_context()
run.log("Accuracy", float(asked.batch_size + asked.rate))
os.makedirs("outputs/model", exist_ok=True)
with open("outputs/model/saved_model.txt", "w") as stream:
    stream.write(str(asked.batch_size))
"""


def test_v1_code_searches_and_registers_the_best_model(project):
    ws = project.workspace
    project.write("mnist.py", TRAIN)
    project.write("register.py", "import sys; print('registers', open(sys.argv[2]).read())")
    src = ScriptRunConfig(source_directory=str(project.source), script="mnist.py")
    sampling = RandomParameterSampling({"--batch-size": choice(25, 50, 100), "--learning-rate": loguniform(-6, -1)})
    hd_config = HyperDriveConfig(
        run_config=src,
        hyperparameter_sampling=sampling,
        policy=BanditPolicy(evaluation_interval=2, slack_factor=0.1),
        primary_metric_name="Accuracy",
        primary_metric_goal=PrimaryMetricGoal.MAXIMIZE,
        max_total_runs=3,
        max_concurrent_runs=4,
    )
    datastore = ws.get_default_datastore()
    metrics_data = PipelineData(name="metrics_data", datastore=datastore, pipeline_output_name="metrics_output",
                                training_output=TrainingOutput("Metrics"))  # fmt: skip
    saved_model = PipelineData(name="saved_model", datastore=datastore, pipeline_output_name="model_output",
                               training_output=TrainingOutput("Model", model_file="outputs/model/saved_model.txt"))  # fmt: skip
    hd_step = HyperDriveStep(
        name="hd_step01", hyperdrive_config=hd_config, inputs=[], outputs=[metrics_data, saved_model]
    )
    register = PythonScriptStep(script_name="register.py", name="register_model_step01", inputs=[saved_model],
                                arguments=["--saved-model", saved_model], source_directory=str(project.source))  # fmt: skip
    register.run_after(hd_step)
    summary = project.run(Pipeline(workspace=ws, steps=[hd_step, register]))
    run = ws.get_run(summary.run_id)
    assert summary.status == "Finished", [step.error for step in summary.steps]
    told = json.loads(run.get_pipeline_output("metrics_output").local_path.read_text())
    hd_step_run = HyperDriveStepRun(step_run=run.find_step_run("hd_step01")[0])
    best_run = hd_step_run.get_best_run_by_primary_metric()
    best = max(told.items(), key=lambda item: item[1]["Accuracy"][0])
    assert (best_run.id, best_run.get_metrics()["Accuracy"]) == (best[0], best[1]["Accuracy"][0])
    arguments = best_run.get_details()["runDefinition"]["arguments"]
    assert arguments[::2] == ["--batch-size", "--learning-rate"]
    assert run.find_step_run("register_model_step01")[0].get_job_log() == f"registers {arguments[1]}\n"


def test_names_and_refusals_of_the_sdk():
    src = ScriptRunConfig(".", "train.py")
    space = {"x": uniform(0, 1)}
    config = HyperDriveRunConfig(src, RandomParameterSampling(space), "a", PrimaryMetricGoal.MINIMIZE, 4)
    assert isinstance(config, HyperDriveConfig) and uniform(0, 1) == ["uniform", [0, 1]]
    assert PrimaryMetricGoal.from_str("MAXIMIZE") is PrimaryMetricGoal.MAXIMIZE
    with pytest.raises(Exception, match="can't take the hyperparameter 'x': loguniform"):
        BayesianParameterSampling({"x": loguniform(0, 1)})
    with pytest.raises(Exception, match="not of a pipeline"):
        HyperDriveConfig(RandomParameterSampling(space), "a", PrimaryMetricGoal.MINIMIZE, 4, pipeline=object())
