"""`RunConfiguration` and `DockerConfiguration` as v1's users write them, saved as v1's `.runconfig` files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import yaml

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import LOCAL, Compute
from stepwell.blocks.compute.compute_target import name_of
from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.environments.sections import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE, Section
from stepwell.errors import UserErrorException
from stepwell.model.regular_files import read_text

__all__ = ["DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE", "DockerConfiguration", "RunConfiguration"]

_FOLDERS = (".azureml", "aml_config", ".")
_SUFFIXES = (".runconfig", ".yml", ".yaml")
_UNUSED = (
    "history",
    "spark",
    "hdi",
    "tensorflow",
    "mpi",
    "pytorch",
    "paralleltask",
    "amlcompute",
    "data",
    "output_data",
)

_COUNTS = {
    "mpi": {"processCountPerNode": "process_count_per_node"},
    "pytorch": {"processCount": "process_count"},
    "tensorflow": {"workerCount": "worker_count", "parameterServerCount": "parameter_server_count"},
}
"""v1's keys, in its files, of the sections that say how many processes there are, and their attributes."""


@checked
class DockerConfiguration:
    """Settings of containers, as in Azure ML SDK v1; the image that they start from stands in the environment.

    Where a step runs in a container is decided by its compute target (DockerCompute), not here.

    Args:
        use_docker: Whether `shm_size` is taken from here, not from the environment.
        shared_volumes: Accepted for v1's sake; saved, but not used.
        arguments: Accepted for v1's sake; saved, but not used.
        shm_size: The shared memory of a container, such as `2g`; empty: what the compute target gives.

    Attributes:
        use_docker: As the argument.
        shared_volumes: As the argument.
        arguments: As the argument.
        shm_size: As the argument.
    """

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Sequence[str] | None = None,
        shm_size: str | None = "2g",
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments or ())
        self.shm_size = shm_size


class V1Save(TypedDict, total=False):
    """v1's arguments of `RunConfiguration.save` that mean nothing here."""

    separate_environment_yaml: bool


