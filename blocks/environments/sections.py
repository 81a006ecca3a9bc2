"""The sections of v1's environments: Python, Docker, and those that mean nothing here but may be set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepwell.blocks.environments.conda_dependencies import CondaDependencies
from stepwell.model.regular_files import read_text

DEFAULT_CPU_IMAGE = "stepwell/default-cpu"
DEFAULT_GPU_IMAGE = "stepwell/default-gpu"
"""What v1's users name as the image of no choice: containers then start from their compute target's own."""


class Section:
    """Settings that are accepted and mean nothing here; sections in it appear when they are first named."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        inner = Section()
        setattr(self, name, inner)
        return inner

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"Section({vars(self)!r})"


class PythonSection:
    """The interpreter and its packages. With `user_managed_dependencies`, those of `interpreter_path` as they are.

    Attributes:
        user_managed_dependencies: Whether the interpreter is used as it is, without more packages; False by default.
        interpreter_path: The interpreter to use as it is; `python` is the one in use.
        conda_dependencies: The packages, a `CondaDependencies`.
        conda_dependencies_file: A conda YAML file that counts instead of `conda_dependencies`; None by default.
        base_conda_environment: Accepted for v1's sake; not used.
    """

    def __init__(self) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path = "python"
        self.conda_dependencies: CondaDependencies | None = CondaDependencies()
        self.conda_dependencies_file: str | os.PathLike[str] | None = None
        self.base_conda_environment: str | None = None

    @property
    def dependencies(self) -> CondaDependencies:
        """The packages; those of the file if one is named."""
        if self.conda_dependencies_file:
            return CondaDependencies(self.conda_dependencies_file)
        return self.conda_dependencies or CondaDependencies()

    def to_dict(self) -> dict[str, Any]:
        """Return the section as v1's files have it.

        Returns:
            The section's content, ready for JSON.
        """
        return {
            "interpreterPath": self.interpreter_path,
            "userManagedDependencies": self.user_managed_dependencies,
            "condaDependenciesFile": str(self.conda_dependencies_file) if self.conda_dependencies_file else None,
            "condaDependencies": (self.conda_dependencies or CondaDependencies()).as_dict(),
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any], folder: Path) -> PythonSection:
        """Make the section that a v1 file holds.

        Args:
            data: The section's content, already parsed.
            folder: The folder of the file, where a file that it names is looked for.

        Returns:
            The section.
        """
        made = cls()
        made.interpreter_path = str(data.get("interpreterPath") or "python")
        made.user_managed_dependencies = bool(data.get("userManagedDependencies"))
        file = data.get("condaDependenciesFile")
        made.conda_dependencies_file = folder / file if file else None
        listed = data.get("condaDependencies")
        made.conda_dependencies = CondaDependencies.of_dict(listed) if listed else CondaDependencies()
        return made


class DockerSection:
    """The image that containers start from; other compute targets don't look at it.

    Attributes:
        enabled: Accepted for v1's sake; not used.
        gpu_support: Accepted for v1's sake; not used.
        base_image: The image's name; None or one of v1's default images leaves the choice to the compute target.
        base_dockerfile: The text or path of a Dockerfile that builds the image; None by default.
        arguments: Accepted for v1's sake; not used.
        shm_size: The size of shared memory, such as `2g`; None leaves it to the compute target.
        shared_volumes: Accepted for v1's sake; not used.
        base_image_registry: Accepted for v1's sake; not used.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.gpu_support = False
        self.base_image: str | None = DEFAULT_CPU_IMAGE
        self.base_dockerfile: str | None = None
        self.arguments: list[str] = []
        self.shm_size: str | None = None
        self.shared_volumes = True
        self.base_image_registry = Section()

    @property
    def image(self) -> str:
        """The image of its own, '' if it has none."""
        unchosen = self.base_dockerfile or self.base_image in (DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE)
        return "" if unchosen else self.base_image or ""

    @property
    def dockerfile(self) -> str:
        """The text of its Dockerfile, '' if it has none."""
        return text_of(self.base_dockerfile)

    def to_dict(self) -> dict[str, Any]:
        """Return the section as v1's files have it.

        Returns:
            The section's content, ready for JSON.
        """
        return {
            "enabled": self.enabled,
            "baseImage": self.base_image,
            "baseDockerfile": self.dockerfile or None,
            "arguments": list(self.arguments),
            "shmSize": self.shm_size,
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> DockerSection:
        """Make the section that a v1 file holds.

        Args:
            data: The section's content, already parsed.

        Returns:
            The section.
        """
        made = cls()
        made.enabled = bool(data.get("enabled"))
        made.base_image = data.get("baseImage", DEFAULT_CPU_IMAGE)
        made.base_dockerfile = data.get("baseDockerfile")
        made.arguments = [str(word) for word in data.get("arguments") or ()]
        made.shm_size = data.get("shmSize")
        return made


def text_of(dockerfile: str | None) -> str:
    """Return the text of a Dockerfile that is given as text or as a path."""
    if not dockerfile or "\n" in dockerfile or not os.path.isfile(dockerfile):
        return dockerfile or ""
    return read_text(dockerfile)
