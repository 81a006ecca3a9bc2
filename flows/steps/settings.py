"""The environment, time limit and resources of a step, read from its arguments and its runconfig."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.compute.base import LOCAL
from stepwell.blocks.compute.compute_target import name_of as name_of_target
from stepwell.blocks.compute.memory_size import memory_of, refuse_tiny
from stepwell.blocks.environments.conda_packages import name_of
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.environments.requirements import read_requirements, requirement
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.parameter_file import NamedKeys, named_keys
from stepwell.model.definitions import EnvironmentDefinition, ParameterDefinition, Resources

_STRICT = {
    **dict.fromkeys(("bash", "zsh", "ksh", "mksh"), ("-eo", "pipefail", "-c")),
    **dict.fromkeys(("sh", "dash", "ash"), ("-ec",)),
}
"""How shells are told to end at the first command that fails."""


def usual_folder(script: str | None, made_in: Path | None) -> Path:
    """Return the source directory of a step that names none: where its script is, `made_in` or else the current directory."""
    return made_in if script and made_in and (made_in / script).is_file() else Path.cwd()


def step_name(name: str) -> str:
    """Return a step's name; raise UserErrorException if it is blank."""
    if not name.strip():
        raise UserErrorException("A step needs a name", {"value": repr(name)}, "Pass one as `name`.")
    return name


class Parameters(NamedTuple):
    """What a step has as `params`: values by name, and keys of files that its script reads itself."""

    values: dict[str, Any]
    keys: tuple[NamedKeys, ...]


def params_of(params: Any, folder: Path) -> Parameters:
    """Return a step's `params`, in which texts name keys of `params.yaml` in a folder.

    Raise UserErrorException if a value has no name, or there is no such key.
    """
    values = values_in(params)
    if values and not all(map(str.strip, map(str, values))):
        raise UserErrorException("A value in `params` has no name", {"names": ", ".join(map(repr, values))}, "Name it.")
    return Parameters(values, named_keys((one for one in _items(params) if not isinstance(one, Mapping)), folder))


def values_in(params: Any) -> dict[str, Any]:
    """Return the values by name among a step's `params`."""
    return {name: value for one in _items(params) if isinstance(one, Mapping) for name, value in one.items()}


def _items(params: Any) -> list[Any]:
    return [params] if isinstance(params, Mapping) else list(params or ())


def secret_argument(step: str, parameter: ParameterDefinition) -> UserErrorException:
    """Return the error of a secret among the arguments of a step."""
    return UserErrorException(
        f"The secret parameter {parameter.name!r} can't be an argument: command lines are seen by everybody",
        {"step": step},
        f"Pass it in `params` and read the environment variable AML_PARAMETER_{parameter.variable}.",
    )


def environment_of(runconfig: Any, environment: Any, variables: Mapping[str, Any]) -> EnvironmentDefinition:
    """Return the environment of a step: its own (an Environment, or requirements), or else that of its runconfig.

    `variables` win over those of the runconfig, and these over the environment's.
    """
    chosen = environment if environment is not None else getattr(runconfig, "environment", None)
    found = _defined(chosen)
    named = {**found.variables, **(getattr(runconfig, "environment_variables", None) or {}), **variables}
    for name in named:
        if not str(name) or "=" in str(name) or "\0" in str(name):
            raise UserErrorException(
                f"An environment variable can't be called {name!r}", hint="Use letters, digits and underscores."
            )
    return replace(
        found,
        variables={str(name): str(value) for name, value in named.items()},
        shm_size=str(getattr(runconfig, "shm_size", "") or found.shm_size),
    )


def with_packages(runconfig: Any, environment: Any, names: Iterable[str]) -> EnvironmentDefinition:
    """Return the environment of a step, with packages that its step type needs if it has packages of its own."""
    found = environment_of(runconfig, environment, {})
    known = {requirement(line).name for line in found.requirements} | {name_of(text) for text in found.conda}
    lacking = tuple(name for name in names if name not in known) if found.isolated else ()
    return replace(found, requirements=(*found.requirements, *lacking))


def _defined(environment: Any) -> EnvironmentDefinition:
    if environment is None:
        return EnvironmentDefinition()
    if isinstance(environment, EnvironmentDefinition):
        return environment
    if isinstance(environment, Environment):
        return environment.definition()
    if isinstance(environment, (list, tuple)) and all(isinstance(line, str) for line in environment):
        found = read_requirements(environment, Path.cwd())
        return EnvironmentDefinition(requirements=found.lines, index_url=found.index_url)
    raise UserErrorException(
        "`environment` must be an Environment or a list of requirements for pip",
        {"value": repr(environment)},
        "Pass one of these, such as ['numpy==2.4.6'].",
    )


def shell_of(shell: bool | str) -> tuple[str, ...]:
    """Return the words before a command line, of a shell's name or a whole command; () is the target's own choice."""
    if isinstance(shell, bool):
        return ()
    try:
        words = shlex.split(shell) if isinstance(shell, str) else []
    except ValueError:
        words = []
    if not words:
        raise UserErrorException(
            "`shell` must name a shell",
            {"value": repr(shell)},
            "Pass a name such as 'bash', or a command such as 'bash -c'.",
        )
    return tuple(words) if len(words) > 1 else (*words, *_STRICT.get(words[0].rpartition("/")[2], ("-c",)))


def refuse_notebook(script: str) -> None:
    """Raise UserErrorException if the script is a notebook: Python would read it, and run none of its cells."""
    if script.lower().endswith(".ipynb"):
        raise UserErrorException(
            f"{script!r} is a notebook, and none of its cells would run as a script",
            hint=f"Turn it into a script: `jupyter nbconvert --to script {script}`.",
        )


def timeout_of(runconfig: Any, timeout_seconds: float | None) -> float | None:
    """Return how many seconds a step may take: its own limit, or else its runconfig's; None is no limit."""
    return timeout_seconds if timeout_seconds is not None else getattr(runconfig, "max_run_duration_seconds", None)


def resources_of(resources: Resources | Mapping[str, Any] | None) -> Resources | None:
    """Return the resources that a step takes, from a mapping such as `{"cpus": 2, "memory": "4GB", "gpus": 0.5}`."""
    if resources is None or isinstance(resources, Resources):
        return resources
    unknown = sorted(set(resources) - {"cpus", "memory", "gpus"})
    if unknown:
        raise UserErrorException(
            f"There is no resource {unknown[0]!r}", {"resources": "cpus, memory, gpus"}, "Name one of these."
        )
    memory = refuse_tiny("`memory` of `resources`", memory_of(resources.get("memory", 0)))
    cpus, gpus = (_number(name, resources.get(name, default)) for name, default in (("cpus", 1), ("gpus", 0)))
    return Resources(cpus=cpus, memory=memory, gpus=gpus)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        raise UserErrorException(f"`{name}` must be a number of at least 0", {"value": repr(value)}, "Correct it.")
    return float(value)


def at_least(lowest: float, name: str, value: Any) -> Any:
    """Return a finite number; raise UserErrorException if it is none, or less than it may be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value < math.inf:
        raise UserErrorException(
            f"`{name}` must be a number of at least {lowest:g}", {"value": repr(value)}, f"Correct `{name}`."
        )
    return value


def target_name(target: Any) -> str:
    """Return the name of the compute target that was given, that of this machine if none was."""
    if target is None:
        return LOCAL
    if isinstance(target, tuple):
        return str(target[0])
    return name_of_target(target)
