"""How much of what public code uses of the Azure ML SDK is carried: a table made from counts and from the package itself.

The counts are of 1,440 distinct public files that import the SDK, from 63 repositories, parsed and not run: in how many
of the 262 files that build pipelines, or of the 287 scripts of steps, a name or member occurs. Samples and forks weigh
heavily, so that they are an order, not a survey.
"""

from __future__ import annotations

import importlib
from typing import Any

from azureml import modules, names  # type: ignore[import-not-found]

NAMES = """Workspace 224 Pipeline 214 Experiment 192 PythonScriptStep 156 ComputeTarget 151 PipelineData 140 AmlCompute 138
RunConfiguration 136 Dataset 131 Datastore 127 Environment 116 CondaDependencies 88 ComputeTargetException 80 PipelineParameter 75
RunDetails 73 DataReference 52 OutputFileDatasetConfig 47 Model 45 PublishedPipeline 41 ParallelRunConfig 40 ParallelRunStep 39
InteractiveLoginAuthentication 36 PipelineRun 36 ScriptRunConfig 34 Run 33 DEFAULT_CPU_IMAGE 28 Schedule 26 AutoMLConfig 25
PipelineEndpoint 24 TrainingOutput 22 AutoMLStep 21 DatasetConsumptionConfig 21 DataPath 18 StepSequence 18 ScheduleRecurrence 17
AutoMLPipelineBuilder 13 DataPathComputeBinding 11 EstimatorStep 10 DataTransferStep 8 HyperDriveStep 8 Estimator 8
SynapseSparkStep 8 SynapseCompute 7 LinkedService 7 DatabricksStep 6 AzureBlobDatastore 6 CommandStep 6 DataFactoryCompute 5
SqlDataReference 4 ErrorResponseException 4 MpiConfiguration 3 TabularDataset 3 AdlaStep 2 NotebookRunnerStep 2 RScriptStep 2
AksCompute 2 AksWebservice 2 Webservice 2 Module 1 ModuleStep 1 PipelineDraft 1 KustoStep 1 AzureBatchStep 1 MpiStep 1"""

MEMBERS = """Experiment.submit 189 Workspace.from_config 166 PipelineRun.wait_for_completion 165 Workspace.get_default_datastore 131
AmlCompute.provisioning_configuration 118 Pipeline.publish 73 FileDataset.as_named_input 64 Pipeline.validate 56
Workspace.compute_targets 55 Dataset.get_by_name 46 FileDatasetFactory.from_files 40 PipelineRun.find_step_run 40
StepRun.get_output_data 37 TabularDatasetFactory.from_delimited_files 32 PipelineRun.get_details 31
OutputFileDatasetConfig.register_on_complete 29 TabularDataset.to_pandas_dataframe 29 FileDataset.as_mount 28
Datastore.register_azure_blob_container 25 PipelineRun.publish_pipeline 25 Datastore.upload 25 PublishedPipeline.list 23
Schedule.create 22 Model.register 20 Workspace.datasets 19 PythonScriptStep.run_after 18 PipelineRun.register_model 16
PipelineRun.get_metrics 16 Model.list 16 PipelineRun.get_pipeline_output 13 PipelineData.as_dataset 10
TabularDatasetFactory.register_pandas_dataframe 10 Pipeline.submit 9 Pipeline._set_experiment_name 7 Experiment.start_logging 6
Model.get_model_path 6"""

SCRIPTS = """Run.log 120 Run.experiment 108 Dataset 73 Model 59 Workspace 59 Run.input_datasets 51 Run.complete 40 _OfflineRun 30
Run.upload_file 29 Run.parent 27 Run.register_model 21 Datastore 18 Run.log_image 11 Run.cancel 7 Run.upload_folder 7
Run.log_confusion_matrix 7 Run.get_metrics 5 Run.submit_child 3 Run.tags 3 Run.properties 3 Run.find_step_run 3 Run.get_children 3"""

TITLES = {"Names in pipelines": NAMES, "Members of them": MEMBERS, "Names and members in scripts of steps": SCRIPTS}


def counts(words: str) -> dict[str, int]:
    """Return the counts of a text of names and numbers."""
    parts = words.split()
    return dict(zip(parts[::2], map(int, parts[1::2]), strict=True))


def meaning(name: str) -> str:
    """Return `works`, `differs` or `refuses`, of a member that there is what its class has."""
    owner, _, member = name.partition(".")
    if member and not hasattr(_carrier(owner), member):
        return "refuses"
    return str(names.meaning(owner))


def share(words: str) -> float:
    """Return which share of the uses works, with a difference or without."""
    found = counts(words)
    return sum(count for name, count in found.items() if meaning(name) != "refuses") / sum(found.values())


def usage_section() -> str:
    """Return the section of the page as Markdown."""
    lines = ["## What public code uses", "", (__doc__ or "").split("\n\n", 1)[1].replace("\n", " ").strip(), ""]
    for title, words in TITLES.items():
        refused = [f"`{name}` {count}" for name, count in counts(words).items() if meaning(name) == "refuses"]
        lines.append(
            f"- **{title}**: {share(words):.0%} of the uses work. Not carried: {', '.join(refused) or 'none'}."
        )
    return "\n".join([*lines, ""])


def _carrier(name: str) -> Any:
    importlib.import_module("azureml")
    return modules.find(name)
