"""`RunConfiguration` as it was written since 2019, `ScriptRunConfig`, and what steps take from both."""

import pytest
from stepwell import (
    CommandStep,
    CondaDependencies,
    Environment,
    LocalCompute,
    PythonScriptStep,
    RunConfiguration,
    ScriptRunConfig,
)
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.run_configuration import DEFAULT_CPU_IMAGE, DockerConfiguration


def defined(step):
    return step.define(step_id="s", producers={}, ids={}, source_directory=None)


def configuration():
    """Return a configuration as the notebooks of 2019 make it."""
    config = RunConfiguration(conda_dependencies=CondaDependencies.create(pip_packages=["six==1.16.0", "azureml-sdk"]))
    config.target = "gpu"
    config.environment.docker.enabled = True
    config.environment.docker.base_image = DEFAULT_CPU_IMAGE
    config.environment.docker.gpu_support = True
    config.environment.python.user_managed_dependencies = False
    config.environment.spark.precache_packages = False
    config.auto_prepare_environment = True
    config.history.output_collection = True
    config.hdi.yarn_deploy_mode = "cluster"
    config.something_of_the_users = 1
    config.environment_variables = {"A": "1"}
    config.max_run_duration_seconds = 60
    return config


def test_a_step_takes_what_its_runconfig_says():
    step = defined(PythonScriptStep("a.py", runconfig=configuration(), environment_variables={"B": "2"}))
    assert step.environment.requirements == ("six==1.16.0",)
    assert step.environment.variables == {"A": "1", "B": "2"}
    assert (step.compute_target, step.timeout_seconds, step.environment.image) == ("gpu", 60, "")
    assert defined(PythonScriptStep("a.py", runconfig=configuration(), timeout_seconds=5)).timeout_seconds == 5


def test_a_default_configuration_changes_nothing():
    assert defined(PythonScriptStep("a.py", runconfig=RunConfiguration())) == defined(PythonScriptStep("a.py"))


def test_a_step_takes_an_environment_of_its_own():
    assert defined(PythonScriptStep("a.py", environment=["Six == 1.17.0"])).environment.requirements == ("six==1.17.0",)
    own = Environment("own")
    step = defined(PythonScriptStep("a.py", environment=own, runconfig=configuration()))
    assert step.environment.requirements == () and step.environment.variables == {"A": "1"}
    for wrong in ("six", {"six": 1}):
        with pytest.raises(UserErrorException, match="`environment.*` of PythonScriptStep must be an Environment"):
            PythonScriptStep("a.py", environment=wrong)


@pytest.mark.parametrize("named", [True, False])
def test_a_file_survives_both_ways(tmp_path, named):
    config = configuration()
    config.docker = DockerConfiguration(True, arguments=["--cpus", "2"], shm_size="1g")
    place = (tmp_path, "mine") if named else (tmp_path / "a.yml",)
    config.save(*place)
    found = RunConfiguration.load(*place)
    assert found.to_dict() == config.to_dict()
    assert defined(PythonScriptStep("a.py", runconfig=found)) == defined(PythonScriptStep("a.py", runconfig=config))
    assert defined(PythonScriptStep("a.py", runconfig=found)).environment.shm_size == "1g"
    with pytest.raises(UserErrorException, match="can't be read"):
        RunConfiguration.load(tmp_path, "other")


def test_a_script_run_config_carries_a_command():
    config = RunConfiguration()
    carrier = ScriptRunConfig("src", command=["echo", 1], run_config=config, compute_target="gpu",
                              environment=Environment("e"), max_run_duration_seconds=9)  # fmt: skip
    step = CommandStep(runconfig=carrier)
    assert (step.name, step.compute_target, str(step.source_directory)) == ("echo", "gpu", "src")
    assert defined(step).timeout_seconds == 9
    assert config.target == "local"
    assert ScriptRunConfig("src", "a.py", ["-x"]).command == ["python", "a.py", "-x"]


def test_a_target_reads_back_as_its_name(workspace, tmp_path):
    saved = LocalCompute(max_concurrent=2).attach_to(workspace, "few")
    configuration = RunConfiguration(target=saved)
    assert configuration.target == "few" and RunConfiguration().target == "local"
    configuration.target = LocalCompute(max_concurrent=3)
    assert configuration.target == "LocalCompute(max_concurrent=3)"
    configuration.target = "other"
    assert ScriptRunConfig(run_config=configuration).run_config.target == "other"
    assert ScriptRunConfig(run_config=configuration, compute_target=saved).run_config.target == "few"
