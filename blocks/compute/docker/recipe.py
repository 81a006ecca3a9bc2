"""What the image of a step is made of."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from stepwell.blocks.environments.conda_packages import as_pip
from stepwell.errors import ComputeTargetException
from stepwell.model.records import StepCall


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of. `exact`: the requirements name every package, so that none is added to them."""

    base: str
    dockerfile: str = ""
    requirements: tuple[str, ...] = ()
    exact: bool = False
    index_url: str = ""
    python: str = ""
    """The version that the image's Python must have, as far as its first two numbers; '' is any."""


def recipe_for(call: StepCall, base: str) -> Recipe:
    """Return what the call's image is made of; it starts from `base` unless its environment names an image.

    A script without an environment of its own gets the packages that its key names, so that the key is true.
    """
    environment = call.definition.environment
    python = environment.python or platform.python_version()
    start = environment.image or base or f"python:{python}-slim"
    if environment.isolated or environment.image or environment.dockerfile:
        lines = (*as_pip(environment.conda), *environment.requirements)
        keyed = _python_of(call).partition(" ")[0] if environment.isolated else ""
        return Recipe(start, environment.dockerfile, lines, index_url=environment.index_url, python=keyed)
    rows = call.fingerprint.rows
    packages = {row.name: row.value for row in rows if row.kind == "package"}
    not_in_index = [f"{name} {version}" for name, version in packages.items() if " " in version]
    if not_in_index:
        raise _not_from_an_index(call, not_in_index)
    exact = tuple(f"{name}=={version}" for name, version in packages.items())
    return Recipe(start, "", exact, True, python=_python_of(call))


def _python_of(call: StepCall) -> str:
    return next((row.value for row in call.fingerprint.rows if row.kind == "python"), "")


def _not_from_an_index(call: StepCall, packages: list[str]) -> ComputeTargetException:
    return ComputeTargetException(
        f"The step {call.definition.name!r} uses packages that can't be installed from an index into an image",
        {"packages": ", ".join(packages)},
        "Give the step an Environment with an image or requirements of its own.",
    )
