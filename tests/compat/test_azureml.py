"""The Azure ML SDK's names: each is imported from each of its modules, and is carried, or refuses in one sentence."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from azureml import module_map, names

from stepwell.errors import StepwellError, UserErrorException

COMPAT = Path(__file__).parents[2] / "compat" / "src"
SOURCE = Path(__file__).parents[2] / "src"

SIGNATURES = {
    "Workspace.get": "name auth=None subscription_id=None resource_group=None location=None",
    "Experiment": "workspace name",
    "Datastore": "workspace name=None",
    "Datastore.upload": "src_dir target_path=None overwrite=False show_progress=True",
    "Datastore.upload_files": "files relative_root=None target_path=None overwrite=False show_progress=True",
    "Datastore.download": "target_path prefix=None overwrite=False show_progress=True",
    "DataReference": "datastore data_reference_name=None path_on_datastore=None mode='mount' path_on_compute=None overwrite=False",
    "DataPath": "datastore=None path_on_datastore=None name=None",
    "DataPathComputeBinding": "mode='mount' path_on_compute=None overwrite=False",
    "PipelineData": "name datastore=None output_name=None output_mode='mount' output_path_on_compute=None output_overwrite=None data_type=None is_directory=None pipeline_output_name=None",
    "Pipeline": "workspace steps description=None default_datastore=None default_source_directory=None resolve_closure=True",
    "Pipeline.publish": "name=None description=None version=None continue_on_step_failure=None",
    "Pipeline.submit": "experiment_name pipeline_parameters=None continue_on_step_failure=False regenerate_outputs=False parent_run_id=None credential_passthrough=None",
    "PipelineParameter": "name default_value",
    "PythonScriptStep": "script_name name=None arguments=None compute_target=None runconfig=None runconfig_pipeline_params=None inputs=None outputs=None params=None source_directory=None allow_reuse=True version=None hash_paths=None",
    "CommandStep": "command=None name=None compute_target=None runconfig=None runconfig_pipeline_params=None inputs=None outputs=None params=None source_directory=None allow_reuse=True version=None",
    "DataTransferStep": "name source_data_reference=None destination_data_reference=None compute_target=None source_reference_type=None destination_reference_type=None allow_reuse=True",
    "PipelineRun": "experiment run_id",
    "PipelineRun.wait_for_completion": f"show_output=True timeout_seconds={sys.maxsize} raise_on_error=True",
    "PipelineRun.publish_pipeline": "name description version continue_on_step_failure=None",
    "ScheduleRecurrence": "frequency interval start_time=None time_zone=None hours=None minutes=None week_days=None time_of_day=None",
    "AmlCompute.provisioning_configuration": "vm_size='' vm_priority='dedicated' min_nodes=0 max_nodes=None idle_seconds_before_scaledown=1800 admin_username=None admin_user_password=None admin_user_ssh_key=None vnet_resourcegroup_name=None vnet_name=None subnet_name=None tags=None description=None remote_login_port_public_access='NotSpecified' identity_type=None identity_id=None location=None enable_node_public_ip=True",
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
    "Run.log": "name value description='' step=None",
    "Run.get_context": "allow_offline=True",
}
"""Signatures of the SDK, as its documentation has them; ours may take more by keyword."""


def find(name: str) -> object:
    module = next(module for module, found in module_map.MODULES.items() if name in found)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", sorted(module_map.MODULES))
def test_every_name_is_imported_from_every_module(module: str) -> None:
    space: dict[str, object] = {}
    exec(f"from {module} import {', '.join(module_map.MODULES[module])}", space)
    assert set(module_map.MODULES[module]) <= set(space)
    assert importlib.import_module(module).__name__ == module


def test_every_name_stands_in_a_module_and_is_carried_or_refuses() -> None:
    assert {name for found in module_map.MODULES.values() for name in found} == set(names.NAMES)
    assert all(bool(facts.carrier) != bool(facts.instead) for facts in names.NAMES.values())


@pytest.mark.parametrize("name", sorted(name for name in names.NAMES if names.meaning(name) == "refuses"))
def test_a_name_that_nothing_carries_refuses_when_it_is_used(name: str) -> None:
    refused = find(name)
    assert isinstance(refused, type) and not isinstance(object(), refused)
    for use in (lambda: refused(), lambda: refused(1, two=2), lambda: refused.get("x")):  # type: ignore[attr-defined]
        with pytest.raises(UserErrorException) as caught:
            use()
        assert name in caught.value.title and caught.value.hint[0].isupper()


@pytest.mark.parametrize("name", sorted(name for name, facts in names.NAMES.items() if facts.error))
def test_exceptions_can_be_caught(name: str) -> None:
    error = importlib.import_module(names.NAMES[name].carrier.split(":")[0])
    assert issubclass(getattr(error, names.NAMES[name].carrier.split(":")[1]), StepwellError)


def test_the_tree_of_exceptions_is_the_sdks() -> None:
    from azureml.exceptions import (
        AuthenticationException,
        AzureMLException,
        ModelNotFoundException,
        WebserviceException,
    )
    from azureml.exceptions import UserErrorException as Theirs

    assert issubclass(ModelNotFoundException, WebserviceException) and issubclass(AuthenticationException, Theirs)
    assert issubclass(WebserviceException, AzureMLException)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_sdks(name: str) -> None:
    carrier, _, member = name.partition(".")
    found = inspect.signature(getattr(find(carrier), member) if member else find(carrier))  # type: ignore[arg-type]
    ours = [one for one in found.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
    theirs = SIGNATURES[name].split()
    told = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in ours]
    assert [word if "=" in their else word.split("=")[0] for word, their in zip(told, theirs)] == theirs


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*filter(None, [variables.pop("first", "")]), str(COMPAT), str(SOURCE)])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_a_script_that_imports_run_imports_nothing_heavy() -> None:
    done = python(
        """
        import sys
        from azureml.core import Run
        from azureml.core.run import _OfflineRun
        run = Run.get_context()
        assert isinstance(run, _OfflineRun) and run.id.startswith("OfflineRun")
        print([name for name in sys.modules if name.split(".")[0] in ("prefect", "pydantic", "fsspec", "git")])
        """
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_the_sdk_itself_is_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / "azureml" / "core").mkdir(parents=True)
    (tmp_path / "azureml" / "core" / "__init__.py").touch()
    done = python("import sys; sys.path.reverse(); import azureml.core", first=str(tmp_path))
    assert done.returncode == 1 and "pip uninstall azureml-core" in done.stderr.splitlines()[-1]


def test_a_folder_of_the_users_called_azureml_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "azureml").mkdir()
    assert python("from azureml.core import Run", first=str(tmp_path)).returncode == 0


def test_a_pipeline_with_the_sdks_imports_runs(project, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(COMPAT))
    from azureml.core import Experiment, Workspace
    from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter
    from azureml.pipeline.steps import PythonScriptStep
    from azureml.widgets import RunDetails

    project.script("make.py", "import os; os.makedirs(args[-1]); open(args[-1] + '/rate', 'w').write(args[1])")
    project.script(
        "log.py",
        "from azureml.core import Run; run = Run.get_context(); run.log('rate', float(open(args[0] + '/rate').read()))",
    )
    made, rate = PipelineData("made"), PipelineParameter("rate", 0.5)
    first = PythonScriptStep(
        "make.py", arguments=["--rate", rate, made], outputs=[made], source_directory=str(project.source)
    )
    second = PythonScriptStep("log.py", arguments=[made], inputs=[made], source_directory=str(project.source))
    workspace = Workspace.get(project.workspace.name)
    run = Experiment(workspace, "old-code").submit(Pipeline(workspace=workspace, steps=[second]))
    run.wait_for_completion(show_output=False)
    assert run.find_step_run("log.py")[0].get_metrics() == {"rate": 0.5}
    capsys.readouterr()
    RunDetails(run).show()
    shown = capsys.readouterr().out
    assert "2 ran" in shown and "log.py: rate = 0.5" in shown
    RunDetails(None).show()  # type: ignore[arg-type]
    assert "None" in capsys.readouterr().out
