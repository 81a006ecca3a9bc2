from .blocks.compute.adla.adla_compute import AdlaCompute as AdlaCompute
from .blocks.compute.batch.batch_compute import BatchCompute as BatchCompute
from .blocks.compute.compute_target import ComputeTarget as ComputeTarget
from .blocks.compute.dask.aml_compute import AmlCompute as AmlCompute
from .blocks.compute.dask.cuda_compute import CudaCompute as CudaCompute
from .blocks.compute.dask.dask_compute import DaskCompute as DaskCompute
from .blocks.compute.data_services.data_factory_compute import DataFactoryCompute as DataFactoryCompute
from .blocks.compute.data_services.kusto_compute import KustoCompute as KustoCompute
from .blocks.compute.databricks.databricks_compute import DatabricksCompute as DatabricksCompute
from .blocks.compute.docker.docker_compute import DockerCompute as DockerCompute
from .blocks.compute.local_compute import LocalCompute as LocalCompute
from .blocks.compute.spark.linked_service import LinkedService as LinkedService
from .blocks.compute.spark.linked_service import (
    SynapseWorkspaceLinkedServiceConfiguration as SynapseWorkspaceLinkedServiceConfiguration,
)
from .blocks.compute.spark.spark_compute import SparkCompute as SparkCompute
from .blocks.compute.spark.synapse_compute import SynapseCompute as SynapseCompute
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
from .blocks.workspace.references import LocalData as LocalData
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
from .flows.configurations.distribution import MpiConfiguration as MpiConfiguration
from .flows.configurations.distribution import PyTorchConfiguration as PyTorchConfiguration
from .flows.configurations.distribution import TensorflowConfiguration as TensorflowConfiguration
from .flows.configurations.estimator import Chainer as Chainer
from .flows.configurations.estimator import Estimator as Estimator
from .flows.configurations.estimator import PyTorch as PyTorch
from .flows.configurations.estimator import SKLearn as SKLearn
from .flows.configurations.estimator import TensorFlow as TensorFlow
from .flows.configurations.notebook_run_config import NotebookRunConfig as NotebookRunConfig
from .flows.configurations.run_configuration import DockerConfiguration as DockerConfiguration
from .flows.configurations.run_configuration import RunConfiguration as RunConfiguration
from .flows.configurations.script_run_config import ScriptRunConfig as ScriptRunConfig
from .flows.datasets.output_datasets import PipelineOutputFileDataset as PipelineOutputFileDataset
from .flows.datasets.output_datasets import PipelineOutputTabularDataset as PipelineOutputTabularDataset
from .flows.datasets.output_tables import OutputTabularDatasetConfig as OutputTabularDatasetConfig
from .flows.dynamic.step_values import StepValue as StepValue
from .flows.dynamic.step_values import metric as metric
from .flows.parameters.parameter_file import ParameterFile as ParameterFile
from .flows.parameters.pipeline_parameter import PipelineParameter as PipelineParameter
from .flows.public.experiment import Experiment as Experiment
from .flows.public.hyperdrive_run import HyperDriveRun as HyperDriveRun
from .flows.public.hyperdrive_run import HyperDriveStepRun as HyperDriveStepRun
from .flows.public.model import Model as Model
from .flows.public.pipeline import Pipeline as Pipeline
from .flows.public.pipeline_run import PipelineRun as PipelineRun
from .flows.public.published_pipeline import PublishedPipeline as PublishedPipeline
from .flows.public.step_run import StepRun as StepRun
from .flows.public.workspace import Workspace as Workspace
from .flows.steps.data.adla_step import AdlaStep as AdlaStep
from .flows.steps.data.data_transfer_step import DataTransferStep as DataTransferStep
from .flows.steps.data.databricks_libraries import EggLibrary as EggLibrary
from .flows.steps.data.databricks_libraries import JarLibrary as JarLibrary
from .flows.steps.data.databricks_libraries import MavenLibrary as MavenLibrary
from .flows.steps.data.databricks_libraries import PyPiLibrary as PyPiLibrary
from .flows.steps.data.databricks_libraries import RCranLibrary as RCranLibrary
from .flows.steps.data.databricks_step import DatabricksStep as DatabricksStep
from .flows.steps.data.hdfs_output import HDFSOutputDatasetConfig as HDFSOutputDatasetConfig
from .flows.steps.data.kusto_step import KustoStep as KustoStep
from .flows.steps.data.sql_data_reference import SqlDataReference as SqlDataReference
from .flows.steps.data.sql_data_reference import StoredProcedureParameter as StoredProcedureParameter
from .flows.steps.data.sql_data_reference import StoredProcedureParameterType as StoredProcedureParameterType
from .flows.steps.data.synapse_spark_step import SynapseSparkStep as SynapseSparkStep
from .flows.steps.fan_out.automl_step import AutoMLStep as AutoMLStep
from .flows.steps.fan_out.hyperdrive_config import HyperDriveConfig as HyperDriveConfig
from .flows.steps.fan_out.hyperdrive_config import PrimaryMetricGoal as PrimaryMetricGoal
from .flows.steps.fan_out.hyperdrive_expressions import choice as choice
from .flows.steps.fan_out.hyperdrive_expressions import lognormal as lognormal
from .flows.steps.fan_out.hyperdrive_expressions import loguniform as loguniform
from .flows.steps.fan_out.hyperdrive_expressions import normal as normal
from .flows.steps.fan_out.hyperdrive_expressions import qlognormal as qlognormal
from .flows.steps.fan_out.hyperdrive_expressions import qloguniform as qloguniform
from .flows.steps.fan_out.hyperdrive_expressions import qnormal as qnormal
from .flows.steps.fan_out.hyperdrive_expressions import quniform as quniform
from .flows.steps.fan_out.hyperdrive_expressions import randint as randint
from .flows.steps.fan_out.hyperdrive_expressions import uniform as uniform
from .flows.steps.fan_out.hyperdrive_policies import BanditPolicy as BanditPolicy
from .flows.steps.fan_out.hyperdrive_policies import MedianStoppingPolicy as MedianStoppingPolicy
from .flows.steps.fan_out.hyperdrive_policies import NoTerminationPolicy as NoTerminationPolicy
from .flows.steps.fan_out.hyperdrive_policies import TruncationSelectionPolicy as TruncationSelectionPolicy
from .flows.steps.fan_out.hyperdrive_sampling import BayesianParameterSampling as BayesianParameterSampling
from .flows.steps.fan_out.hyperdrive_sampling import GridParameterSampling as GridParameterSampling
from .flows.steps.fan_out.hyperdrive_sampling import RandomParameterSampling as RandomParameterSampling
from .flows.steps.fan_out.hyperdrive_step import HyperDriveStep as HyperDriveStep
from .flows.steps.fan_out.parallel_run_config import ParallelRunConfig as ParallelRunConfig
from .flows.steps.fan_out.parallel_run_step import ParallelRunStep as ParallelRunStep
from .flows.steps.outputs import OutputFileDatasetConfig as OutputFileDatasetConfig
from .flows.steps.outputs import PipelineData as PipelineData
from .flows.steps.scripts.azure_batch_step import AzureBatchStep as AzureBatchStep
from .flows.steps.scripts.command_step import CommandStep as CommandStep
from .flows.steps.scripts.estimator_step import EstimatorStep as EstimatorStep
from .flows.steps.scripts.module_step import ModuleStep as ModuleStep
from .flows.steps.scripts.mpi_step import MpiStep as MpiStep
from .flows.steps.scripts.notebook_runner_step import NotebookRunnerStep as NotebookRunnerStep
from .flows.steps.scripts.python_script_step import PythonScriptStep as PythonScriptStep
from .flows.steps.scripts.r_script_step import RScriptStep as RScriptStep
from .flows.steps.sequence import StepSequence as StepSequence
from .flows.steps.training_output import TrainingOutput as TrainingOutput
from .script.run import Run as Run
from .script.tables.reading_options import FileEncoding as FileEncoding
from .script.tables.reading_options import PromoteHeadersBehavior as PromoteHeadersBehavior

