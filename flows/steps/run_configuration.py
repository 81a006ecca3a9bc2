"""`RunConfiguration` and `DockerConfiguration` as v1's users write them, saved as v1's `.runconfig` files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from stepwell.blocks.compute.base import LOCAL
from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.environments.sections import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE, Section
from stepwell.errors import UserErrorException

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


class DockerConfiguration:
    """How containers are run; what they start from stands in the environment."""

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Iterable[str] | None = None,
        shm_size: str | None = "2g",
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments or ())
        self.shm_size = shm_size


class RunConfiguration:
    """What a step runs in and on. Settings that mean nothing here may be set, and are kept to themselves."""

    def __init__(
        self,
        script: str | None = None,
        arguments: Iterable[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        auto_prepare_environment: bool = True,
        command: Any = None,
        *,
        environment: Environment | None = None,
        environment_variables: Mapping[str, str] | None = None,
        target: Any = LOCAL,
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
        self.environment_variables = dict(environment_variables or {})
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
    def shm_size(self) -> str:
        """The shared memory of containers, '' for what their compute target gives."""
        return (self.docker.shm_size or "") if self.docker.use_docker else self.environment.docker.shm_size or ""

    # Files ----------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str] | None = None, name: str | None = None, **more: Any) -> None:
        """Nothing; a file holds the configuration: `path` if it ends in `.runconfig`, else `<path>/.azureml/<name>.runconfig`."""
        file = Path(path or ".")
        if file.suffix not in _SUFFIXES:
            if not name:
                raise UserErrorException("A configuration is saved under a name", hint="Pass `name=`.")
            file = file / _FOLDERS[0] / f"{name}{_SUFFIXES[0]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False))

    @classmethod
    def load(cls, path: str | os.PathLike[str], name: str | None = None) -> RunConfiguration:
        """The configuration that `save` wrote, or v1; what isn't known of it is passed over."""
        file = Path(path)
        if file.is_dir():
            files = [file / folder / f"{name}{suffix}" for folder in _FOLDERS for suffix in ("", *_SUFFIXES)]
            file = next((candidate for candidate in files if candidate.is_file()), files[1])
        try:
            data = yaml.safe_load(file.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _unreadable(file, getattr(error, "strerror", None) or " ".join(str(error).split())) from error
        if not isinstance(data, dict):
            raise _unreadable(file, "it holds no mapping")
        return cls.of_dict(data, file.parent)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as v1's files have it."""
        docker = self.docker
        return {
            "script": self.script,
            "command": self.command,
            "arguments": [str(argument) for argument in self.arguments],
            "target": str(getattr(self.target, "name", self.target)),
            "framework": self.framework,
            "communicator": self.communicator,
            "maxRunDurationSeconds": self.max_run_duration_seconds,
            "nodeCount": self.node_count,
            "environmentVariables": dict(self.environment_variables),
            "environment": self.environment.to_dict(),
            "docker": {
                "useDocker": docker.use_docker,
                "sharedVolumes": docker.shared_volumes,
                "arguments": list(docker.arguments),
                "shmSize": docker.shm_size,
            },
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], folder: Path) -> RunConfiguration:
        """The configuration of a v1 file in `folder`."""
        docker = data.get("docker") or {}
        return cls(
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

    def __repr__(self) -> str:
        return f"RunConfiguration(target={self.target!r}, environment={self.environment!r})"


def _unreadable(file: Path, reason: str) -> UserErrorException:
    facts = {"file": file, "reason": reason}
    return UserErrorException("A run configuration can't be read", facts, "Correct the path, or what stands there.")
