"""Every public name of the Azure ML SDK v1, and what carries it: the one table that imports and the docs read.

A carrier is `module:attribute`; a name without one can be imported, and refuses when it is used.
"""

from __future__ import annotations


class Name:
    """A name of the SDK; a plain class, since scripts wait for it.

    Attributes:
        carrier: What is behind it, as `module:attribute`.
        differs: How it differs from the SDK's; '' if it does not.
        instead: What to use where there is no carrier, as a clause that begins with a verb.
        error: Whether it is an exception, which can be caught even where nothing raises it.
    """

    def __init__(self, carrier: str = "", differs: str = "", instead: str = "", error: bool = False) -> None:
        self.carrier, self.differs, self.instead, self.error = carrier, differs, instead, error


def _carried(module: str, words: str, *, error: bool = False) -> dict[str, Name]:
    return {name: Name(f"{module}:{name}", error=error) for name in words.split()}


def _refused(instead: str, words: str) -> dict[str, Name]:
    return {name: Name(instead=instead) for name in words.split()}


_ONE_MACHINE = "starts all processes on the machine that runs the step"

NAMES: dict[str, Name] = {
    **_carried(
        "stepwell",
        """Workspace Experiment Run Datastore Environment RunConfiguration ScriptRunConfig ComputeTarget AmlCompute
        CondaDependencies DockerConfiguration DataReference DataPath DataPathComputeBinding OutputFileDatasetConfig
        Pipeline PipelineData PipelineParameter PipelineEndpoint PipelineRun PublishedPipeline Schedule
        ScheduleRecurrence StepRun StepSequence TimeZone PythonScriptStep CommandStep DataTransferStep
        InteractiveLoginAuthentication ServicePrincipalAuthentication MsiAuthentication AzureCliAuthentication
        TokenAuthentication Dataset FileDataset TabularDataset DatasetConsumptionConfig DataType FileEncoding
        PromoteHeadersBehavior TrainingOutput HyperDriveStepRun HyperDriveRun RandomParameterSampling
        GridParameterSampling BayesianParameterSampling BanditPolicy MedianStoppingPolicy TruncationSelectionPolicy
        NoTerminationPolicy PrimaryMetricGoal choice uniform quniform loguniform qloguniform normal qnormal lognormal
        qlognormal randint""",
    ),
    "HyperDriveStep": Name("stepwell:HyperDriveStep", "reuses each trial by itself; its sweep runs on this machine"),
    "HyperDriveConfig": Name("stepwell:HyperDriveConfig", "takes no pipeline, and no earlier runs to resume from"),
    "HyperDriveRunConfig": Name("stepwell.flows.steps.fan_out.hyperdrive_config:HyperDriveRunConfig"),
    **_carried("stepwell.blocks.datasets.factories", "FileDatasetFactory TabularDatasetFactory"),
    **_carried("stepwell.blocks.datasets.abstract_dataset", "AbstractDataset"),
    **_carried(
        "stepwell.script.run",
        """_OfflineRun""",
    ),
    **_carried(
        "stepwell.blocks.datastores.v1_kinds",
        """AzureBlobDatastore AzureFileDatastore AzureDataLakeDatastore AzureDataLakeGen2Datastore DBFSDatastore
        AzureSqlDatabaseDatastore AzurePostgreSqlDatastore AzureMySqlDatastore HDFSDatastore
        AbstractAzureStorageDatastore AbstractADLSDatastore""",
    ),
    **_carried("stepwell", "OutputTabularDatasetConfig PipelineOutputFileDataset PipelineOutputTabularDataset"),
    **_carried("stepwell.flows.datasets.output_datasets", "PipelineOutputAbstractDataset"),
    **_carried("stepwell", "Module ModuleVersion ModuleStep InputPortDef OutputPortDef PipelineDraft"),
    **_carried("stepwell", "SqlDataReference StoredProcedureParameter StoredProcedureParameterType DataFactoryCompute"),
    **_carried("stepwell", "KustoCompute KustoStep"),
    "AutoMLConfig": Name("stepwell:AutoMLConfig", "classification and regression of tables, by FLAML"),
    "AutoMLStep": Name("stepwell:AutoMLStep", "classification and regression of tables, by FLAML"),
    **_carried("stepwell", "AutoMLStepRun AutoMLRun"),
    **_carried("stepwell.flows.catalog.module_version", "ModuleVersionDescriptor"),
    **_carried("stepwell", "Estimator SKLearn PyTorch TensorFlow Chainer EstimatorStep RScriptStep"),
    "AzureBatchStep": Name(
        "stepwell:AzureBatchStep", "runs the program on any compute target, once, and makes no pool"
    ),
    "BatchCompute": Name("stepwell:BatchCompute", "is this machine: nothing is sent to Azure"),
    "MpiStep": Name("stepwell:MpiStep", _ONE_MACHINE),
    "MpiConfiguration": Name("stepwell:MpiConfiguration", _ONE_MACHINE),
    "PyTorchConfiguration": Name("stepwell:PyTorchConfiguration", _ONE_MACHINE),
    "TensorflowConfiguration": Name("stepwell:TensorflowConfiguration", _ONE_MACHINE),
    **_carried("stepwell.blocks.environments.r.r_section", "RSection RCranPackage RGitHubPackage"),
    **_carried("stepwell", "NotebookRunConfig NotebookRunnerStep"),
    **_carried("stepwell.flows.configurations.notebook_run_config", "AzureMLNotebookHandler"),
    **_carried("stepwell.flows.configurations.estimator", "MMLBaseEstimator"),
    **_carried("stepwell.flows.configurations.distribution", "Mpi Gloo Nccl ParameterServer"),
    **_carried(
        "stepwell",
        """MavenLibrary PyPiLibrary EggLibrary JarLibrary RCranLibrary HDFSOutputDatasetConfig LinkedService
        SynapseWorkspaceLinkedServiceConfiguration""",
    ),
    "DatabricksStep": Name(
        "stepwell:DatabricksStep", "gives paths of this machine where its target is no Databricks workspace"
    ),
    "SynapseSparkStep": Name("stepwell:SynapseSparkStep", "runs on a Spark of one's own"),
    "SynapseCompute": Name(
        "stepwell:SynapseCompute", "is a Spark of one's own, of this machine unless it has a `master`"
    ),
    "OutputDatasetConfig": Name("stepwell:OutputFileDatasetConfig"),
    "DatabricksCompute": Name(
        "stepwell:DatabricksCompute",
        "has the workspace's address of DATABRICKS_HOST, as there is no Azure to ask for it",
    ),
    "AbstractDatastore": Name("stepwell:Datastore"),
    "ScriptRun": Name("stepwell.flows.public.interactive_run:ScriptRun"),
    "Keyvault": Name("stepwell.blocks.workspace.keyvault:Keyvault"),
    **_carried(
        "stepwell.flows.public.port_data_reference",
        """PortDataReference""",
    ),
    **_carried(
        "stepwell.errors",
        """UserErrorException WorkspaceException SnapshotException ComputeTargetException RunEnvironmentException
        ExperimentExecutionException ActivityFailedException WebserviceException ModelNotFoundException
        ModelPathNotFoundException DatasetException DatasetValidationError DatasetExecutionError""",
        error=True,
    ),
    **_carried(
        "azureml.errors",
        """AuthenticationException RunConfigurationException ProjectSystemException TrainingException
        ParallelRunException ImageException KeyVaultException ScenarioException AutoMLException""",
        error=True,
    ),
    "AdlaCompute": Name("stepwell:AdlaCompute", "runs U-SQL on this machine; the account is kept, and not asked"),
    "AdlaStep": Name("stepwell:AdlaStep", "runs U-SQL with DuckDB"),
    "PipelineStep": Name("stepwell.flows.steps.step:Step"),
    "ParallelRunStep": Name("stepwell:ParallelRunStep"),
    "ParallelRunConfig": Name("stepwell:ParallelRunConfig", "counts nodes as a multiple of worker processes"),
    "EntryScript": Name("stepwell.drivers.parallel_run.entry_script:EntryScript"),
    "Model": Name("stepwell:Model", "is registered and found; not deployed"),
    "StepRunOutput": Name("stepwell.flows.public.port_data_reference:PortDataReference"),
    "DEFAULT_CPU_IMAGE": Name("stepwell.blocks.environments.sections:DEFAULT_CPU_IMAGE", "names an image of Stepwell"),
    "DEFAULT_GPU_IMAGE": Name("stepwell.blocks.environments.sections:DEFAULT_GPU_IMAGE", "names an image of Stepwell"),
    "VERSION": Name("azureml.values:VERSION", "is the last release of the SDK, whose names these are"),
    "__version__": Name("azureml.values:VERSION", "is the last release of the SDK, whose names these are"),
    "RunDetails": Name("azureml.run_details:RunDetails", "shows a table that follows the run, in place of a widget"),
    "set_diagnostics_collection": Name("azureml.values:set_diagnostics_collection", "sends nothing to anybody"),
    "HttpOperationError": Name(
        "stepwell.errors:DatastoreException",
        "is there where msrest, on which the SDK stands, is not installed",
        error=True,
    ),
    "AzureMLException": Name("stepwell.errors:StepwellError", error=True),
    "ErrorResponseException": Name("stepwell.errors:UserErrorException", error=True),
    **_refused(
        "pass the dataset with `dataset.as_named_input(name)`",
        """PipelineDataset""",
    ),
    **_refused(
        "let the script write files, to an OutputFileDatasetConfig",
        """LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig""",
    ),
    **_refused(
        "serve models outside of Stepwell, which runs pipelines; publish a pipeline for batch scoring",
        """InferenceConfig ModelPackage Webservice AksWebservice AciWebservice LocalWebservice AksEndpoint Image ContainerImage ResourceConfiguration AksCompute ContainerRegistry""",
    ),
    **_refused(
        "use AmlCompute, DaskCompute, CudaCompute, DockerCompute or LocalCompute of stepwell",
        """RemoteCompute HDInsightCompute DsvmCompute ComputeInstance KubernetesCompute""",
    ),
    **_refused(
        "start several processes in the script of one step",
        """ParallelTaskConfiguration""",
    ),
    **_refused(
        "set it in the Environment of the run configuration",
        """SparkConfiguration HistoryConfiguration DockerBuildContext PythonSection DockerSection""",
    ),
    **_refused(
        "use ServicePrincipalAuthentication",
        """ArmTokenAuthentication AbstractAuthentication""",
    ),
    **_refused(
        "write the ports as inputs= and outputs= of the step",
        """InputPortBinding OutputPortBinding Graph Node Edge""",
    ),
    **_refused(
        "run the script in a PythonScriptStep that searches",
        """AutoMLPipelineBuilder""",
    ),
}
"""What is behind each name."""


def meaning(name: str) -> str:
    """Return `works`, `differs` or `refuses`."""
    facts = NAMES[name]
    return "refuses" if not facts.carrier else "differs" if facts.differs else "works"
