"""The modules of the Azure ML SDK v1, and which names each has."""

from __future__ import annotations

_WORDS = {
    "azureml.core": """Workspace Experiment Run ScriptRun Datastore Dataset Environment Model RunConfiguration ScriptRunConfig
        ComputeTarget Keyvault ContainerRegistry LinkedService Webservice Image
        SynapseWorkspaceLinkedServiceConfiguration VERSION __version__""",
    "azureml.core.workspace": "Workspace",
    "azureml.core.experiment": "Experiment",
    "azureml.core.run": "Run _OfflineRun",
    "azureml.core.script_run": "ScriptRun",
    "azureml.core.script_run_config": "ScriptRunConfig",
    "azureml.core.datastore": "Datastore",
    "azureml.core.dataset": "Dataset",
    "azureml.core.environment": """Environment CondaDependencies DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE DockerBuildContext DockerSection
        PythonSection RSection RCranPackage RGitHubPackage""",
    "azureml.core.conda_dependencies": "CondaDependencies",
    "azureml.core.runconfig": """RunConfiguration CondaDependencies Environment DockerConfiguration DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE
        MpiConfiguration PyTorchConfiguration TensorflowConfiguration ParallelTaskConfiguration SparkConfiguration
        HistoryConfiguration ContainerRegistry MavenLibrary PyPiLibrary EggLibrary JarLibrary RCranLibrary""",
    "azureml.core.model": "Model InferenceConfig ModelPackage",
    "azureml.core.compute": """ComputeTarget AmlCompute AksCompute AdlaCompute DatabricksCompute DataFactoryCompute BatchCompute
        RemoteCompute HDInsightCompute DsvmCompute KustoCompute SynapseCompute ComputeInstance KubernetesCompute""",
    "azureml.core.compute.compute": "ComputeTarget ComputeTargetException",
    "azureml.core.compute.amlcompute": "AmlCompute",
    "azureml.core.compute.aks": "AksCompute",
    "azureml.core.compute.adla": "AdlaCompute",
    "azureml.core.compute.databricks": "DatabricksCompute",
    "azureml.core.compute.datafactory": "DataFactoryCompute",
    "azureml.core.compute.batch": "BatchCompute",
    "azureml.core.compute.remote": "RemoteCompute",
    "azureml.core.compute.hdinsight": "HDInsightCompute",
    "azureml.core.compute.dsvm": "DsvmCompute",
    "azureml.core.compute.kusto": "KustoCompute",
    "azureml.core.compute.synapse": "SynapseCompute",
    "azureml.core.compute.computeinstance": "ComputeInstance",
    "azureml.core.compute.kubernetescompute": "KubernetesCompute",
    "azureml.core.compute_target": "ComputeTargetException ComputeTarget AmlCompute",
    "azureml.core.authentication": """InteractiveLoginAuthentication ServicePrincipalAuthentication MsiAuthentication AzureCliAuthentication
        TokenAuthentication ArmTokenAuthentication AbstractAuthentication AuthenticationException""",
    "azureml.core.webservice": "Webservice AksWebservice AciWebservice LocalWebservice AksEndpoint WebserviceException",
    "azureml.core.webservice.webservice": "Webservice WebserviceException",
    "azureml.core.webservice.aks": "AksWebservice AksEndpoint",
    "azureml.core.webservice.aci": "AciWebservice",
    "azureml.core.image": "ContainerImage Image",
    "azureml.core.image.container": "ContainerImage",
    "azureml.core.keyvault": "Keyvault",
    "azureml.core.container_registry": "ContainerRegistry",
    "azureml.core.resource_configuration": "ResourceConfiguration",
    "azureml.core.linked_service": "LinkedService SynapseWorkspaceLinkedServiceConfiguration",
    "azureml.core.databricks": "MavenLibrary PyPiLibrary EggLibrary JarLibrary RCranLibrary",
    "azureml.exceptions": """AzureMLException UserErrorException WorkspaceException SnapshotException ComputeTargetException
        RunEnvironmentException ExperimentExecutionException ActivityFailedException WebserviceException
        ModelNotFoundException ModelPathNotFoundException AuthenticationException RunConfigurationException
        ProjectSystemException TrainingException ParallelRunException ImageException DatasetException
        DatasetValidationError DatasetExecutionError KeyVaultException ScenarioException AutoMLException""",
    "azureml.data": """OutputFileDatasetConfig HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig
        FileDataset TabularDataset DataType OutputDatasetConfig""",
    "azureml.data.data_reference": "DataReference",
    "azureml.data.datapath": "DataPath DataPathComputeBinding",
    "azureml.data.dataset_consumption_config": "DatasetConsumptionConfig",
    "azureml.data.output_dataset_config": """OutputFileDatasetConfig OutputTabularDatasetConfig OutputDatasetConfig HDFSOutputDatasetConfig
        LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig""",
    "azureml.data.dataset_factory": "FileDatasetFactory TabularDatasetFactory DataType",
    "azureml.data.dataset_type_definitions": "PromoteHeadersBehavior FileEncoding",
    "azureml.data.dataset_error_handling": "DatasetValidationError DatasetExecutionError",
    "azureml.data.abstract_dataset": "AbstractDataset",
    "azureml.data.abstract_datastore": "AbstractDatastore",
    "azureml.data.file_dataset": "FileDataset",
    "azureml.data.tabular_dataset": "TabularDataset",
    "azureml.data.azure_storage_datastore": "AzureBlobDatastore AzureFileDatastore AbstractAzureStorageDatastore",
    "azureml.data.azure_data_lake_datastore": "AzureDataLakeDatastore AzureDataLakeGen2Datastore AbstractADLSDatastore",
    "azureml.data.azure_sql_database_datastore": "AzureSqlDatabaseDatastore",
    "azureml.data.azure_postgre_sql_datastore": "AzurePostgreSqlDatastore",
    "azureml.data.azure_my_sql_datastore": "AzureMySqlDatastore",
    "azureml.data.dbfs_datastore": "DBFSDatastore",
    "azureml.data.hdfs_datastore": "HDFSDatastore",
    "azureml.data.sql_data_reference": "SqlDataReference",
    "azureml.data.stored_procedure_parameter": "StoredProcedureParameter StoredProcedureParameterType",
    "azureml.pipeline.core": """InputPortBinding Module ModuleVersion ModuleVersionDescriptor OutputPortBinding Pipeline PipelineData
        PipelineDataset PipelineDraft PipelineEndpoint PipelineParameter PipelineRun PipelineStep PortDataReference
        PublishedPipeline Schedule ScheduleRecurrence StepRun StepRunOutput StepSequence TimeZone TrainingOutput""",
    "azureml.pipeline.core.pipeline": "Pipeline",
    "azureml.pipeline.core.builder": "PipelineStep PipelineData StepSequence PipelineDataset",
    "azureml.pipeline.core.graph": """PipelineParameter PublishedPipeline InputPortDef OutputPortDef InputPortBinding OutputPortBinding Graph Node
        Edge PipelineDataset TrainingOutput Module ModuleVersion PortDataReference StepRun""",
    "azureml.pipeline.core.run": "PipelineRun StepRun StepRunOutput PortDataReference",
    "azureml.pipeline.core.schedule": "Schedule ScheduleRecurrence TimeZone",
    "azureml.pipeline.core.module": "Module ModuleVersion ModuleVersionDescriptor",
    "azureml.pipeline.core.pipeline_endpoint": "PipelineEndpoint",
    "azureml.pipeline.core.pipeline_draft": "PipelineDraft",
    "azureml.pipeline.core.pipeline_output_dataset": """PipelineOutputFileDataset PipelineOutputTabularDataset PipelineOutputAbstractDataset""",
    "azureml.pipeline.core._restclients.aeva.models.error_response": "ErrorResponseException",
    "azureml.pipeline.core._restclients.aeva.models": "ErrorResponseException",
    "azureml.pipeline.steps": """AdlaStep AutoMLStep AutoMLStepRun AzureBatchStep CommandStep DataTransferStep DatabricksStep EstimatorStep
        HyperDriveStep HyperDriveStepRun KustoStep ModuleStep MpiStep ParallelRunConfig ParallelRunStep
        PythonScriptStep RScriptStep SynapseSparkStep""",
    "azureml.pipeline.steps.adla_step": "AdlaStep",
    "azureml.pipeline.steps.automl_step": "AutoMLStep AutoMLStepRun",
    "azureml.pipeline.steps.azurebatch_step": "AzureBatchStep",
    "azureml.pipeline.steps.command_step": "CommandStep",
    "azureml.pipeline.steps.data_transfer_step": "DataTransferStep",
    "azureml.pipeline.steps.databricks_step": "DatabricksStep",
    "azureml.pipeline.steps.estimator_step": "EstimatorStep",
    "azureml.pipeline.steps.hyper_drive_step": "HyperDriveStep HyperDriveStepRun",
    "azureml.pipeline.steps.kusto_step": "KustoStep",
    "azureml.pipeline.steps.module_step": "ModuleStep",
    "azureml.pipeline.steps.mpi_step": "MpiStep",
    "azureml.pipeline.steps.parallel_run_config": "ParallelRunConfig",
    "azureml.pipeline.steps.parallel_run_step": "ParallelRunStep",
    "azureml.pipeline.steps.python_script_step": "PythonScriptStep",
    "azureml.pipeline.steps.r_script_step": "RScriptStep",
    "azureml.pipeline.steps.synapse_spark_step": "SynapseSparkStep",
    "azureml.train.estimator": "Estimator MMLBaseEstimator",
    "azureml.train.sklearn": "SKLearn",
    "azureml.train.dnn": "PyTorch TensorFlow Chainer Mpi Gloo Nccl ParameterServer",
    "azureml.train.hyperdrive": """HyperDriveConfig HyperDriveRun HyperDriveRunConfig RandomParameterSampling GridParameterSampling
        BayesianParameterSampling BanditPolicy MedianStoppingPolicy TruncationSelectionPolicy NoTerminationPolicy
        PrimaryMetricGoal choice uniform quniform loguniform qloguniform normal qnormal lognormal qlognormal randint""",
    "azureml.train.hyperdrive.runconfig": "HyperDriveConfig HyperDriveRunConfig",
    "azureml.train.hyperdrive.run": "HyperDriveRun",
    "azureml.train.hyperdrive.sampling": "RandomParameterSampling GridParameterSampling BayesianParameterSampling",
    "azureml.train.hyperdrive.policy": """BanditPolicy MedianStoppingPolicy TruncationSelectionPolicy NoTerminationPolicy""",
    "azureml.train.hyperdrive.parameter_expressions": """choice uniform quniform loguniform qloguniform normal qnormal lognormal qlognormal randint""",
    "azureml.train.automl": "AutoMLConfig AutoMLStep AutoMLStepRun AutoMLRun",
    "azureml.train.automl.run": "AutoMLRun",
    "azureml.train.automl.runtime": "AutoMLStep AutoMLStepRun",
    "azureml.train.automl.exceptions": "AutoMLException",
    "azureml.widgets": "RunDetails",
    "azureml.telemetry": "set_diagnostics_collection",
    "azureml.contrib.notebook": "NotebookRunnerStep AzureMLNotebookHandler NotebookRunConfig",
    "azureml.contrib.pipeline.steps": "ParallelRunStep ParallelRunConfig",
    "azureml.contrib.automl.pipeline.steps": "AutoMLPipelineBuilder",
    "azureml.contrib.train.automl": "AutoMLPipelineBuilder",
    "azureml_user.parallel_run": "EntryScript",
    "msrest.exceptions": "HttpOperationError",
}

MODULES = {module: tuple(words.split()) for module, words in _WORDS.items()}
"""The modules of the SDK, and the names that each has."""

PACKAGES = {
    "msrest",
    *(parent for module in MODULES for parent in (module.rsplit(".", up)[0] for up in range(1, module.count(".")))),
}
"""The modules that hold others."""
