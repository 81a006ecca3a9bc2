"""`Environment`: packages, variables and image of steps, as v1's users write them; registered ones are Prefect blocks."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field

from stepwell.blocks.environments.conda_dependencies import FILE_NAME, CondaDependencies
from stepwell.blocks.environments.requirements import Requirements, read_requirements
from stepwell.blocks.environments.sections import DockerSection, PythonSection, Section
from stepwell.blocks.server import documents
from stepwell.errors import UserErrorException
from stepwell.model.definitions import EnvironmentDefinition
from stepwell.model.digests import digest

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace

_JSON_NAME = "azureml_environment.json"


class EnvironmentBlock(Block):
    """One version of a registered environment; its content is kept secret, as variables and index URLs may be."""

    _block_type_name: ClassVar[str] = "Stepwell Environment"
    _block_type_slug: ClassVar[str] = "stepwell-environment"
    _description: ClassVar[str] = "Packages, variables and image of steps."

    workspace: str = Field(description="The workspace that the environment belongs to.")
    name: str = Field(description="The environment's name.")
    version: int = Field(description="The version, counted from 1.")
    digest: str = Field(description="What tells whether another environment of the name holds the same.")
    content: SecretDict = Field(description="The environment as v1's files have it.")


class Environment:
    """What steps run in. One that asks for no packages and has no image of its own inherits those in use."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: dict[str, str] = {}
        self.spark = Section()
        self.r: Any = None
        self.databricks = Section()
        self.inferencing_stack_version: str | None = None

    # Where environments come from -----------------------------------------------------------------------------------

    @classmethod
    def from_pip_requirements(
        cls, name: str, file_path: str | os.PathLike[str], pip_version: str | None = None
    ) -> Environment:
        """An environment of the packages in a requirements file."""
        environment = cls(name)
        file = Path(file_path).absolute()
        environment._add_pip(read_requirements([f"-r {file.name}"], file.parent))
        return environment

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str | os.PathLike[str]) -> Environment:
        """An environment of the packages in a conda YAML file."""
        environment = cls(name)
        environment.python.conda_dependencies = CondaDependencies(file_path)
        return environment

    @classmethod
    def from_docker_image(
        cls,
        name: str,
        image: str,
        container_registry: Any = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """An environment that starts from an image, with the packages of a file added to it."""
        environment = cls._with_files(name, conda_specification, pip_requirements)
        environment.docker.base_image = image
        return environment

    @classmethod
    def from_dockerfile(
        cls,
        name: str,
        dockerfile: str | os.PathLike[str],
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """An environment that starts from what a Dockerfile, given as text or path, makes."""
        environment = cls._with_files(name, conda_specification, pip_requirements)
        environment.docker.base_image, environment.docker.base_dockerfile = None, os.fspath(dockerfile)
        return environment

    @classmethod
    def _with_files(cls, name: str, conda: Any, pip: Any) -> Environment:
        if conda:
            return cls.from_conda_specification(name, conda)
        return cls.from_pip_requirements(name, pip) if pip else cls(name)

    def _add_pip(self, found: Requirements) -> None:
        dependencies = self.python.conda_dependencies = CondaDependencies()
        dependencies.set_pip_requirements(found.lines)
        if found.index_url:
            dependencies.set_pip_index_url(found.index_url)

    @classmethod
    def add_private_pip_wheel(
        cls, workspace: BaseWorkspace, file_path: str | os.PathLike[str], exist_ok: bool = False
    ) -> str:
        """What to name a wheel by in `add_pip_package`: its place, since wheels are read where they stand."""
        return Path(file_path).absolute().as_uri()

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, which can be changed."""
        twin = copy.deepcopy(self)
        twin.name, twin.version = new_name, None
        return twin

    # What it means --------------------------------------------------------------------------------------------------

    def definition(self) -> EnvironmentDefinition:
        """The environment as plain values; files that it names are read now."""
        docker, python = self.docker, self.python
        common: dict[str, Any] = {
            "variables": {str(name): str(value) for name, value in self.environment_variables.items()},
            "image": docker.image,
            "dockerfile": docker.dockerfile,
            "shm_size": docker.shm_size or "",
        }
        if python.user_managed_dependencies:
            path = str(python.interpreter_path or "python")
            return EnvironmentDefinition(interpreter="" if path == "python" else path, **common)
        packages = python.dependencies
        found = packages.requirements
        conda = packages.conda_specifications
        return EnvironmentDefinition(
            requirements=found.lines,
            conda=conda,
            channels=tuple(packages.conda_channels) if conda else (),
            python=packages.python_version,
            index_url=found.index_url,
            **common,
        )

    # Registered ones ------------------------------------------------------------------------------------------------

    def register(self, workspace: BaseWorkspace) -> Environment:
        """This environment as the workspace knows it: under a new version, unless the latest one holds the same."""
        if not self.name:
            raise UserErrorException("An environment without a name can't be registered", hint="Name it.")
        content = self.to_dict()
        seal = digest("registered-environment", json.dumps(content, sort_keys=True))
        latest = _latest(_blocks(workspace, self.name))
        if latest is None or latest.digest != seal:
            latest = EnvironmentBlock(
                workspace=workspace.name,
                name=self.name,
                version=latest.version + 1 if latest else 1,
                digest=seal,
                content=SecretDict(content),
            )
            documents.save(latest, documents.document_name(workspace.name, self.name, f"{latest.version}"))
        return _of_block(latest)

    @classmethod
    def get(
        cls, workspace: BaseWorkspace, name: str, version: str | int | None = None, label: str | None = None
    ) -> Environment:
        """The registered environment of that name, the latest unless a version is named; UserErrorException if none is."""
        blocks = _blocks(workspace, name)
        block = _latest(block for block in blocks if version is None or str(block.version) == str(version))
        if block is None:
            facts = {"workspace": workspace.name, "versions": ", ".join(str(b.version) for b in blocks) or "none"}
            title = f"There is no environment {name!r}" + (f" of version {version}" if version is not None else "")
            raise UserErrorException(title, facts, "Register it with `Environment.register`, or correct the name.")
        return _of_block(block)

    @staticmethod
    def list(workspace: BaseWorkspace) -> dict[str, Environment]:
        """The latest version of every registered environment, by name."""
        blocks = documents.load_all(EnvironmentBlock, workspace=workspace.name)
        latest = {block.name: block for block in sorted(blocks, key=lambda block: block.version)}
        return {name: _of_block(latest[name]) for name in sorted(latest)}

    # Files ----------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The environment as v1's files have it."""
        python = self.python.to_dict()
        if self.python.conda_dependencies_file:  # so that it stands on its own
            python |= {"condaDependencies": self.python.dependencies.as_dict(), "condaDependenciesFile": None}
        variables = dict(self.environment_variables)
        return {"name": self.name, "environmentVariables": variables, "python": python, "docker": self.docker.to_dict()}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], folder: Path) -> Environment:
        """The environment of a v1 file in `folder`; what isn't known of it is passed over."""
        environment = cls(data.get("name"))
        environment.environment_variables = dict(data.get("environmentVariables") or {})
        environment.python = PythonSection.of_dict(data.get("python") or {}, folder)
        environment.docker = DockerSection.of_dict(data.get("docker") or {})
        return environment

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Nothing; the folder holds the environment, its packages as a conda YAML file besides."""
        folder = Path(path)
        if folder.exists() and not overwrite:
            raise UserErrorException(
                "The folder for an environment exists already", {"folder": folder}, "Pass `overwrite=True`."
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _JSON_NAME).write_text(json.dumps(self.to_dict(), indent=4))
        self.python.dependencies.save(folder / FILE_NAME)

    @classmethod
    def load_from_directory(cls, path: str | os.PathLike[str]) -> Environment:
        """The environment that `save_to_directory` wrote to the folder."""
        file = Path(path) / _JSON_NAME
        try:
            data = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            facts = {"file": file, "reason": error}
            raise UserErrorException("An environment can't be read", facts, "Correct the path.") from error
        return cls.of_dict(data, file.parent)

    def __repr__(self) -> str:
        return f"Environment(name={self.name!r}, version={self.version!r})"


def _blocks(workspace: BaseWorkspace, name: str) -> list[EnvironmentBlock]:
    found = documents.load_all(EnvironmentBlock, workspace=workspace.name, name=name)
    return sorted(found, key=lambda block: block.version)


def _latest(blocks: Iterable[EnvironmentBlock]) -> EnvironmentBlock | None:
    return max(blocks, key=lambda block: block.version, default=None)


def _of_block(block: EnvironmentBlock) -> Environment:
    environment = Environment.of_dict(block.content.get_secret_value(), Path.cwd())
    environment.version = str(block.version)
    return environment
