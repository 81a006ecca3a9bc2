"""Every public name of the Azure ML SDK v1, and what carries it: the one table that imports, the docs and `migrate check` read.

A carrier is `module:attribute`; a name without one can be imported, and refuses when it is used.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """A name of the SDK."""

    carrier: str = ""
    """What is behind it, as `module:attribute`."""

    differs: str = ""
    """How it differs from the SDK's; '' if it does not."""

    instead: str = ""
    """What to use where there is no carrier, as a clause that begins with a verb."""

    error: bool = False
    """Whether it is an exception, which can be caught even where nothing raises it."""


def _stepwell(*names: str) -> dict[str, Name]:
    return {name: Name(f"stepwell:{name}") for name in names}


def _refused(instead: str, *names: str) -> dict[str, Name]:
    return {name: Name(instead=instead) for name in names}


_SCRIPT = "run the script in a PythonScriptStep"
_DEPLOY = "serve models outside of Stepwell, which runs pipelines; publish a pipeline for batch scoring"
_DATASET = "name the data by a DataReference or a DataPath"
_COMPUTE = "use AmlCompute, DaskCompute, CudaCompute, DockerCompute or LocalCompute of stepwell"
_SWEEP = "submit the pipeline once for each set of parameters"

NAMES: dict[str, Name] = {
    **_stepwell(
        *(
            "Workspace",
            "Experiment",
            "Run",
            "Datastore",
            "Environment",
            "RunConfiguration",
            "ScriptRunConfig",
            "ComputeTarget",
        ),
        *(
            "AmlCompute",
            "CondaDependencies",
            "DockerConfiguration",
            "DataReference",
            "DataPath",
            "DataPathComputeBinding",
        ),
        *(
            "OutputFileDatasetConfig",
            "Pipeline",
            "PipelineData",
            "PipelineParameter",
            "PipelineEndpoint",
            "PipelineRun",
        ),
        *(
            "PublishedPipeline",
            "Schedule",
            "ScheduleRecurrence",
            "StepRun",
            "StepSequence",
            "TimeZone",
            "PythonScriptStep",
        ),
        *("CommandStep", "DataTransferStep", "InteractiveLoginAuthentication", "ServicePrincipalAuthentication"),
        *("MsiAuthentication", "AzureCliAuthentication", "TokenAuthentication"),
    ),
    "_OfflineRun": Name("stepwell.script.run:_OfflineRun"),
    "PipelineStep": Name("stepwell.flows.steps.step:Step"),
    "Model": Name("stepwell:Model", "is registered and found; not deployed"),
    "PortDataReference": Name("stepwell.flows.public.port_data_reference:PortDataReference"),
    "StepRunOutput": Name("stepwell.flows.public.port_data_reference:PortDataReference"),
    "DEFAULT_CPU_IMAGE": Name("stepwell.blocks.environments.sections:DEFAULT_CPU_IMAGE", "names an image of Stepwell"),
    "DEFAULT_GPU_IMAGE": Name("stepwell.blocks.environments.sections:DEFAULT_GPU_IMAGE", "names an image of Stepwell"),
    "VERSION": Name("azureml.values:VERSION", "is the last release of the SDK, whose names these are"),
    "__version__": Name("azureml.values:VERSION", "is the last release of the SDK, whose names these are"),
    "RunDetails": Name("azureml.run_details:RunDetails", "shows a table in place of a widget"),
    "set_diagnostics_collection": Name("azureml.values:set_diagnostics_collection", "sends nothing to anybody"),
    # Exceptions
    "AzureMLException": Name("stepwell.errors:StepwellError", error=True),
    **{
        name: Name(f"stepwell.errors:{name}", error=True)
        for name in (
            *("UserErrorException", "WorkspaceException", "SnapshotException", "ComputeTargetException"),
            *("RunEnvironmentException", "ExperimentExecutionException", "ActivityFailedException"),
            *("WebserviceException", "ModelNotFoundException", "ModelPathNotFoundException"),
        )
    },
    "AuthenticationException": Name("azureml.errors:AuthenticationException", error=True),
    **{
        name: Name(f"azureml.errors:{name}", error=True)
        for name in (
            *("RunConfigurationException",),
            *(
                "ProjectSystemException",
                "TrainingException",
                "ParallelRunException",
                "ImageException",
                "DatasetException",
            ),
            *(
                "DatasetValidationError",
                "DatasetExecutionError",
                "KeyVaultException",
                "ScenarioException",
                "AutoMLException",
            ),
        )
    },
    "ErrorResponseException": Name("stepwell.errors:UserErrorException", error=True),
    # Refused
    **_refused(
        _DATASET, "Dataset", "FileDataset", "TabularDataset", "DatasetConsumptionConfig", "PipelineDataset", "DataType"
    ),
    **_refused(
        _DATASET, "FileDatasetFactory", "TabularDatasetFactory", "AbstractDataset", "LinkTabularOutputDatasetConfig"
    ),
    **_refused(
        _DATASET, "OutputDatasetConfig", "OutputTabularDatasetConfig", "HDFSOutputDatasetConfig", "SqlDataReference"
    ),
    **_refused(_DATASET, "PipelineOutputFileDataset", "PipelineOutputTabularDataset", "PipelineOutputAbstractDataset"),
    **_refused(
        _DATASET, "PromoteHeadersBehavior", "FileEncoding", "StoredProcedureParameter", "StoredProcedureParameterType"
    ),
    **_refused(
        "register the store by its URL: Datastore.register(workspace, name, url)",
        *(
            "AzureBlobDatastore",
            "AzureFileDatastore",
            "AzureDataLakeDatastore",
            "AzureDataLakeGen2Datastore",
            "DBFSDatastore",
        ),
        *(
            "AzureSqlDatabaseDatastore",
            "AzurePostgreSqlDatastore",
            "AzureMySqlDatastore",
            "AbstractDatastore",
            "HDFSDatastore",
        ),
        "AbstractAzureStorageDatastore",
    ),
    **_refused(_DEPLOY, "InferenceConfig", "ModelPackage"),
    **_refused(
        _DEPLOY,
        "Webservice",
        "AksWebservice",
        "AciWebservice",
        "LocalWebservice",
        "AksEndpoint",
        "Image",
        "ContainerImage",
    ),
    **_refused(_DEPLOY, "ResourceConfiguration", "AksCompute", "ContainerRegistry"),
    **_refused(_COMPUTE, "DatabricksCompute", "AdlaCompute", "BatchCompute", "DataFactoryCompute", "RemoteCompute"),
    **_refused(_COMPUTE, "HDInsightCompute", "DsvmCompute", "KustoCompute", "SynapseCompute", "ComputeInstance"),
    **_refused(_COMPUTE, "KubernetesCompute", "LinkedService", "SynapseWorkspaceLinkedServiceConfiguration"),
    **_refused("give the secret as a variable of the environment", "Keyvault"),
    **_refused(
        "start several processes in the script of one step",
        *(
            "MpiConfiguration",
            "PyTorchConfiguration",
            "TensorflowConfiguration",
            "ParallelTaskConfiguration",
            "MpiStep",
        ),
        *("Mpi", "Gloo", "Nccl", "ParameterServer"),
    ),
    **_refused("set it in the Environment of the run configuration", "SparkConfiguration", "HistoryConfiguration"),
    **_refused(
        "set it in the Environment of the run configuration", "DockerBuildContext", "PythonSection", "DockerSection"
    ),
    **_refused("use Experiment.submit", "ScriptRun"),
    **_refused("use ServicePrincipalAuthentication", "ArmTokenAuthentication", "AbstractAuthentication"),
    **_refused(
        "install the package by the environment of the step",
        *("MavenLibrary", "PyPiLibrary", "EggLibrary", "JarLibrary", "RCranLibrary"),
    ),
    **_refused(
        "write the ports as inputs= and outputs= of the step",
        *(
            "InputPortBinding",
            "OutputPortBinding",
            "InputPortDef",
            "OutputPortDef",
            "Graph",
            "Node",
            "Edge",
            "TrainingOutput",
        ),
    ),
    **_refused(
        "make the step again from its script", "Module", "ModuleVersion", "ModuleVersionDescriptor", "ModuleStep"
    ),
    **_refused("publish the pipeline, or keep its file in version control", "PipelineDraft"),
    **_refused(f"{_SCRIPT} that handles its files in batches", "ParallelRunStep", "ParallelRunConfig", "EntryScript"),
    **_refused(
        _SCRIPT, "EstimatorStep", "Estimator", "MMLBaseEstimator", "SKLearn", "PyTorch", "TensorFlow", "Chainer"
    ),
    **_refused(_SCRIPT, "AdlaStep", "DatabricksStep", "SynapseSparkStep", "AzureBatchStep", "KustoStep", "RScriptStep"),
    **_refused(
        f"{_SCRIPT} that searches", "AutoMLStep", "AutoMLStepRun", "AutoMLConfig", "AutoMLRun", "AutoMLPipelineBuilder"
    ),
    **_refused("run `papermill` in a CommandStep", "NotebookRunnerStep", "AzureMLNotebookHandler", "NotebookRunConfig"),
    **_refused(
        _SWEEP,
        *("HyperDriveStep", "HyperDriveStepRun", "HyperDriveConfig", "HyperDriveRun", "HyperDriveRunConfig"),
        *("RandomParameterSampling", "GridParameterSampling", "BayesianParameterSampling", "BanditPolicy"),
        *(
            "MedianStoppingPolicy",
            "TruncationSelectionPolicy",
            "NoTerminationPolicy",
            "PrimaryMetricGoal",
            "choice",
            "uniform",
        ),
        *("quniform", "loguniform", "qloguniform", "normal", "qnormal", "lognormal", "qlognormal", "randint"),
    ),
}
"""What is behind each name."""

