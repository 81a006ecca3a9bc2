"""Code of the SDK with estimators, ranks, notebooks, R and Batch: its pipeline is made, and what it says counts."""

from __future__ import annotations

import json


def test_a_pipeline_of_v1s_step_types_is_made_and_valid(project):
    from azureml.contrib.notebook import AzureMLNotebookHandler, NotebookRunConfig, NotebookRunnerStep
    from azureml.core import RunConfiguration, ScriptRunConfig
    from azureml.core.compute import BatchCompute, ComputeTarget
    from azureml.core.environment import RCranPackage, RSection
    from azureml.core.runconfig import MpiConfiguration
    from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter
    from azureml.pipeline.steps import AzureBatchStep, EstimatorStep, MpiStep, PythonScriptStep, RScriptStep
    from azureml.train.dnn import Mpi, PyTorch
    from azureml.train.estimator import Estimator

    workspace, source = project.workspace, str(project.source)
    for name in ("train.py", "fit.R", "run.sh"):
        project.write(name, "")
    project.write("report.ipynb", json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    model, lines, fit = PipelineData("model"), PipelineData("lines"), PipelineData("fit")
    account = BatchCompute.attach_configuration(resource_group="group", account_name="account")
    batch = ComputeTarget.attach(workspace, "batch", account)
    train = EstimatorStep(
        name="train",
        estimator=Estimator(source_directory=source, entry_script="train.py", compute_target="local", use_gpu=False),
        estimator_entry_script_arguments=["--model", model],
        runconfig_pipeline_params=None,
        outputs=[model],
        compute_target="local",
    )
    torch = PyTorch(source, entry_script="train.py", node_count=2, distributed_training=Mpi(), use_gpu=True)
    spread = EstimatorStep(name="spread", estimator=torch, estimator_entry_script_arguments=[])
    ranks = MpiStep(
        name="ranks", source_directory=source, script_name="train.py", arguments=[], compute_target="local",
        node_count=PipelineParameter("nodes", 2), process_count_per_node=1, use_gpu=False, pip_packages=None,
    )  # fmt: skip
    config = NotebookRunConfig(
        source_directory=source,
        notebook="report.ipynb",
        handler=AzureMLNotebookHandler(timeout=60),
        parameters={"a": 1},
    )
    report = NotebookRunnerStep(
        name="report", notebook_run_config=config, params={"p": PipelineParameter("p", "x")}, inputs=[model],
        compute_target="local", output_notebook_pipeline_data_name="executed",
    )  # fmt: skip
    in_r = RunConfiguration()
    in_r.environment.r = RSection()
    in_r.environment.r.cran_packages = [RCranPackage(name="jsonlite", version="1.8")]
    modelled = RScriptStep(
        script_name="fit.R", arguments=["--out", fit], outputs=[fit], compute_target="local", source_directory=source,
        runconfig=in_r,
    )  # fmt: skip
    counted = AzureBatchStep(
        name="count", pool_id="pool", outputs=[lines], arguments=[lines], compute_target=batch, source_directory=source,
        executable="run.sh", delete_batch_job_after_finish=False,
    )  # fmt: skip
    named = ScriptRunConfig(source, "train.py", distributed_job_config=MpiConfiguration(process_count_per_node=2))
    script = PythonScriptStep("train.py", name="script", source_directory=source, runconfig=named)
    pipeline = Pipeline(workspace=workspace, steps=[train, spread, ranks, report, modelled, counted, script])
    assert pipeline.validate() == []
    found = {step.id: step for step in pipeline.definition.steps}
    drivers = {name: step.driver.name for name, step in found.items() if step.driver}
    assert drivers == {"spread": "mpi", "ranks": "mpi", "report": "notebook", "fit.R": "r", "script": "mpi"}
    assert {step.type for step in found.values()} == {
        "EstimatorStep", "MpiStep", "NotebookRunnerStep", "RScriptStep", "AzureBatchStep", "PythonScriptStep",
    }  # fmt: skip
