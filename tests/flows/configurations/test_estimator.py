"""Estimators: a script with its arguments, packages and processes, said in v1's older way."""

from __future__ import annotations

import pytest

from stepwell.blocks.environments.environment import Environment
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.distribution import (
    Gloo,
    Mpi,
    MpiConfiguration,
    ParameterServer,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from stepwell.flows.configurations.estimator import Chainer, Estimator, MMLBaseEstimator, PyTorch, SKLearn, TensorFlow
from stepwell.flows.configurations.run_configuration import RunConfiguration


def requirements(estimator: MMLBaseEstimator) -> tuple[str, ...]:
    return estimator.environment.definition().requirements


def test_an_estimator_is_a_script_with_its_arguments():
    made = Estimator(
        "src", entry_script="train.py", compute_target="cpu", script_params={"--rate": 0.1, "--fast": "", "--name": "a"}
    )
    assert (made.source_directory, made.script, made.target) == ("src", "train.py", "cpu")
    assert made.arguments == ["--rate", 0.1, "--fast", "--name", "a"]
    assert made.command == ["python", "train.py", "--rate", 0.1, "--fast", "--name", "a"]
    assert not made.environment.definition().isolated and made.max_run_duration_seconds is None


def test_an_estimator_without_a_script_is_refused():
    with pytest.raises(UserErrorException, match="SKLearn needs a script"):
        SKLearn("src")


def test_packages_come_from_arguments_and_files_below_the_folder(tmp_path):
    (tmp_path / "pip.txt").write_text("--extra-index-url https://example.org/simple\ncoolname==2\n")
    (tmp_path / "conda.yml").write_text("dependencies:\n- python=3.11\n- pip:\n  - tzlocal==5.2\n")
    made = Estimator(tmp_path, entry_script="a.py", pip_packages=["six==1.16"], pip_requirements_file="pip.txt")
    assert requirements(made) == ("--extra-index-url https://example.org/simple", "coolname==2", "six==1.16")
    made = Estimator(tmp_path, entry_script="a.py", conda_dependencies_file_path="conda.yml", conda_packages=["xz"])
    definition = made.environment.definition()
    assert (definition.requirements, definition.conda, definition.python) == (("tzlocal==5.2",), ("xz",), "3.11")


@pytest.mark.parametrize(
    ("kind", "package"),
    [(SKLearn, "scikit-learn"), (PyTorch, "torch"), (TensorFlow, "tensorflow"), (Chainer, "chainer")],
)
def test_a_framework_is_the_one_in_use_unless_packages_or_its_version_are_named(kind, package):
    assert requirements(kind("src", entry_script="a.py")) == ()
    assert requirements(kind("src", entry_script="a.py", framework_version="1.2")) == (f"{package}==1.2",)
    assert requirements(kind("src", entry_script="a.py", pip_packages=["six"])) == ("six", package)
    named = [f"{package}==3"]
    assert requirements(kind("src", entry_script="a.py", pip_packages=named, framework_version="1.2")) == tuple(named)


def test_an_environment_is_taken_as_it_is_and_excludes_packages():
    environment = Environment("own")
    made = Estimator("src", entry_script="a.py", environment_definition=environment)
    assert made.environment is environment
    with pytest.raises(UserErrorException, match="`environment_definition` of Estimator names all packages"):
        Estimator("src", entry_script="a.py", environment_definition=environment, pip_packages=["six"])


def test_images_variables_and_limits_are_those_of_the_run_configuration():
    made = PyTorch(
        "src",
        entry_script="a.py",
        custom_docker_image="mine:1",
        environment_variables={"A": 1},
        shm_size="1g",
        max_run_duration_seconds=60,
        use_gpu=True,
        vm_size="STANDARD_NC6",
    )
    assert made.environment.definition().image == "mine:1" and made.environment_variables == {"A": "1"}
    assert (made.shm_size, made.max_run_duration_seconds) == ("1g", 60)
    assert Estimator("src", entry_script="a.py", user_managed=True, pip_packages=["six"]).environment.definition() == (
        Environment().definition()
    )


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (Estimator, {}, None),
        (Estimator, {"distributed_backend": "mpi", "node_count": 2}, (MpiConfiguration, 1, 2)),
        (PyTorch, {"distributed_training": Mpi(3), "node_count": 2}, (MpiConfiguration, 3, 2)),
        (PyTorch, {"distributed_training": MpiConfiguration(2, 2)}, (MpiConfiguration, 2, 2)),
        (PyTorch, {"distributed_training": Gloo(), "node_count": 2}, (PyTorchConfiguration, "Gloo", 2, 2)),
        (PyTorch, {"distributed_backend": "nccl", "node_count": 2}, (PyTorchConfiguration, "Nccl", 2, 2)),
        (TensorFlow, {"distributed_backend": "ps", "worker_count": 2}, (TensorflowConfiguration, 2, 1)),
        (TensorFlow, {"distributed_training": ParameterServer(3, 2)}, (TensorflowConfiguration, 3, 2)),
    ],
)
def test_processes_find_one_another_by_the_backend(kind, options, expected):
    found = kind("src", entry_script="a.py", **options).distributed_job_config
    names = {
        MpiConfiguration: ("process_count_per_node", "node_count"),
        PyTorchConfiguration: ("communication_backend", "process_count", "node_count"),
        TensorflowConfiguration: ("worker_count", "parameter_server_count"),
    }
    shown = None if found is None else (type(found), *(getattr(found, name) for name in names[type(found)]))
    assert shown == expected