_CORE_NAMES = (
    *(
        "Workspace",
        "Experiment",
        "Run",
        "ScriptRun",
        "Datastore",
        "Dataset",
        "Environment",
        "Model",
        "RunConfiguration",
    ),
    *("ScriptRunConfig", "ComputeTarget", "Keyvault", "ContainerRegistry", "LinkedService", "Webservice", "Image"),
    *("SynapseWorkspaceLinkedServiceConfiguration", "VERSION", "__version__"),
)
_SWEEP_NAMES = tuple(
    name for name, facts in NAMES.items() if facts.instead == _SWEEP and not name.startswith("HyperDriveStep")
)
_DATA_NAMES = (
    *(
        "OutputFileDatasetConfig",
        "HDFSOutputDatasetConfig",
        "LinkTabularOutputDatasetConfig",
        "FileDataset",
        "TabularDataset",
    ),
    *("DataType", "OutputDatasetConfig"),
)
_EXCEPTIONS = tuple(name for name, facts in NAMES.items() if facts.error and name != "ErrorResponseException")
_COMPUTES = {
    "amlcompute": "AmlCompute",
    "aks": "AksCompute",
    "adla": "AdlaCompute",
    "databricks": "DatabricksCompute",
    "datafactory": "DataFactoryCompute",
    "batch": "BatchCompute",
    "remote": "RemoteCompute",
    "hdinsight": "HDInsightCompute",
    "dsvm": "DsvmCompute",
    "kusto": "KustoCompute",
    "synapse": "SynapseCompute",
    "computeinstance": "ComputeInstance",
    "kubernetescompute": "KubernetesCompute",
}
_STEPS = {
    "adla_step": ("AdlaStep",),
    "automl_step": ("AutoMLStep", "AutoMLStepRun"),
    "azurebatch_step": ("AzureBatchStep",),
    "command_step": ("CommandStep",),
    "data_transfer_step": ("DataTransferStep",),
    "databricks_step": ("DatabricksStep",),
    "estimator_step": ("EstimatorStep",),
    "hyper_drive_step": ("HyperDriveStep", "HyperDriveStepRun"),
    "kusto_step": ("KustoStep",),
    "module_step": ("ModuleStep",),
    "mpi_step": ("MpiStep",),
    "parallel_run_config": ("ParallelRunConfig",),
    "parallel_run_step": ("ParallelRunStep",),
    "python_script_step": ("PythonScriptStep",),
    "r_script_step": ("RScriptStep",),
    "synapse_spark_step": ("SynapseSparkStep",),
}
_PIPELINE = (
    *(
        "InputPortBinding",
        "Module",
        "ModuleVersion",
        "ModuleVersionDescriptor",
        "OutputPortBinding",
        "Pipeline",
        "PipelineData",
    ),
    *("PipelineDataset", "PipelineDraft", "PipelineEndpoint", "PipelineParameter", "PipelineRun", "PipelineStep"),
    *(
        "PortDataReference",
        "PublishedPipeline",
        "Schedule",
        "ScheduleRecurrence",
        "StepRun",
        "StepRunOutput",
        "StepSequence",
    ),
    *("TimeZone", "TrainingOutput"),
)
_RUN_CONFIGURATION = (
    *(
        "RunConfiguration",
        "CondaDependencies",
        "Environment",
        "DockerConfiguration",
        "DEFAULT_CPU_IMAGE",
        "DEFAULT_GPU_IMAGE",
    ),
    *(
        "MpiConfiguration",
        "PyTorchConfiguration",
        "TensorflowConfiguration",
        "ParallelTaskConfiguration",
        "SparkConfiguration",
    ),
    *(
        "HistoryConfiguration",
        "ContainerRegistry",
        "MavenLibrary",
        "PyPiLibrary",
        "EggLibrary",
        "JarLibrary",
        "RCranLibrary",
    ),
)
_LIBRARIES = ("MavenLibrary", "PyPiLibrary", "EggLibrary", "JarLibrary", "RCranLibrary")
_ESTIMATORS = ("PyTorch", "TensorFlow", "Chainer", "Mpi", "Gloo", "Nccl", "ParameterServer")

