"""v1's own signatures: names, order and defaults of what the namespace hands out, by both ways in which code looks at them."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest
from azureml import module_map

WORKSPACE = {
    "Workspace": "subscription_id resource_group workspace_name auth=None _location=None _disable_service_check=False _workspace_id=None sku='basic' tags=None _cloud='AzureCloud'",
    "Workspace.create": "name auth=None subscription_id=None resource_group=None location=None create_resource_group=True sku='basic' tags=None friendly_name=None storage_account=None key_vault=None app_insights=None container_registry=None adb_workspace=None primary_user_assigned_identity=None cmk_keyvault=None resource_cmk_uri=None hbi_workspace=False default_cpu_compute_target=None default_gpu_compute_target=None private_endpoint_config=None private_endpoint_auto_approval=True exist_ok=False show_output=True user_assigned_identity_for_cmk_encryption=None system_datastores_auth_mode='accessKey' v1_legacy_mode=None",
    "Workspace.get": "name auth=None subscription_id=None resource_group=None location=None cloud='AzureCloud' id=None",
    "Workspace.from_config": "path=None auth=None _logger=None _file_name=None",
    "Workspace.list": "subscription_id auth=None resource_group=None",
    "Workspace.write_config": "path=None file_name=None",
    "Workspace.get_default_datastore": "",
    "Workspace.set_default_datastore": "name",
    "Workspace.get_default_compute_target": "type",
    "Workspace.get_default_keyvault": "",
    "Workspace.get_details": "",
    "Workspace.get_run": "run_id",
    "Workspace.get_mlflow_tracking_uri": "_with_auth=False",
    "Workspace.delete": "delete_dependent_resources=False no_wait=False",
    "Workspace.sync_keys": "no_wait=False",
    "Workspace.setup": "",
    "Keyvault": "workspace",
    "Keyvault.set_secret": "name value",
    "Keyvault.set_secrets": "secrets_batch",
    "Keyvault.get_secret": "name",
    "Keyvault.get_secrets": "secrets",
    "Keyvault.list_secrets": "",
    "Keyvault.delete_secret": "name",
    "Keyvault.delete_secrets": "secrets",
    "InteractiveLoginAuthentication": "force=False tenant_id=None cloud=None",
    "ServicePrincipalAuthentication": "tenant_id service_principal_id service_principal_password cloud='AzureCloud' _enable_caching=True",
    "MsiAuthentication": "identity_config=None cloud=None",
    "AzureCliAuthentication": "cloud=None",
}
_PRINCIPAL = "tenant_id=None client_id=None client_secret=None resource_url=None authority_url=None"
DATA = {
    "Datastore": "workspace name=None",
    "Datastore.get": "workspace datastore_name",
    "Datastore.get_default": "workspace",
    "Datastore.register_azure_blob_container": "workspace datastore_name container_name account_name sas_token=None account_key=None protocol=None endpoint=None overwrite=False create_if_not_exists=False skip_validation=False blob_cache_timeout=None grant_workspace_access=False subscription_id=None resource_group=None",
    "Datastore.register_azure_file_share": "workspace datastore_name file_share_name account_name sas_token=None account_key=None protocol=None endpoint=None overwrite=False create_if_not_exists=False skip_validation=False",
    "Datastore.register_azure_data_lake": f"workspace datastore_name store_name {_PRINCIPAL} subscription_id=None resource_group=None overwrite=False grant_workspace_access=False",
    "Datastore.register_azure_data_lake_gen2": f"workspace datastore_name filesystem account_name {_PRINCIPAL} protocol=None endpoint=None overwrite=False subscription_id=None resource_group=None grant_workspace_access=False",
    "Datastore.register_azure_sql_database": f"workspace datastore_name server_name database_name {_PRINCIPAL} endpoint=None overwrite=False username=None password=None subscription_id=None resource_group=None grant_workspace_access=False **kwargs",
    "Datastore.register_azure_postgre_sql": "workspace datastore_name server_name database_name user_id user_password port_number=None endpoint=None overwrite=False enforce_ssl=True **kwargs",
    "Datastore.register_azure_my_sql": "workspace datastore_name server_name database_name user_id user_password port_number=None endpoint=None overwrite=False **kwargs",
    "Datastore.register_dbfs": "workspace datastore_name",
    "Datastore.register_hdfs": "workspace datastore_name protocol namenode_address hdfs_server_certificate kerberos_realm kerberos_kdc_address kerberos_principal kerberos_keytab=None kerberos_password=None overwrite=False",
    "Datastore.upload": "src_dir target_path=None overwrite=False show_progress=True",
    "Datastore.upload_files": "files relative_root=None target_path=None overwrite=False show_progress=True",
    "Datastore.download": "target_path prefix=None overwrite=False show_progress=True",
    "Datastore.path": "path=None data_reference_name=None",
    "Datastore.as_mount": "",
    "Datastore.as_download": "path_on_compute=None",
    "Datastore.as_upload": "path_on_compute=None",
    "Datastore.set_as_default": "",
    "Datastore.unregister": "",
    "DataReference": "datastore data_reference_name=None path_on_datastore=None mode='mount' path_on_compute=None overwrite=False",
    "DataReference.path": "path=None data_reference_name=None",
    "DataReference.as_mount": "",
    "DataReference.as_download": "path_on_compute=None overwrite=False",
    "DataReference.as_upload": "path_on_compute=None overwrite=False",
    "DataReference.create": "data_reference_name=None datapath=None datapath_compute_binding=None",
    "DataPath": "datastore=None path_on_datastore=None name=None",
    "DataPathComputeBinding": "mode='mount' path_on_compute=None overwrite=False",
    "PipelineData": "name datastore=None output_name=None output_mode='mount' output_path_on_compute=None output_overwrite=None data_type=None is_directory=None pipeline_output_name=None training_output=None",
    "PipelineData.as_mount": "input_name=None",
    "PipelineData.as_download": "input_name=None path_on_compute=None overwrite=None",
    "PipelineData.as_input": "input_name",
    "OutputFileDatasetConfig": "name=None destination=None source=None partition_format=None",
    "OutputFileDatasetConfig.as_mount": "disable_metadata_cache=False",
    "OutputFileDatasetConfig.as_upload": "overwrite=False source_globs=None",
    "OutputFileDatasetConfig.as_input": "name=None",
    "PortDataReference.download": "local_path overwrite=None show_progress=None",
}
_SUBMIT = "pipeline_parameters=None parent_run_id=None continue_on_step_failure=None"
PIPELINES = {
    "Pipeline": "workspace steps description=None default_datastore=None default_source_directory=None resolve_closure=True _workflow_provider=None _service_endpoint=None **kwargs",
    "Pipeline.submit": "experiment_name pipeline_parameters=None continue_on_step_failure=False regenerate_outputs=False parent_run_id=None credential_passthrough=None **kwargs",
    "Pipeline.publish": "name=None description=None version=None continue_on_step_failure=None",
    "Pipeline.validate": "",
    "Pipeline.service_endpoint": "",
    "PipelineParameter": "name default_value",
    "StepSequence": "steps=None",
    "PythonScriptStep": "script_name name=None arguments=None compute_target=None runconfig=None runconfig_pipeline_params=None inputs=None outputs=None params=None source_directory=None allow_reuse=True version=None hash_paths=None",
    "CommandStep": "command=None name=None compute_target=None runconfig=None runconfig_pipeline_params=None inputs=None outputs=None params=None source_directory=None allow_reuse=True version=None",
    "DataTransferStep": "name source_data_reference=None destination_data_reference=None compute_target=None source_reference_type=None destination_reference_type=None allow_reuse=True",
    "PythonScriptStep.run_after": "step",
    "PublishedPipeline.get": "workspace id",
    "PublishedPipeline.list": "workspace active_only=True _service_endpoint=None",
    "PublishedPipeline.get_all": "workspace active_only=True _service_endpoint=None",
    "PublishedPipeline.submit": f"workspace experiment_name {_SUBMIT}",
    "PublishedPipeline.enable": "",
    "PublishedPipeline.disable": "",
    "PublishedPipeline.get_step_names": "",
    "PipelineEndpoint.publish": "workspace name description pipeline",
    "PipelineEndpoint.get": "workspace id=None name=None",
    "PipelineEndpoint.list": "workspace active_only=True",
    "PipelineEndpoint.submit": "experiment_name pipeline_parameters=None parent_run_id=None pipeline_version=None",
    "PipelineEndpoint.get_pipeline": "version=None",
    "PipelineEndpoint.get_default_version": "",
    "PipelineEndpoint.set_default_version": "version",
    "PipelineEndpoint.add": "pipeline",
    "PipelineEndpoint.add_default": "pipeline",
    "PipelineEndpoint.set_default": "pipeline",
    "PipelineEndpoint.set_name": "name",
    "PipelineEndpoint.reactivate": "name",
    "ScheduleRecurrence": "frequency interval start_time=None time_zone=None hours=None minutes=None week_days=None time_of_day=None",
    "Schedule.create": "workspace name pipeline_id experiment_name recurrence=None description=None pipeline_parameters=None wait_for_provisioning=False wait_timeout=3600 datastore=None polling_interval=5 data_path_parameter_name=None continue_on_step_failure=None path_on_datastore=None",
    "Schedule.get": "workspace id",
    "Schedule.list": "workspace active_only=True pipeline_id=None pipeline_endpoint_id=None",
    "Schedule.enable": "wait_for_provisioning=False wait_timeout=3600",
    "Schedule.disable": "wait_for_provisioning=False wait_timeout=3600",
    "Schedule.get_pipeline_runs": "",
    "Schedule.get_last_pipeline_run": "",
}
_CONFUSION = "name value description=''"
RUNS = {
    "Experiment": "workspace name _skip_name_validation=False _id=None _archived_time=None _create_in_cloud=True _experiment_dto=None **kwargs",
    "Experiment.submit": "config tags=None **kwargs",
    "Experiment.start_logging": "*args **kwargs",
    "Experiment.get_runs": "type=None tags=None properties=None include_children=False _rehydrate_runs=True",
    "Experiment.list": "workspace experiment_name=None view_type='ActiveOnly' tags=None",
    "Experiment.delete": "workspace experiment_id",
    "Experiment.tag": "key value=None",
    "Experiment.set_tags": "tags",
    "Experiment.remove_tags": "tags",
    "Experiment.archive": "",
    "Experiment.reactivate": "new_name=None",
    "Run": "experiment run_id outputs=None **kwargs",
    "Run.get_context": "allow_offline=True used_for_context_manager=False **kwargs",
    "Run.get": "workspace run_id",
    "Run.list": "experiment type=None tags=None properties=None status=None include_children=False _rehydrate_runs=True",
    "Run.log": "name value description='' step=None",
    "Run.log_list": "name value description=''",
    "Run.log_row": "name description=None **kwargs",
    "Run.log_table": "name value description=''",
    "Run.log_image": "name path=None plot=None description=''",
    **{f"Run.log_{kind}": _CONFUSION for kind in ("confusion_matrix", "accuracy_table", "residuals", "predictions")},
    "Run.upload_file": "name path_or_stream datastore_name=None",
    "Run.upload_files": "names paths return_artifacts=False timeout_seconds=None datastore_name=None",
    "Run.upload_folder": "name path datastore_name=None",
    "Run.download_file": "name output_file_path=None _validate_checksum=False",
    "Run.download_files": "prefix=None output_directory=None output_paths=None batch_size=100 append_prefix=True timeout_seconds=None",
    "Run.get_file_names": "",
    "Run.get_metrics": "name=None recursive=False run_type=None populate=False",
    "Run.get_details": "",
    "Run.get_status": "",
    "Run.tag": "key value=None",
    "Run.set_tags": "tags",
    "Run.get_tags": "",
    "Run.remove_tags": "tags",
    "Run.add_properties": "properties",
    "Run.get_properties": "",
    "Run.get_secret": "name",
    "Run.get_secrets": "secrets",
    "Run.complete": "_set_status=True",
    "Run.fail": "error_details=None error_code=None _set_status=True",
    "Run.cancel": "",
    "Run.flush": "timeout_seconds=300",
    "Run.child_run": "name=None run_id=None outputs=None",
    "PipelineRun": "experiment run_id",
    "PipelineRun.get": "workspace run_id",
    "PipelineRun.wait_for_completion": f"show_output=True timeout_seconds={sys.maxsize} raise_on_error=True",
    "PipelineRun.publish_pipeline": "name description version continue_on_step_failure=None",
    "PipelineRun.get_steps": "",
    "PipelineRun.get_children": "recursive=False tags=None properties=None type=None status=None _rehydrate_runs=True",
    "PipelineRun.find_step_run": "name",
    "PipelineRun.get_pipeline_output": "pipeline_output_name",
    "PipelineRun.get_pipeline_runs": "workspace pipeline_id",
    "PipelineRun.get_status": "",
    "PipelineRun.get_tags": "",
    "PipelineRun.cancel": "",
    "PipelineRun.submit_child": "config tags=None **kwargs",
    "PipelineRun.register_model": "model_name model_path=None tags=None properties=None model_framework=None model_framework_version=None description=None datasets=None sample_input_dataset=None sample_output_dataset=None resource_configuration=None **kwargs",
    "StepRun.wait_for_completion": f"show_output=True timeout_seconds={sys.maxsize} raise_on_error=True",
    "StepRun.get_outputs": "",
    "StepRun.get_output": "name",
    "StepRun.get_output_data": "name",
    "StepRun.get_job_log": "",
    "StepRun.get_stdout_log": "",
    "StepRun.get_stderr_log": "",
    "StepRun.get_metrics": "name=None recursive=False run_type=None populate=False",
    "StepRun.get_file_names": "",
    "StepRun.download_file": "name output_file_path=None _validate_checksum=False",
    "StepRun.register_model": "model_name model_path=None tags=None properties=None model_framework=None model_framework_version=None description=None datasets=None sample_input_dataset=None sample_output_dataset=None resource_configuration=None",
    "Model": "workspace name=None id=None tags=None properties=None version=None run_id=None model_framework=None expand=True",
    "Model.register": "workspace model_path model_name tags=None properties=None description=None datasets=None model_framework=None model_framework_version=None child_paths=None sample_input_dataset=None sample_output_dataset=None resource_configuration=None",
    "Model.list": "workspace name=None tags=None properties=None run_id=None latest=False dataset_id=None expand=True page_count=255 model_framework=None",
    "Model.get_model_path": "model_name version=None _workspace=None",
    "Model.download": "target_dir='.' exist_ok=False exists_ok=None",
    "Model.add_tags": "tags",
    "Model.remove_tags": "tags",
    "Model.add_properties": "properties",
    "Model.update_tags_properties": "add_tags=None remove_tags=None add_properties=None add_run_id=None",
    "Model.update": "tags=None description=None sample_input_dataset=None sample_output_dataset=None resource_configuration=None",
    "Model.delete": "",
    "RunDetails": "run_instance",
    "RunDetails.show": "render_lib=None widget_settings=None",
}
_CONDA = "pip_packages=None conda_packages=None"
SETTINGS = {
    "Environment": "name",
    "Environment.register": "workspace",
    "Environment.get": "workspace name version=None label=None",
    "Environment.list": "workspace",
    "Environment.clone": "new_name",
    "Environment.from_conda_specification": "name file_path",
    "Environment.from_pip_requirements": "name file_path pip_version=None",
    "Environment.from_docker_image": "name image container_registry=None conda_specification=None pip_requirements=None",
    "Environment.from_dockerfile": "name dockerfile conda_specification=None pip_requirements=None",
    "Environment.save_to_directory": "path overwrite=False",
    "Environment.load_from_directory": "path",
    "CondaDependencies": "conda_dependencies_file_path=None",
    "CondaDependencies.create": "pip_indexurl=None pip_packages=None conda_packages=None python_version=None pin_sdk_version=True",
    "CondaDependencies.add_pip_package": "pip_package",
    "CondaDependencies.add_conda_package": "conda_package",
    "CondaDependencies.add_channel": "channel",
    "CondaDependencies.remove_pip_package": "pip_package",
    "CondaDependencies.remove_conda_package": "conda_package",
    "CondaDependencies.set_pip_requirements": "pip_requirements",
    "CondaDependencies.save_to_file": "base_directory conda_file_path='conda_dependencies.yml'",
    "CondaDependencies.serialize_to_string": "",
    "RunConfiguration": "script=None arguments=None framework=None communicator=None conda_dependencies=None _history_enabled=None _path=None _name=None command=None",
    "DockerConfiguration": "use_docker=False shared_volumes=True arguments=None shm_size='2g'",
    "ScriptRunConfig": "source_directory script=None arguments=None run_config=None _telemetry_values=None compute_target=None environment=None distributed_job_config=None resume_from=None max_run_duration_seconds=2592000 command=None docker_runtime_config=None",
    "ComputeTarget": "workspace name",
    "ComputeTarget.create": "workspace name provisioning_configuration",
    "ComputeTarget.attach": "workspace name attach_configuration",
    "ComputeTarget.list": "workspace",
    "AmlCompute.provisioning_configuration": "vm_size='' vm_priority='dedicated' min_nodes=0 max_nodes=None idle_seconds_before_scaledown=1800 admin_username=None admin_user_password=None admin_user_ssh_key=None vnet_resourcegroup_name=None vnet_name=None subnet_name=None tags=None description=None remote_login_port_public_access='NotSpecified' identity_type=None identity_id=None location=None enable_node_public_ip=True",
    "AmlCompute.wait_for_completion": "show_output=False min_node_count=None timeout_in_minutes=25 is_delete_operation=False",
}
DATASETS = {
    "Dataset.get_by_name": "workspace name version='latest'",
    "Dataset.get_by_id": "workspace id",
    "Dataset.get_all": "workspace",
    "FileDatasetFactory.from_files": "path validate=True partition_format=None is_file=False",
    "FileDatasetFactory.upload_directory": "src_dir target pattern=None overwrite=False show_progress=True",
    "TabularDatasetFactory.from_delimited_files": "path validate=True include_path=False infer_column_types=True set_column_types=None separator=',' header=True partition_format=None support_multi_line=False empty_as_string=False encoding='utf8'",
    "TabularDatasetFactory.from_parquet_files": "path validate=True include_path=False set_column_types=None partition_format=None",
    "TabularDatasetFactory.from_json_lines_files": "path validate=True include_path=False set_column_types=None partition_format=None invalid_lines='error' encoding='utf8'",
    "TabularDatasetFactory.from_sql_query": "query validate=True set_column_types=None query_timeout=30",
    "TabularDatasetFactory.register_pandas_dataframe": "dataframe target name description=None tags=None show_progress=True row_group_size=None make_target_path_unique=True",
    "TabularDatasetFactory.register_spark_dataframe": "dataframe target name description=None tags=None show_progress=True",
    "FileDataset.register": "workspace name description=None tags=None create_new_version=False",
    "FileDataset.update": "description=None tags=None",
    "FileDataset.as_named_input": "name",
    "FileDataset.as_mount": "path_on_compute=None",
    "FileDataset.as_download": "path_on_compute=None",
    "FileDataset.download": "target_path=None overwrite=False ignore_not_found=False",
    "FileDataset.mount": "mount_point=None",
    "FileDataset.filter": "expression",
    "TabularDataset.to_pandas_dataframe": "on_error='null' out_of_range_datetime='null'",
    "TabularDataset.take": "count",
    "TabularDataset.take_sample": "probability seed=None",
    "TabularDataset.random_split": "percentage seed=None",
    "TabularDataset.keep_columns": "columns validate=False",
    "TabularDataset.drop_columns": "columns",
    "TabularDataset.partition_by": "partition_keys target name=None show_progress=True partition_as_file_dataset=False",
    "TabularDataset.get_partition_key_values": "partition_keys=None",
    "TabularDataset.with_timestamp_columns": "timestamp=None partition_timestamp=None validate=False",
    "TabularDataset.time_between": "start_time end_time include_boundary=True validate=True",
    "TabularDataset.to_csv_files": "separator=','",
    "DatasetConsumptionConfig": "name dataset mode='direct' path_on_compute=None",
}
SIGNATURES = {**WORKSPACE, **DATA, **DATASETS, **PIPELINES, **RUNS, **SETTINGS}
"""Signatures of the SDK, as its documentation has them; ours may take more by keyword, and need less.

