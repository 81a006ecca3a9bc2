"""`Environment`: what it means for a step, and how it is registered, copied and saved."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from stepwell import CondaDependencies, Environment
from stepwell.blocks.environments.sections import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
from stepwell.errors import UserErrorException


def test_without_packages_a_step_inherits():
    environment = Environment("e")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["azureml-defaults"])
    assert not environment.definition().isolated
    environment.docker.enabled, environment.spark.precache_packages = True, False
    environment.spark.configuration.deep = 1
    for image in (DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE, None):
        environment.docker.base_image = image
        assert environment.definition().image == ""


def test_packages_isolate_unless_the_user_manages_them():
    environment = Environment("e")
    environment.python.conda_dependencies.add_pip_package("six")
    environment.environment_variables = {"N": 1}
    assert environment.definition().isolated and environment.definition().variables == {"N": "1"}
    environment.python.user_managed_dependencies = True
    assert not environment.definition().isolated and environment.definition().interpreter == ""
    environment.python.interpreter_path = "/opt/python"
    assert environment.definition().interpreter == "/opt/python"


def test_files_and_images_make_environments(tmp_path):
    (tmp_path / "r.txt").write_text("-i https://host/simple\nsix==1.16.0\n")
    (tmp_path / "c.yml").write_text("dependencies: [python=3.9, numpy, {pip: [six]}]\n")
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    pip = Environment.from_pip_requirements("p", tmp_path / "r.txt").definition()
    assert (pip.requirements, pip.index_url) == (("six==1.16.0",), "https://host/simple")
    conda = Environment.from_conda_specification("c", tmp_path / "c.yml").definition()
    assert (conda.requirements, conda.conda, conda.python) == (("six",), ("numpy",), "3.9")
    image = Environment.from_docker_image("i", "busybox:1", pip_requirements=tmp_path / "r.txt").definition()
    assert (image.image, image.requirements) == ("busybox:1", ("six==1.16.0",))
    file = Environment.from_dockerfile("d", tmp_path / "Dockerfile").definition()
    assert (file.image, file.dockerfile) == ("", "FROM x\n")
    assert Environment.from_dockerfile("d", "FROM y\n").definition().dockerfile == "FROM y\n"


def test_a_folder_holds_an_environment(tmp_path):
    environment = Environment("e")
    environment.python.conda_dependencies.add_pip_package("six")
    environment.docker.shm_size = "1g"
    environment.save_to_directory(tmp_path / "saved")
    assert Environment.load_from_directory(tmp_path / "saved").definition() == environment.definition()
    with pytest.raises(UserErrorException, match="exists already"):
        environment.save_to_directory(tmp_path / "saved")
    with pytest.raises(UserErrorException, match="can't be read"):
        Environment.load_from_directory(tmp_path)


def test_a_registered_environment_gets_a_version_for_each_content(workspace):
    environment = Environment("mine")
    environment.environment_variables = {"TOKEN": "hunter22"}
    assert environment.register(workspace).version == environment.register(workspace).version == "1"
    environment.python.conda_dependencies.add_pip_package("six")
    assert environment.register(workspace).version == "2"
    assert Environment.get(workspace, "mine").definition() == environment.definition()
    assert not Environment.get(workspace, "mine", version=1).definition().isolated
    assert list(Environment.list(workspace)) == ["mine"]
    with pytest.raises(UserErrorException, match="no environment 'mine' of version 3"):
        Environment.get(workspace, "mine", 3)


def test_two_who_register_at_once_get_two_versions(workspace):
    made = [Environment("busy") for _ in range(4)]
    for number, environment in enumerate(made):
        environment.environment_variables = {"NUMBER": str(number)}
    with ThreadPoolExecutor(4) as pool:
        versions = pool.map(lambda environment: environment.register(workspace).version, made)
    assert sorted(versions) == ["1", "2", "3", "4"]


def test_a_clone_is_a_copy_of_its_own():
    one = Environment("one")
    two = one.clone("two")
    two.python.conda_dependencies.add_pip_package("six")
    assert (two.name, one.definition().isolated, two.definition().isolated) == ("two", False, True)