MODULES: dict[str, tuple[str, ...]] = {
    "azureml.core": _CORE_NAMES,
    "azureml.core.workspace": ("Workspace",),
    "azureml.core.experiment": ("Experiment",),
    "azureml.core.run": ("Run", "_OfflineRun"),
    "azureml.core.script_run": ("ScriptRun",),
    "azureml.core.script_run_config": ("ScriptRunConfig",),
    "azureml.core.datastore": ("Datastore",),
    "azureml.core.dataset": ("Dataset",),
    "azureml.core.environment": (
        "Environment",
        "CondaDependencies",
        "DEFAULT_CPU_IMAGE",
        "DEFAULT_GPU_IMAGE",
        "DockerBuildContext",
        "DockerSection",
        "PythonSection",
    ),
    "azureml.core.conda_dependencies": ("CondaDependencies",),
    "azureml.core.runconfig": _RUN_CONFIGURATION,
    "azureml.core.model": ("Model", "InferenceConfig", "ModelPackage"),
    "azureml.core.compute": ("ComputeTarget", *_COMPUTES.values()),
    "azureml.core.compute.compute": ("ComputeTarget", "ComputeTargetException"),
    **{f"azureml.core.compute.{module}": (name,) for module, name in _COMPUTES.items()},
    "azureml.core.compute_target": ("ComputeTargetException", "ComputeTarget", "AmlCompute"),
    "azureml.core.authentication": (
        *(
            "InteractiveLoginAuthentication",
            "ServicePrincipalAuthentication",
            "MsiAuthentication",
            "AzureCliAuthentication",
        ),
        *("TokenAuthentication", "ArmTokenAuthentication", "AbstractAuthentication", "AuthenticationException"),
    ),
    "azureml.core.webservice": (
        "Webservice",
        "AksWebservice",
        "AciWebservice",
        "LocalWebservice",
        "AksEndpoint",
        "WebserviceException",
    ),
    "azureml.core.webservice.webservice": ("Webservice", "WebserviceException"),
    "azureml.core.webservice.aks": ("AksWebservice", "AksEndpoint"),
    "azureml.core.webservice.aci": ("AciWebservice",),
    "azureml.core.image": ("ContainerImage", "Image"),
    "azureml.core.image.container": ("ContainerImage",),
    "azureml.core.keyvault": ("Keyvault",),
    "azureml.core.container_registry": ("ContainerRegistry",),
    "azureml.core.resource_configuration": ("ResourceConfiguration",),
    "azureml.core.linked_service": ("LinkedService", "SynapseWorkspaceLinkedServiceConfiguration"),
    "azureml.core.databricks": _LIBRARIES,
    "azureml.exceptions": _EXCEPTIONS,
    "azureml.data": _DATA_NAMES,
    "azureml.data.data_reference": ("DataReference",),
    "azureml.data.datapath": ("DataPath", "DataPathComputeBinding"),
    "azureml.data.dataset_consumption_config": ("DatasetConsumptionConfig",),
    "azureml.data.output_dataset_config": (
        *("OutputFileDatasetConfig", "OutputTabularDatasetConfig", "OutputDatasetConfig", "HDFSOutputDatasetConfig"),
        "LinkTabularOutputDatasetConfig",
    ),
    "azureml.data.dataset_factory": ("FileDatasetFactory", "TabularDatasetFactory", "DataType"),
    "azureml.data.dataset_type_definitions": ("PromoteHeadersBehavior", "FileEncoding"),
    "azureml.data.dataset_error_handling": ("DatasetValidationError", "DatasetExecutionError"),
    "azureml.data.abstract_dataset": ("AbstractDataset",),
    "azureml.data.abstract_datastore": ("AbstractDatastore",),
    "azureml.data.file_dataset": ("FileDataset",),
    "azureml.data.tabular_dataset": ("TabularDataset",),
    "azureml.data.azure_storage_datastore": (
        "AzureBlobDatastore",
        "AzureFileDatastore",
        "AbstractAzureStorageDatastore",
    ),
    "azureml.data.azure_data_lake_datastore": ("AzureDataLakeDatastore", "AzureDataLakeGen2Datastore"),
    "azureml.data.azure_sql_database_datastore": ("AzureSqlDatabaseDatastore",),
    "azureml.data.azure_postgre_sql_datastore": ("AzurePostgreSqlDatastore",),
    "azureml.data.azure_my_sql_datastore": ("AzureMySqlDatastore",),
    "azureml.data.dbfs_datastore": ("DBFSDatastore",),
    "azureml.data.hdfs_datastore": ("HDFSDatastore",),
    "azureml.data.sql_data_reference": ("SqlDataReference",),
    "azureml.data.stored_procedure_parameter": ("StoredProcedureParameter", "StoredProcedureParameterType"),
    "azureml.pipeline.core": _PIPELINE,
    "azureml.pipeline.core.pipeline": ("Pipeline",),
    "azureml.pipeline.core.builder": ("PipelineStep", "PipelineData", "StepSequence", "PipelineDataset"),
    "azureml.pipeline.core.graph": (
        *(
            "PipelineParameter",
            "PublishedPipeline",
            "InputPortDef",
            "OutputPortDef",
            "InputPortBinding",
            "OutputPortBinding",
        ),
        *(
            "Graph",
            "Node",
            "Edge",
            "PipelineDataset",
            "TrainingOutput",
            "Module",
            "ModuleVersion",
            "PortDataReference",
            "StepRun",
        ),
    ),
    "azureml.pipeline.core.run": ("PipelineRun", "StepRun", "StepRunOutput", "PortDataReference"),
    "azureml.pipeline.core.schedule": ("Schedule", "ScheduleRecurrence", "TimeZone"),
    "azureml.pipeline.core.module": ("Module", "ModuleVersion", "ModuleVersionDescriptor"),
    "azureml.pipeline.core.pipeline_endpoint": ("PipelineEndpoint",),
    "azureml.pipeline.core.pipeline_draft": ("PipelineDraft",),
    "azureml.pipeline.core.pipeline_output_dataset": (
        *("PipelineOutputFileDataset", "PipelineOutputTabularDataset", "PipelineOutputAbstractDataset"),
    ),
    "azureml.pipeline.core._restclients.aeva.models.error_response": ("ErrorResponseException",),
    "azureml.pipeline.core._restclients.aeva.models": ("ErrorResponseException",),
    "azureml.pipeline.steps": tuple(name for names in _STEPS.values() for name in names),
    **{f"azureml.pipeline.steps.{module}": names for module, names in _STEPS.items()},
    "azureml.train.estimator": ("Estimator", "MMLBaseEstimator"),
    "azureml.train.sklearn": ("SKLearn",),
    "azureml.train.dnn": _ESTIMATORS,
    "azureml.train.hyperdrive": _SWEEP_NAMES,
    "azureml.train.hyperdrive.runconfig": ("HyperDriveConfig", "HyperDriveRunConfig"),
    "azureml.train.hyperdrive.run": ("HyperDriveRun",),
    "azureml.train.hyperdrive.sampling": (
        "RandomParameterSampling",
        "GridParameterSampling",
        "BayesianParameterSampling",
    ),
    "azureml.train.hyperdrive.policy": (
        "BanditPolicy",
        "MedianStoppingPolicy",
        "TruncationSelectionPolicy",
        "NoTerminationPolicy",
    ),
    "azureml.train.hyperdrive.parameter_expressions": (
        *(
            "choice",
            "uniform",
            "quniform",
            "loguniform",
            "qloguniform",
            "normal",
            "qnormal",
            "lognormal",
            "qlognormal",
            "randint",
        ),
    ),
    "azureml.train.automl": ("AutoMLConfig", "AutoMLStep", "AutoMLStepRun", "AutoMLRun"),
    "azureml.train.automl.run": ("AutoMLRun",),
    "azureml.train.automl.runtime": ("AutoMLStep", "AutoMLStepRun"),
    "azureml.train.automl.exceptions": ("AutoMLException",),
    "azureml.widgets": ("RunDetails",),
    "azureml.telemetry": ("set_diagnostics_collection",),
    "azureml.contrib.notebook": ("NotebookRunnerStep", "AzureMLNotebookHandler", "NotebookRunConfig"),
    "azureml.contrib.pipeline.steps": ("ParallelRunStep", "ParallelRunConfig"),
    "azureml.contrib.automl.pipeline.steps": ("AutoMLPipelineBuilder",),
    "azureml.contrib.train.automl": ("AutoMLPipelineBuilder",),
    "azureml_user.parallel_run": ("EntryScript",),
}
"""The modules of the SDK, and the names that each has."""

PACKAGES = {
    parent for module in MODULES for parent in (module.rsplit(".", up)[0] for up in range(1, module.count(".")))
}
"""The modules that hold others."""


def meaning(name: str) -> str:
    """Return `works`, `differs` or `refuses`."""
    facts = NAMES[name]
    return "refuses" if not facts.carrier else "differs" if facts.differs else "works"