def test_several_processes_need_a_backend_that_there_is():
    with pytest.raises(UserErrorException, match="Several processes of an estimator need a backend"):
        Estimator("src", entry_script="a.py", node_count=2)
    with pytest.raises(UserErrorException, match="There is no such backend"):
        Estimator("src", entry_script="a.py", distributed_backend="pvm")
    with pytest.raises(UserErrorException, match="`node_count` must be a whole number of at least 1"):
        Estimator("src", entry_script="a.py", node_count=0)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (PyTorch, {"framework_version": "banana"}, "`framework_version` of PyTorch must be a version of torch"),
        (SKLearn, {"framework_version": ""}, "`framework_version` of SKLearn must be a version of scikit-learn"),
        (TensorFlow, {"framework_version": ">=2"}, "`framework_version` of TensorFlow must be a version"),
        (Chainer, {"framework_version": "1.0 ; x"}, "`framework_version` of Chainer must be a version of chainer"),
        (PyTorch, {"distributed_backend": "ps"}, "PyTorch can't have its processes find one another by 'ps'"),
        (
            TensorFlow,
            {"distributed_training": Gloo()},
            "TensorFlow can't have its processes find one another by 'gloo'",
        ),
        (Chainer, {"distributed_backend": "nccl"}, "Chainer can't have its processes find one another by 'nccl'"),
        (TensorFlow, {"worker_count": 3}, "`worker_count` counts with parameter servers alone"),
        (
            TensorFlow,
            {"parameter_server_count": 2, "distributed_backend": "mpi"},
            "`parameter_server_count` counts with",
        ),
    ],
)
def test_what_a_framework_can_not_have_is_said(kind, options, words):
    with pytest.raises(UserErrorException, match=words):
        kind("src", entry_script="a.py", **options)


@pytest.mark.parametrize("make", [lambda: MpiConfiguration(0), lambda: Mpi(True), lambda: TensorflowConfiguration(0)])
def test_there_is_at_least_one_process(make):
    with pytest.raises(UserErrorException, match="must be a whole number"):
        make()


def test_processes_of_pytorch_are_shared_evenly_by_the_nodes():
    with pytest.raises(UserErrorException, match="must be a multiple"):
        PyTorchConfiguration(process_count=3, node_count=2)
    assert TensorflowConfiguration(1, 0).parameter_server_count == 0


def test_the_base_takes_a_run_configuration():
    config = RunConfiguration(script="a.py", target="cpu", environment_variables={"A": "1"})
    made = MMLBaseEstimator("src", estimator_config=config)
    assert (made.script, made.target, made.environment_variables) == ("a.py", "cpu", {"A": "1"})
