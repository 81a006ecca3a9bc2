"""A step with packages of its own on those in use, where somebody chose that: its environment then, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specification

from stepwell.blocks.environments.base_interpreter import minor
from stepwell.blocks.environments.conda_packages import SAME_NAMES, as_pip, name_of
from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.environments.requirements import normal, requirement
from stepwell.model.definitions import EnvironmentDefinition


def as_installed(environment: EnvironmentDefinition) -> EnvironmentDefinition:
    """Return the environment without packages and Python of its own: it inherits those in use."""
    return replace(environment, requirements=(), conda=(), channels=(), python="", index_url="")


def differences(environment: EnvironmentDefinition, packages: Packages) -> tuple[str, ...]:
    """Return in words how the packages in use differ from those that the environment asks for, a text for each."""
    return tuple(dict.fromkeys(_differences(environment, packages)))


def _differences(environment: EnvironmentDefinition, packages: Packages) -> Iterator[str]:
    if minor(environment.python) not in ("", minor(packages.python_version)):
        yield f"Python {packages.python_version} instead of {environment.python}"
    same = [text for text in environment.conda if name_of(text) in SAME_NAMES]
    for line in (*environment.requirements, *as_pip(same)):
        if not line.startswith("-"):
            yield from _difference(line, packages)
    for name in (normal(name_of(text)) for text in environment.conda if text not in same):
        if name != "pip" and name not in packages.versions([name]):
            yield f"{name} is not installed"


def _difference(line: str, packages: Packages) -> Iterator[str]:
    line = line.partition(" --")[0]
    wanted = requirement(line)
    try:
        specification = Specification(line)
    except InvalidRequirement:
        specification = None
    if specification is not None and specification.marker is not None and not specification.marker.evaluate():
        return
    asked = "" if wanted.asked == "any" else wanted.asked.partition(" if ")[0].removeprefix("==")
    installed = packages.versions([wanted.name]).get(wanted.name, "").partition(" ")[0]
    if not installed:
        yield f"{wanted.name} is not installed{f', {asked} is asked for' if asked else ''}"
    elif (
        specification is None or specification.url or not specification.specifier.contains(installed, prereleases=True)
    ):
        yield f"{wanted.name} {installed} instead of {asked or line}"