__version__: str

__all__ = [
    "AdlaCompute",
    "AdlaStep",
    "AmlCompute",
    "AutoMLConfig",
    "AutoMLRun",
    "AutoMLStep",
    "AutoMLStepRun",
    "AzureBatchStep",
    "AzureCliAuthentication",
    "BanditPolicy",
    "BatchCompute",
    "BayesianParameterSampling",
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
    "DatabricksCompute",
    "DatabricksStep",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DockerCompute",
    "DockerConfiguration",
    "EggLibrary",
    "Environment",
    "Estimator",
    "EstimatorStep",
    "Experiment",
    "FileDataset",
    "FileEncoding",
    "GridParameterSampling",
    "HDFSOutputDatasetConfig",
    "HyperDriveConfig",
    "HyperDriveRun",
    "HyperDriveStep",
    "HyperDriveStepRun",
    "InputPortDef",
    "InteractiveLoginAuthentication",
    "JarLibrary",
    "KustoCompute",
    "KustoStep",
    "LinkedService",
    "LocalCompute",
    "LocalData",
    "MavenLibrary",
    "MedianStoppingPolicy",
    "Model",
    "Module",
    "ModuleStep",
    "ModuleVersion",
    "MpiConfiguration",
    "MpiStep",
    "MsiAuthentication",
    "NoTerminationPolicy",
    "NotebookRunConfig",
    "NotebookRunnerStep",
    "OutputFileDatasetConfig",
    "OutputPortDef",
    "OutputTabularDatasetConfig",
    "ParallelRunConfig",
    "ParallelRunStep",
    "ParameterFile",
    "Pipeline",
    "PipelineData",
    "PipelineDraft",
    "PipelineEndpoint",
    "PipelineOutputFileDataset",
    "PipelineOutputTabularDataset",
    "PipelineParameter",
    "PipelineRun",
    "PrimaryMetricGoal",
    "PromoteHeadersBehavior",
    "PublishedPipeline",
    "PyPiLibrary",
    "PyTorch",
    "PyTorchConfiguration",
    "PythonScriptStep",
    "RCranLibrary",
    "RScriptStep",
    "RandomParameterSampling",
    "Run",
    "RunConfiguration",
    "SKLearn",
    "Schedule",
    "ScheduleRecurrence",
    "ScriptRunConfig",
    "ServicePrincipalAuthentication",
    "SparkCompute",
    "SqlDataReference",
    "StepRun",
    "StepSequence",
    "StepValue",
    "StepwellError",
    "StoredProcedureParameter",
    "StoredProcedureParameterType",
    "SynapseCompute",
    "SynapseSparkStep",
    "SynapseWorkspaceLinkedServiceConfiguration",
    "TabularDataset",
    "TensorFlow",
    "TensorflowConfiguration",
    "TimeZone",
    "TokenAuthentication",
    "TrainingOutput",
    "TruncationSelectionPolicy",
    "Workspace",
    "choice",
    "lognormal",
    "loguniform",
    "metric",
    "normal",
    "qlognormal",
    "qloguniform",
    "qnormal",
    "quniform",
    "randint",
    "uniform",
]
