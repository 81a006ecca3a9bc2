"""`CondaDependencies` as v1's users make, change and save them; and what pip can stand in for."""

import pytest
import yaml
from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.blocks.environments.conda_packages import as_pip
from stepwell.errors import UserErrorException


def test_packages_are_added_replaced_and_removed():
    made = CondaDependencies.create(
        "https://host/simple", ["six==1.16.0"], ["numpy=1.19"], "3.8.5", pin_sdk_version=False
    )
    made.add_pip_package("Six==1.17.0")
    made.add_pip_package("tqdm")
    made.remove_pip_package("tqdm")
    made.add_conda_package("scipy")
    made.remove_conda_package("numpy")
    made.add_channel("conda-forge")
    assert (made.pip_packages, made.conda_packages) == (["Six==1.17.0"], ["python=3.8.5", "scipy"])
    assert (made.conda_channels, made.python_version) == (["conda-forge"], "3.8.5")
    assert (made.requirements.lines, made.requirements.index_url) == (("six==1.17.0",), "https://host/simple")
    assert made.conda_specifications == ("scipy",)


def test_a_python_version_that_nobody_set_is_any():
    assert CondaDependencies().python_version == "" and CondaDependencies().get_python_version() is None
    assert CondaDependencies.of_dict({"dependencies": ["python>=3.8", "pip"]}).python_version == ""


def test_a_file_survives_both_ways(tmp_path):
    (tmp_path / "reqs.txt").write_text("tqdm\n")
    text = "name: mine\nchannels:\n- a\ndependencies:\n- python=3.8\n- pip=20\n- pip:\n  - six\n  - -r reqs.txt\n"
    (tmp_path / "env.yml").write_text(text)
    found = CondaDependencies(tmp_path / "env.yml")
    assert yaml.safe_load(found.serialize_to_string()) == yaml.safe_load(text)
    assert found.requirements.lines == ("six", "tqdm")
    assert found.conda_specifications == ()
    assert found.save_to_file(str(tmp_path)) == "conda_dependencies.yml"
    assert CondaDependencies(tmp_path / "conda_dependencies.yml").as_dict() == found.as_dict()


@pytest.mark.parametrize("text", ["[", "- a", "dependencies: {a: 1}", "dependencies: [{npm: [x]}]"])
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / "env.yml").write_text(text)
    with pytest.raises(UserErrorException, match="env.yml"):
        CondaDependencies(tmp_path / "env.yml")


def test_pip_stands_in_for_conda_where_names_are_the_same():
    wanted = ["numpy=1.19", "pandas==1.2.3", "conda-forge::scipy=1.5=py37_0", "six", "tqdm>=4,<5"]
    assert as_pip(wanted) == ("numpy==1.19.*", "pandas==1.2.3", "scipy==1.5", "six", "tqdm>=4,<5")
    with pytest.raises(UserErrorException, match="cudatoolkit"):
        as_pip(["six", "cudatoolkit=10"])
