"""What the image of a step is made of: the packages that its key names, or its environment."""

from __future__ import annotations

import pytest

from stepwell.blocks.compute.docker.recipe import Recipe, recipe_for
from stepwell.errors import ComputeTargetException
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.definitions import EnvironmentDefinition, StepDefinition
from stepwell.model.records import StepCall


def call(*rows, **environment):
    step = StepDefinition("s", "s", "t", "", script="a.py", environment=EnvironmentDefinition(**environment))
    return StepCall(step, "", {}, {}, Fingerprint(tuple(Row(*row) for row in rows)), ())


def test_a_step_inherits_exactly_the_packages_of_its_key():
    recipe = recipe_for(call(("python", "", "3.11.7"), ("package", "numpy", "2.0"), ("package", "a-b", "1")), "base:1")
    assert recipe == Recipe("base:1", "", ("numpy==2.0", "a-b==1"), exact=True, python="3.11.7")


@pytest.mark.parametrize("version", ["1.0 editable", "1.0 0123456789ab"])
def test_a_package_that_no_index_has_is_refused(version):
    with pytest.raises(ComputeTargetException, match="can't be installed from an index") as caught:
        recipe_for(call(("package", "mine", version)), "base:1")
    assert caught.value.facts == {"packages": f"mine {version}"} and "Environment" in caught.value.hint


def test_an_environment_of_its_own_is_followed():
    assert recipe_for(call(("package", "x", "1"), image="own:2"), "base:1") == Recipe("own:2")
    recipe = recipe_for(call(requirements=("x>1",), python="3.12", index_url="http://i"), "")
    assert recipe == Recipe("python:3.12-slim", requirements=("x>1",), index_url="http://i")
    assert recipe_for(call(conda=("numpy=2",), requirements=("x",)), "base:1") == Recipe(
        "base:1", requirements=("numpy==2.*", "x")
    )