@checked
class RunConfiguration:
    """The environment and compute target that a step runs with, as in Azure ML SDK v1.

    A step's own `compute_target`, `environment`, `environment_variables` and `timeout_seconds` win over it. v1's
    sections `history`, `spark`, `hdi`, `paralleltask`, `amlcompute`, `data` and `output_data` are there and may be set, but are
    neither used nor saved; `mpi`, `pytorch` and `tensorflow` count beside a communicator.

    Args:
        script: The script of a ScriptRunConfig that names none.
        arguments: The arguments of a ScriptRunConfig that names none.
        framework: Accepted for v1's sake; saved, but not used.
        communicator: `OpenMpi`, `Gloo`, `Nccl` or `ParameterServer` lets a script run in several processes.
        conda_dependencies: The packages of the environment.
        auto_prepare_environment: Accepted for v1's sake; not used.
        command: The command of a CommandStep that names none.
        environment: What the step runs in; None: an environment without packages of its own, which inherits those in
            use.
        environment_variables: Variables of the script's process; they win over the environment's.
        target: A compute target or its name; `local` is this machine.
        docker: Settings of containers; None: the defaults.
        node_count: How many nodes are played where there is a communicator.
        max_run_duration_seconds: The limit of one attempt, in seconds; None is no limit.

    Attributes:
        environment: As the argument; its `python.conda_dependencies` and `docker` may be set.
        environment_variables: As the argument.
        target: The name of the compute target; a target or its name may be set.
        docker: As the argument.
        max_run_duration_seconds: As the argument.
        script: As the argument.
        arguments: As the argument.
        command: As the argument.
        framework: Not used.
        communicator: As the argument.
        auto_prepare_environment: Not used.
        node_count: As the argument.
        data_references: Not used.
        priority: Not used.
        source_directory_data_store: Not used.
    """

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        _history_enabled: object = None,
        _path: object = None,
        _name: object = None,
        command: str | Sequence[Any] | None = None,
        *,
        auto_prepare_environment: bool = True,
        environment: Environment | None = None,
        environment_variables: Mapping[str, str | int | float | bool] | None = None,
        target: Compute | str = LOCAL,
        docker: DockerConfiguration | None = None,
        node_count: int = 1,
        max_run_duration_seconds: float | None = None,
    ) -> None:
        self.script = script
        self.arguments = list(arguments or ())
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.auto_prepare_environment = auto_prepare_environment
        self.command = command
        self.environment = environment or Environment()
        self.environment_variables = {name: str(value) for name, value in (environment_variables or {}).items()}
        self.target = target
        self.docker = docker or DockerConfiguration()
        self.node_count = node_count
        self.max_run_duration_seconds = max_run_duration_seconds
        self.data_references: dict[str, Any] = {}
        self.priority: int | None = None
        self.source_directory_data_store: str | None = None
        for name in _UNUSED:
            setattr(self, name, Section())
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def target(self) -> str:
        """The name of the compute target, also where the target itself was given."""
        return self._target

    @target.setter
    def target(self, target: Compute | str) -> None:
        self._target = name_of(target)

    @property
    def shm_size(self) -> str:
        """The shared memory of containers, '' for what their compute target gives."""
        return (self.docker.shm_size or "") if self.docker.use_docker else self.environment.docker.shm_size or ""

    # Files ----------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str] | None = None, name: str | None = None, **more: Unpack[V1Save]) -> None:
        """Write the configuration to a YAML file, as in Azure ML SDK v1.

        Args:
            path: The file, if it ends in `.runconfig`, `.yml` or `.yaml`; else the folder of
                `.azureml/<name>.runconfig`. None is the current directory.
            name: The name of the configuration in that folder; needless if `path` is a file.
            **more: `separate_environment_yaml`, accepted for v1's sake; not used.

        Raises:
            UserErrorException: `path` is no file and there is no name.
        """
        file = Path(path or ".")
        if file.suffix not in _SUFFIXES:
            if not name:
                raise UserErrorException("A configuration is saved under a name", hint="Pass `name=`.")
            file = file / _FOLDERS[0] / f"{name}{_SUFFIXES[0]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False))

    @classmethod
    def load(cls, path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """Read a configuration that `save` or Azure ML SDK v1 wrote; entries that aren't known are ignored.

        Args:
            path: The file, or a folder: the file is then looked for in its `.azureml`, its `aml_config`, and itself.
            name: The name of the file in the folder, with or without `.runconfig`, `.yml` or `.yaml`.

        Returns:
            The configuration.

        Raises:
            UserErrorException: There is no such file, or it holds no configuration.
        """
        file = Path(path)
        if file.is_dir():
            files = [file / folder / f"{name}{suffix}" for folder in _FOLDERS for suffix in ("", *_SUFFIXES)]
            file = next((candidate for candidate in files if candidate.is_file()), files[1])
        try:
            data = yaml.safe_load(read_text(file))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _unreadable(file, getattr(error, "strerror", None) or " ".join(str(error).split())) from error
        if not isinstance(data, dict):
            raise _unreadable(file, "it holds no mapping")
        return cls.of_dict(data, file.parent)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as v1's files have it.

        Returns:
            Plain data under v1's keys, ready for YAML or JSON.
        """
        docker = self.docker
        return {
            "script": self.script,
            "command": self.command,
            "arguments": [str(argument) for argument in self.arguments],
            "target": self.target,
            "framework": self.framework,
            "communicator": self.communicator,
            "maxRunDurationSeconds": self.max_run_duration_seconds,
            "nodeCount": self.node_count,
            **self._counts(),
            "environmentVariables": dict(self.environment_variables),
            "environment": self.environment.to_dict(),
            "docker": {
                "useDocker": docker.use_docker,
                "sharedVolumes": docker.shared_volumes,
                "arguments": list(docker.arguments),
                "shmSize": docker.shm_size,
            },
        }

    def _counts(self) -> dict[str, dict[str, int]]:
        """Return the sections that say how many processes there are, as far as they say it."""
        found = {
            key: {name: getattr(getattr(self, key), own) for name, own in names.items()}
            for key, names in _COUNTS.items()
        }
        told = {key: {name: n for name, n in counts.items() if isinstance(n, int)} for key, counts in found.items()}
        return {key: counts for key, counts in told.items() if counts}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], folder: Path) -> RunConfiguration:
        """Return the configuration that a v1 file holds.

        Args:
            data: The content of the file.
            folder: The folder of the file; paths in it are relative to this one.

        Returns:
            The configuration.
        """
        docker = data.get("docker") or {}
        made = cls(
            script=data.get("script"),
            command=data.get("command") or None,
            arguments=data.get("arguments"),
            framework=data.get("framework"),
            communicator=data.get("communicator"),
            environment=Environment.of_dict(data.get("environment") or {}, folder),
            environment_variables=data.get("environmentVariables"),
            target=data.get("target") or LOCAL,
            docker=DockerConfiguration(
                bool(docker.get("useDocker")),
                bool(docker.get("sharedVolumes", True)),
                docker.get("arguments"),
                docker.get("shmSize"),
            ),
            node_count=data.get("nodeCount") or 1,
            max_run_duration_seconds=data.get("maxRunDurationSeconds"),
        )
        for key, names in _COUNTS.items():
            for name, own in names.items():
                if isinstance(count := (data.get(key) or {}).get(name), int):
                    setattr(getattr(made, key), own, count)
        return made

    def __repr__(self) -> str:
        return f"RunConfiguration(target={self.target!r}, environment={self.environment!r})"


def _unreadable(file: Path, reason: str) -> UserErrorException:
    facts = {"file": file, "reason": reason}
    return UserErrorException("A run configuration can't be read", facts, "Correct the path, or what stands there.")