One default differs: `CondaDependencies.create` takes the Python in use for None, where the SDK names one of its own.
"""


def carried(name: str) -> object:
    carrier, _, member = name.partition(".")
    module = next(module for module, found in module_map.MODULES.items() if carrier in found)
    found = getattr(importlib.import_module(module), carrier)
    return getattr(found, member) if member else found


def told(function: object) -> list[str]:
    """Return the arguments in v1's order, which may be given by position; then `*args` and `**kwargs`."""
    words = []
    for one in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        if one.name == "self":
            continue
        if one.kind is one.POSITIONAL_OR_KEYWORD:
            words.append(one.name if one.default is one.empty else f"{one.name}={one.default!r}")
        elif one.kind is not one.KEYWORD_ONLY:
            words.append(f"{'*' if one.kind is one.VAR_POSITIONAL else '**'}{one.name}")
    return words


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_sdks(name: str) -> None:
    theirs, ours = SIGNATURES[name].split(), told(carried(name))
    named = [word for word in theirs if not word.startswith("*")]
    found = [word for word in ours if not word.startswith("*")][: len(named)]
    assert [one if "=" in word else one.split("=")[0] for one, word in zip(found, named)] == named
    assert [word for word in theirs if word.startswith("*")] == [] or any(word.startswith("**") for word in ours)
    spec = inspect.getfullargspec(carried(name))  # type: ignore[arg-type]
    args = [arg for arg in spec.args if arg not in ("self", "cls")]
    assert args[: len(named)] == [word.split("=")[0] for word in named]
