"""The rows of an environment with packages of its own: what was asked for, word by word."""

from __future__ import annotations

from collections.abc import Iterator

from stepwell.blocks.environments.base_interpreter import base_interpreter, minor
from stepwell.blocks.environments.conda_packages import name_of
from stepwell.blocks.environments.requirements import asked_for, without_user_info
from stepwell.model.definitions import EnvironmentDefinition
from stepwell.model.digests import digest
from stepwell.model.fingerprint import CONTENT, Row


def package_rows(environment: EnvironmentDefinition, python_version: str) -> Iterator[Row]:
    """Yield the Python, packages and indexes of an isolated environment; `python_version` is the one in use."""
    yield Row("python", "", _python(environment.python, python_version))
    asked = asked_for(environment.requirements)
    options = asked.pop("", "")
    yield from (Row("package", name, wish) for name, wish in asked.items())
    for text in sorted(environment.conda):
        name = name_of(text)
        version = text.rpartition("::")[2][len(name) :].strip()
        channel = text.rpartition("::")[0]
        exact = version.removeprefix("==")
        asked_version = (version if any(sign in exact for sign in "=<>!~*,") else exact) or "any"
        yield Row("conda package", name, f"{asked_version} of {channel}" if channel else asked_version)
    if environment.channels:
        yield Row("conda channels", "", ", ".join(environment.channels))
    if environment.index_url:
        yield Row("package index", "", without_user_info(environment.index_url))
    if options:
        yield Row("pip options", "", options)


def image_rows(environment: EnvironmentDefinition) -> Iterator[Row]:
    """Yield the image or Dockerfile that containers start from, if the environment has one of its own."""
    if environment.image:
        yield Row("image", "", environment.image)
    if environment.dockerfile:
        yield Row("dockerfile", "", CONTENT + digest("dockerfile", environment.dockerfile))


def _python(asked: str, python_version: str) -> str:
    """Return the version that was asked for, since containers of other images may have it, and the one in use."""
    if not minor(asked):
        return python_version
    used = python_version if minor(asked) == minor(python_version) else base_interpreter(asked).version
    return f"{asked} ({used})"
