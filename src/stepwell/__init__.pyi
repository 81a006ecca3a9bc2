from .blocks.compute.compute_target import ComputeTarget as ComputeTarget
from .blocks.compute.dask.aml_compute import AmlCompute as AmlCompute
from .blocks.compute.dask.cuda_compute import CudaCompute as CudaCompute
from .blocks.compute.dask.dask_compute import DaskCompute as DaskCompute
from .blocks.compute.data_services.data_factory_compute import DataFactoryCompute as DataFactoryCompute
from .blocks.compute.data_services.kusto_compute import KustoCompute as KustoCompute
from .blocks.compute.docker.docker_compute import DockerCompute as DockerCompute
from .blocks.compute.local_compute import LocalCompute as LocalCompute
from .blocks.datasets.column_types import DataType as DataType
from .blocks.datasets.consumption import DatasetConsumptionConfig as DatasetConsumptionConfig
from .blocks.datasets.dataset import Dataset as Dataset
from .blocks.datasets.file_dataset import FileDataset as FileDataset
from .blocks.datasets.tabular_dataset import TabularDataset as TabularDataset
from .blocks.environments.conda_dependencies import CondaDependencies as CondaDependencies
from .blocks.environments.environment import Environment as Environment
from .blocks.workspace.datastore import Datastore as Datastore
from .blocks.workspace.references import DataPath as DataPath
from .blocks.workspace.references import DataPathComputeBinding as DataPathComputeBinding
from .blocks.workspace.references import DataReference as DataReference
from .deployments.client.credentials import AzureCliAuthentication as AzureCliAuthentication
from .deployments.client.credentials import InteractiveLoginAuthentication as InteractiveLoginAuthentication
from .deployments.client.credentials import MsiAuthentication as MsiAuthentication
from .deployments.client.credentials import ServicePrincipalAuthentication as ServicePrincipalAuthentication
from .deployments.client.credentials import TokenAuthentication as TokenAuthentication
from .deployments.client.pipeline_endpoint import PipelineEndpoint as PipelineEndpoint
from .deployments.schedules.recurrence import ScheduleRecurrence as ScheduleRecurrence
from .deployments.schedules.schedule import Schedule as Schedule
from .deployments.schedules.time_zones import TimeZone as TimeZone
from .errors import StepwellError as StepwellError
from .flows.catalog.automl_run import AutoMLConfig as AutoMLConfig
from .flows.catalog.automl_run import AutoMLRun as AutoMLRun
from .flows.catalog.automl_run import AutoMLStepRun as AutoMLStepRun
from .flows.catalog.module import Module as Module
from .flows.catalog.module_version import ModuleVersion as ModuleVersion
from .flows.catalog.pipeline_draft import PipelineDraft as PipelineDraft
from .flows.catalog.port_definitions import InputPortDef as InputPortDef
from .flows.catalog.port_definitions import OutputPortDef as OutputPortDef
from .flows.configurations.distributed import MpiConfiguration as MpiConfiguration
from .flows.configurations.distributed import PyTorchConfiguration as PyTorchConfiguration
from .flows.configurations.distributed import TensorflowConfiguration as TensorflowConfiguration
from .flows.configurations.estimator import Chainer as Chainer
from .flows.configurations.estimator import Estimator as Estimator
from .flows.configurations.estimator import PyTorch as PyTorch
from .flows.configurations.estimator import SKLearn as SKLearn
from .flows.configurations.estimator import TensorFlow as TensorFlow
from .flows.configurations.run_configuration import DockerConfiguration as DockerConfiguration
from .flows.configurations.run_configuration import RunConfiguration as RunConfiguration
from .flows.configurations.script_run_config import ScriptRunConfig as ScriptRunConfig
from .flows.datasets.output_datasets import PipelineOutputFileDataset as PipelineOutputFileDataset
from .flows.datasets.output_datasets import PipelineOutputTabularDataset as PipelineOutputTabularDataset
from .flows.datasets.output_tables import OutputTabularDatasetConfig as OutputTabularDatasetConfig
from .flows.parameters.pipeline_parameter import PipelineParameter as PipelineParameter
from .flows.public.experiment import Experiment as Experiment
from .flows.public.model import Model as Model
from .flows.public.pipeline import Pipeline as Pipeline
from .flows.public.pipeline_run import PipelineRun as PipelineRun
from .flows.public.published_pipeline import PublishedPipeline as PublishedPipeline
from .flows.public.step_run import StepRun as StepRun
from .flows.public.workspace import Workspace as Workspace
from .flows.steps.data.data_transfer_step import DataTransferStep as DataTransferStep
from .flows.steps.data.kusto_step import KustoStep as KustoStep
from .flows.steps.data.sql_data_reference import SqlDataReference as SqlDataReference
from .flows.steps.data.sql_data_reference import StoredProcedureParameter as StoredProcedureParameter
from .flows.steps.data.sql_data_reference import StoredProcedureParameterType as StoredProcedureParameterType
from .flows.steps.fan_out.automl_step import AutoMLStep as AutoMLStep
from .flows.steps.outputs import OutputFileDatasetConfig as OutputFileDatasetConfig
from .flows.steps.outputs import PipelineData as PipelineData
from .flows.steps.scripts.command_step import CommandStep as CommandStep
from .flows.steps.scripts.module_step import ModuleStep as ModuleStep
from .flows.steps.scripts.python_script_step import PythonScriptStep as PythonScriptStep
from .flows.steps.sequence import StepSequence as StepSequence
from .script.run import Run as Run
from .script.tables.reading_options import FileEncoding as FileEncoding
from .script.tables.reading_options import PromoteHeadersBehavior as PromoteHeadersBehavior

__version__: str

__all__ = [
    "AmlCompute",
    "AutoMLConfig",
    "AutoMLRun",
    "AutoMLStep",
    "AutoMLStepRun",
    "AzureCliAuthentication",
    "Chainer",
    "CommandStep",
    "ComputeTarget",
    "CondaDependencies",
    "CudaCompute",
    "DaskCompute",
    "DataFactoryCompute",
    "DataPath",
    "DataPathComputeBinding",
    "DataReference",
    "DataTransferStep",
    "DataType",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DockerCompute",
    "DockerConfiguration",
    "Environment",
    "Estimator",
    "Experiment",
    "FileDataset",
    "FileEncoding",
    "InputPortDef",
    "InteractiveLoginAuthentication",
    "KustoCompute",
    "KustoStep",
    "LocalCompute",
    "Model",
    "Module",
    "ModuleStep",
    "ModuleVersion",
    "MpiConfiguration",
    "MsiAuthentication",
    "OutputFileDatasetConfig",
    "OutputPortDef",
    "OutputTabularDatasetConfig",
    "Pipeline",
    "PipelineData",
    "PipelineDraft",
    "PipelineEndpoint",
    "PipelineOutputFileDataset",
    "PipelineOutputTabularDataset",
    "PipelineParameter",
    "PipelineRun",
    "PromoteHeadersBehavior",
    "PublishedPipeline",
    "PyTorch",
    "PyTorchConfiguration",
    "PythonScriptStep",
    "Run",
    "RunConfiguration",
    "SKLearn",
    "Schedule",
    "ScheduleRecurrence",
    "ScriptRunConfig",
    "ServicePrincipalAuthentication",
    "SqlDataReference",
    "StepRun",
    "StepSequence",
    "StepwellError",
    "StoredProcedureParameter",
    "StoredProcedureParameterType",
    "TabularDataset",
    "TensorFlow",
    "TensorflowConfiguration",
    "TimeZone",
    "TokenAuthentication",
    "Workspace",
]
