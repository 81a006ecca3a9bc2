"""`Environment`: packages, variables and image of steps, as v1's users write them; registered ones are Prefect blocks."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.types import SecretDict

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.environments.conda_dependencies import FILE_NAME, CondaDependencies
from stepwell.blocks.environments.registry import EnvironmentBlock, latest_of, versions_of
from stepwell.blocks.environments.requirements import Requirements, read_requirements
from stepwell.blocks.environments.sections import DockerSection, PythonSection, Section
from stepwell.blocks.server import documents
from stepwell.errors import UserErrorException
from stepwell.model.definitions import EnvironmentDefinition
from stepwell.model.digests import digest
from stepwell.model.regular_files import read_text

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace

_JSON_NAME = "azureml_environment.json"
_CURATED = "azureml-"


@checked
class Environment:
    """The packages, variables and image that steps run with.

    One that asks for no packages and has no image of its own inherits those in use.

    Args:
        name: The environment's name; needed to register it only.

    Attributes:
        name: The environment's name.
        version: The version under which it is registered, None if it isn't.
        python: The interpreter and its packages, a `PythonSection`.
        docker: The image that containers start from, a `DockerSection`.
        environment_variables: Variables of the steps' processes.
        spark: Accepted for v1's sake; not used.
        r: Accepted for v1's sake; not used.
        databricks: Accepted for v1's sake; not used.
        inferencing_stack_version: Accepted for v1's sake; not used.
    """

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
        """Make an environment of the packages in a requirements file.

        Args:
            name: The environment's name.
            file_path: The requirements file, which is read now.
            pip_version: Accepted for v1's sake; not used.

        Returns:
            The environment.

        Raises:
            UserErrorException: The file can't be read, or holds lines that can't be kept, such as `-e .`.
        """
        environment = cls(name)
        file = Path(file_path).absolute()
        environment._add_pip(read_requirements([f"-r {file.name}"], file.parent))
        return environment

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str | os.PathLike[str]) -> Environment:
        """Make an environment of the packages in a conda YAML file.

        Args:
            name: The environment's name.
            file_path: The conda YAML file, which is read now.

        Returns:
            The environment.

        Raises:
            UserErrorException: The file can't be read.
        """
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
        """Make an environment that starts from an image, with the packages of a file added to it.

        Args:
            name: The environment's name.
            image: The image's name.
            container_registry: Accepted for v1's sake; not used.
            conda_specification: A conda YAML file with packages; none by default.
            pip_requirements: A requirements file with packages, if no `conda_specification` is given; none by default.

        Returns:
            The environment.

        Raises:
            UserErrorException: The file can't be read.
        """
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
        """Make an environment that starts from the image that a Dockerfile builds.

        Args:
            name: The environment's name.
            dockerfile: The Dockerfile's text or path.
            conda_specification: A conda YAML file with packages; none by default.
            pip_requirements: A requirements file with packages, if no `conda_specification` is given; none by default.

        Returns:
            The environment.

        Raises:
            UserErrorException: The file of packages can't be read.
        """
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
        """Return the URL by which `add_pip_package` can name a wheel, which is not uploaded but read where it stands.

        Args:
            workspace: Accepted for v1's sake; not used.
            file_path: The wheel.
            exist_ok: Accepted for v1's sake; not used.

        Returns:
            The wheel's `file:` URL.
        """
        return Path(file_path).absolute().as_uri()

    def clone(self, new_name: str) -> Environment:
        """Return a copy under another name, which can be changed.

        Args:
            new_name: The copy's name.

        Returns:
            The copy, not registered.
        """
        copied = copy.deepcopy(self)
        copied.name, copied.version = new_name, None
        return copied

    # What it means --------------------------------------------------------------------------------------------------

    def definition(self) -> EnvironmentDefinition:
        """Return the environment as plain values; files that it names are read now.

        Returns:
            The values that decide what a step runs with.

        Raises:
            UserErrorException: A file of packages can't be read, or holds lines that can't be kept.
        """
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
        """Register the environment under a new version, unless the latest version holds the same.

        Args:
            workspace: The workspace that will know it.

        Returns:
            A copy of the environment with its version, counted from 1.

        Raises:
            UserErrorException: The environment has no name.
        """
        if not self.name:
            raise UserErrorException("An environment without a name can't be registered", hint="Name it.")
        content = self.to_dict()
        content_digest = digest("registered-environment", json.dumps(content, sort_keys=True))
        with documents.registering("environments"):
            latest, is_kept = latest_of(versions_of(workspace, self.name)), True
            while latest is None or latest.digest != content_digest or not is_kept:
                latest = EnvironmentBlock(
                    workspace=workspace.name,
                    name=self.name,
                    version=latest.version + 1 if latest else 1,
                    digest=content_digest,
                    content=SecretDict(content),
                )
                is_kept = documents.create_named(latest)  # else somebody on another machine has the number now
        return _of_block(latest)

    @classmethod
    def get(
        cls, workspace: BaseWorkspace, name: str, version: str | int | None = None, label: str | None = None
    ) -> Environment:
        """Return the registered environment of that name.

        Args:
            workspace: The workspace that knows it.
            name: The environment's name.
            version: The version; by default the latest one.
            label: Accepted for v1's sake; not used.

        Returns:
            The environment. One of those that Azure keeps ready, `AzureML-…`, is an empty one where installed packages stand in
            for others, so that its steps run with those in use.

        Raises:
            UserErrorException: There is no environment of that name and version.
        """
        blocks = versions_of(workspace, name)
        block = latest_of(block for block in blocks if version is None or str(block.version) == str(version))
        if block is None and not blocks and name.lower().startswith(_CURATED):
            if workspace.stand_ins["environment"] != "as-asked":
                return cls(name)
            raise UserErrorException(
                f"The environment {name!r} is one that Azure keeps ready",
                {"workspace": workspace.name},
                "Register one of that name, or set STEPWELL_V1_ENVIRONMENT=as-installed to run with the packages in use.",
            )
        if block is None:
            facts = {"workspace": workspace.name, "versions": ", ".join(str(b.version) for b in blocks) or "none"}
            title = f"There is no environment {name!r}" + (f" of version {version}" if version is not None else "")
            raise UserErrorException(title, facts, "Register it with `Environment.register`, or correct the name.")
        return _of_block(block)

    @staticmethod
    def list(workspace: BaseWorkspace) -> dict[str, Environment]:
        """Return the latest version of every registered environment.

        Args:
            workspace: The workspace that knows them.

        Returns:
            The environments by name, sorted.
        """
        blocks = documents.load_all(EnvironmentBlock, workspace=workspace.name)
        latest = {block.name: block for block in sorted(blocks, key=lambda block: block.version)}
        return {name: _of_block(latest[name]) for name in sorted(latest)}

    # Files ----------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the environment as v1's files have it.

        Returns:
            The environment's content, ready for JSON.
        """
        python = self.python.to_dict()
        if self.python.conda_dependencies_file:  # so that it stands on its own
            python |= {"condaDependencies": self.python.dependencies.as_dict(), "condaDependenciesFile": None}
        variables = dict(self.environment_variables)
        return {"name": self.name, "environmentVariables": variables, "python": python, "docker": self.docker.to_dict()}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], folder: Path) -> Environment:
        """Make the environment that a v1 file holds; what isn't known of it is passed over.

        Args:
            data: The file's content, already parsed.
            folder: The folder of the file, where files that it names are looked for.

        Returns:
            The environment.
        """
        environment = cls(data.get("name"))
        environment.environment_variables = dict(data.get("environmentVariables") or {})
        environment.python = PythonSection.of_dict(data.get("python") or {}, folder)
        environment.docker = DockerSection.of_dict(data.get("docker") or {})
        return environment

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the environment to a folder, and its packages as a conda YAML file besides.

        Args:
            path: The folder, made if need be.
            overwrite: Whether the folder may exist already.

        Raises:
            UserErrorException: The folder exists, and `overwrite` is False.
        """
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
        """Return the environment that `save_to_directory` wrote to a folder.

        Args:
            path: The folder.

        Returns:
            The environment.

        Raises:
            UserErrorException: The folder holds no environment that can be read.
        """
        file = Path(path) / _JSON_NAME
        try:
            data = json.loads(read_text(file))
        except (OSError, ValueError) as error:
            facts = {"file": file, "reason": error}
            raise UserErrorException("An environment can't be read", facts, "Correct the path.") from error
        return cls.of_dict(data, file.parent)

    def __repr__(self) -> str:
        return f"Environment(name={self.name!r}, version={self.version!r})"


def _of_block(block: EnvironmentBlock) -> Environment:
    environment = Environment.of_dict(block.content.get_secret_value(), Path.cwd())
    environment.version = str(block.version)
    return environment
