"""Pipelines of script steps on Prefect, with reuse one can trust. Every public name is here, loaded when first used."""

from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

    from stepwell.blocks.aml_compute import AmlCompute as AmlCompute
    from stepwell.blocks.compute_target import ComputeTarget as ComputeTarget
    from stepwell.blocks.conda_dependencies import CondaDependencies as CondaDependencies
    from stepwell.blocks.cuda_compute import CudaCompute as CudaCompute
    from stepwell.blocks.dask_compute import DaskCompute as DaskCompute
    from stepwell.blocks.datastore import Datastore as Datastore
    from stepwell.blocks.docker_compute import DockerCompute as DockerCompute
    from stepwell.blocks.environment import Environment as Environment
    from stepwell.blocks.local_compute import LocalCompute as LocalCompute
    from stepwell.blocks.references import DataPath as DataPath
    from stepwell.blocks.references import DataPathComputeBinding as DataPathComputeBinding
    from stepwell.blocks.references import DataReference as DataReference
    from stepwell.deployments.authentication import AzureCliAuthentication as AzureCliAuthentication
    from stepwell.deployments.authentication import InteractiveLoginAuthentication as InteractiveLoginAuthentication
    from stepwell.deployments.authentication import MsiAuthentication as MsiAuthentication
    from stepwell.deployments.authentication import ServicePrincipalAuthentication as ServicePrincipalAuthentication
    from stepwell.deployments.authentication import TokenAuthentication as TokenAuthentication
    from stepwell.deployments.pipeline_endpoint import PipelineEndpoint as PipelineEndpoint
    from stepwell.deployments.schedule import Schedule as Schedule
    from stepwell.deployments.schedule_recurrence import ScheduleRecurrence as ScheduleRecurrence
    from stepwell.deployments.time_zones import TimeZone as TimeZone
    from stepwell.errors import StepwellError as StepwellError
    from stepwell.flows.command_step import CommandStep as CommandStep
    from stepwell.flows.data_transfer_step import DataTransferStep as DataTransferStep
    from stepwell.flows.experiment import Experiment as Experiment
    from stepwell.flows.outputs import OutputFileDatasetConfig as OutputFileDatasetConfig
    from stepwell.flows.outputs import PipelineData as PipelineData
    from stepwell.flows.parameters import PipelineParameter as PipelineParameter
    from stepwell.flows.pipeline import Pipeline as Pipeline
    from stepwell.flows.published_pipeline import PublishedPipeline as PublishedPipeline
    from stepwell.flows.python_script_step import PythonScriptStep as PythonScriptStep
    from stepwell.flows.run_configuration import DockerConfiguration as DockerConfiguration
    from stepwell.flows.run_configuration import RunConfiguration as RunConfiguration
    from stepwell.flows.runs import PipelineRun as PipelineRun
    from stepwell.flows.script_run_config import ScriptRunConfig as ScriptRunConfig
    from stepwell.flows.sequence import StepSequence as StepSequence
    from stepwell.flows.step_runs import StepRun as StepRun
    from stepwell.flows.workspace import Workspace as Workspace
    from stepwell.run import Run as Run

os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reads it when it is imported

__version__ = "0.1.0"

_HOMES = {
    "AmlCompute": "blocks.aml_compute",
    "AzureCliAuthentication": "deployments.authentication",
    "CommandStep": "flows.command_step",
    "ComputeTarget": "blocks.compute_target",
    "CudaCompute": "blocks.cuda_compute",
    "DaskCompute": "blocks.dask_compute",
    "CondaDependencies": "blocks.conda_dependencies",
    "DataPath": "blocks.references",
    "DataPathComputeBinding": "blocks.references",
    "DataReference": "blocks.references",
    "DataTransferStep": "flows.data_transfer_step",
    "Datastore": "blocks.datastore",
    "DockerCompute": "blocks.docker_compute",
    "DockerConfiguration": "flows.run_configuration",
    "Environment": "blocks.environment",
    "Experiment": "flows.experiment",
    "InteractiveLoginAuthentication": "deployments.authentication",
    "LocalCompute": "blocks.local_compute",
    "MsiAuthentication": "deployments.authentication",
    "OutputFileDatasetConfig": "flows.outputs",
    "Pipeline": "flows.pipeline",
    "PipelineData": "flows.outputs",
    "PipelineEndpoint": "deployments.pipeline_endpoint",
    "PipelineParameter": "flows.parameters",
    "PipelineRun": "flows.runs",
    "PublishedPipeline": "flows.published_pipeline",
    "PythonScriptStep": "flows.python_script_step",
    "Run": "run",
    "RunConfiguration": "flows.run_configuration",
    "Schedule": "deployments.schedule",
    "ScheduleRecurrence": "deployments.schedule_recurrence",
    "ScriptRunConfig": "flows.script_run_config",
    "ServicePrincipalAuthentication": "deployments.authentication",
    "StepRun": "flows.step_runs",
    "StepSequence": "flows.sequence",
    "StepwellError": "errors",
    "TimeZone": "deployments.time_zones",
    "TokenAuthentication": "deployments.authentication",
    "Workspace": "flows.workspace",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  (a list; ruff can't see through sorted)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
