"""`CondaDependencies`: the packages of an environment, as v1's users list them, and as conda's YAML files do."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.environments.conda_packages import name_of
from stepwell.blocks.environments.requirements import Requirements, normal, read_requirements
from stepwell.errors import UserErrorException
from stepwell.model.regular_files import read_text

FILE_NAME = "conda_dependencies.yml"
_DEFAULT_NAME = "project_environment"


@checked
class CondaDependencies:
    """Packages for conda and for pip, channels, and a Python version; each list in the order in which it was made.

    A Python version that nobody sets means any.

    Args:
        conda_dependencies_file_path: A conda YAML file to start from; by default there are no packages.

    Raises:
        UserErrorException: The file can't be read.
    """

    def __init__(self, conda_dependencies_file_path: str | os.PathLike[str] | None = None) -> None:
        self._folder = Path.cwd()
        self._rest: dict[str, Any] = {"name": _DEFAULT_NAME}
        self._channels: list[str] = []
        self._conda: list[str] = []
        self._pip: list[str] = []
        if conda_dependencies_file_path is not None:
            file = Path(conda_dependencies_file_path).absolute()
            self._folder = file.parent
            self._load(_read(file), str(file))

    @classmethod
    def create(
        cls,
        pip_indexurl: str | None = None,
        pip_packages: Sequence[str] | None = None,
        conda_packages: Sequence[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Make dependencies of these packages.

        Args:
            pip_indexurl: The package index that pip uses; by default the one that pip is set up with.
            pip_packages: Requirements for pip, such as `numpy==2.4.6`.
            conda_packages: Specifications for conda, such as `numpy=1.19`.
            python_version: A version such as `3.11`, of which the first two numbers count; by default any.
            pin_sdk_version: Accepted for v1's sake; not used, since Stepwell stands in for the SDK.

        Returns:
            The dependencies.

        Raises:
            UserErrorException: A package is no text.
        """
        made = cls()
        if python_version:
            made.set_python_version(python_version)
        if pip_indexurl:
            made.set_pip_index_url(pip_indexurl)
        for package in conda_packages or ():
            made.add_conda_package(package)
        for package in pip_packages or ():
            made.add_pip_package(package)
        return made

    @classmethod
    def of_dict(cls, data: Any) -> CondaDependencies:
        """Make dependencies of the content of a conda YAML file.

        Args:
            data: The file's content, already parsed.

        Returns:
            The dependencies.

        Raises:
            UserErrorException: The content is not that of a conda YAML file.
        """
        made = cls()
        made._load(data, "a mapping")
        return made

    # What there is --------------------------------------------------------------------------------------------------

    @property
    def conda_channels(self) -> list[str]:
        """The channels, the first one first asked."""
        return list(self._channels)

    @property
    def conda_packages(self) -> list[str]:
        """Conda's specifications, that of Python included if a version was set."""
        return list(self._conda)

    @property
    def pip_packages(self) -> list[str]:
        """The requirements for pip, without options."""
        return [line for line in self._pip if not line.startswith("-")]

    @property
    def pip_options(self) -> list[str]:
        """The options for pip, such as `--index-url ...`."""
        return [line for line in self._pip if line.startswith("-")]

    @property
    def python_version(self) -> str:
        """The Python version that was set, '' for any."""
        found = [text for text in self._conda if name_of(text) == "python"]
        match = re.fullmatch(r"[^=<>!~]*={1,2}\s*([\d.]+?)(\.?\*)?(=.*)?", found[-1]) if found else None
        return match[1] if match else ""

    def get_python_version(self) -> str | None:
        """Return the Python version that was set.

        Returns:
            The version, None for any.
        """
        return self.python_version or None

    @property
    def requirements(self) -> Requirements:
        """The packages that pip is to install; files that lines name are read now."""
        return read_requirements(self._pip, self._folder)

    @property
    def conda_specifications(self) -> tuple[str, ...]:
        """The packages that conda is to install besides Python and pip, without blanks, sorted."""
        named = (text for text in self._conda if name_of(text) not in ("python", "pip"))
        return tuple(sorted({re.sub(r"\s+(?=[=<>!~,])|(?<=[=<>!~,])\s+", "", text) for text in named}))

    # Changes --------------------------------------------------------------------------------------------------------

    def add_channel(self, channel: str) -> None:
        """Add a channel, which is asked after those before it.

        Args:
            channel: The channel's name or URL; one that is there already stays where it is.
        """
        if channel not in self._channels:
            self._channels.append(channel)

    def add_conda_package(self, conda_package: str) -> None:
        """Add a package to conda's, in place of an earlier specification of it.

        Args:
            conda_package: A specification such as `numpy=1.19`.

        Raises:
            UserErrorException: The package is no text.
        """
        text = _text(conda_package)
        self.remove_conda_package(text)
        self._conda.append(text)

    def add_pip_package(self, pip_package: str) -> None:
        """Add a package to pip's, in place of an earlier requirement of it.

        Args:
            pip_package: A requirement such as `numpy==2.4.6`.

        Raises:
            UserErrorException: The package is no text.
        """
        text = _text(pip_package)
        self.remove_pip_package(text)
        self._pip.append(text)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel; one that isn't there is passed over.

        Args:
            channel: The channel's name or URL.
        """
        self._channels = [known for known in self._channels if known != channel]

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove every package of that name from conda's.

        Args:
            conda_package: The package's name or a specification of it; only the name counts.
        """
        self._conda = [text for text in self._conda if name_of(text) != name_of(conda_package)]

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove every package of that name from pip's.

        Args:
            pip_package: The package's name or a requirement of it; only the name counts.
        """
        self._pip = [line for line in self._pip if line.startswith("-") or _pip_name(line) != _pip_name(pip_package)]

    def set_pip_requirements(self, pip_requirements: Sequence[str]) -> None:
        """Replace all lines for pip, options included.

        Args:
            pip_requirements: Requirement and option lines, as in a requirements file.

        Raises:
            UserErrorException: A line is no text.
        """
        self._pip = [_text(line) for line in pip_requirements]

    def set_pip_index_url(self, index_url: str) -> None:
        """Set the package index that pip uses. A password in it is kept out of logs, keys and command lines.

        Args:
            index_url: The index's URL.

        Raises:
            UserErrorException: The URL is no text.
        """
        self._pip = [line for line in self._pip if not re.match(r"(-i|--index-url)[\s=]", line)]
        self.set_pip_option(f"--index-url {_text(index_url)}")

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option for pip, after those before it.

        Args:
            pip_option: A line such as `--pre`.
        """
        if pip_option not in self._pip:
            self._pip.insert(len(self.pip_options), pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove an option for pip.

        Args:
            pip_option: The line as it was set.
        """
        self._pip = [line for line in self._pip if line != pip_option]

    def set_python_version(self, version: str) -> None:
        """Set the Python version.

        Args:
            version: A version such as `3.11`, of which the first two numbers count.

        Raises:
            UserErrorException: The version is no text.
        """
        self.add_conda_package(f"python={_text(version)}")

    # As YAML --------------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Return the content of a conda YAML file.

        Returns:
            The content, ready to be written as YAML.
        """
        pip = [{"pip": list(self._pip)}] if self._pip else []
        channels = {"channels": list(self._channels)} if self._channels else {}
        return {**self._rest, **channels, "dependencies": [*self._conda, *pip]}

    def serialize_to_string(self) -> str:
        """Return the text of a conda YAML file.

        Returns:
            The text.
        """
        return str(yaml.safe_dump(self.as_dict(), sort_keys=False))

    def save_to_file(self, base_directory: str, conda_file_path: str = FILE_NAME) -> str:
        """Write a conda YAML file to a folder, as in Azure ML SDK v1.

        Args:
            base_directory: The folder.
            conda_file_path: The file's path in the folder.

        Returns:
            The file's path, relative to `base_directory`.
        """
        name = conda_file_path or FILE_NAME
        self.save(Path(base_directory) / name)
        return name

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write a conda YAML file.

        Args:
            path: The file, by default `conda_dependencies.yml` in the current folder.
        """
        file = Path(path or FILE_NAME)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.serialize_to_string())

    def _load(self, data: Any, origin: str) -> None:
        listed = data.get("dependencies", []) if isinstance(data, dict) else None
        if not isinstance(listed, list):
            raise _unreadable(origin, "it holds no list `dependencies`")
        for item in listed:
            if isinstance(item, str):
                self._conda.append(item.strip())
            elif isinstance(item, dict) and isinstance(item.get("pip"), list):
                self._pip += [str(line).strip() for line in item["pip"]]
            else:
                raise _unreadable(origin, f"a dependency is {item!r}")
        self._channels = [str(channel) for channel in data.get("channels") or ()]
        self._rest = {name: value for name, value in data.items() if name not in ("dependencies", "channels")}

    def __repr__(self) -> str:
        return f"CondaDependencies(conda={self._conda!r}, pip={self.pip_packages!r})"


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(read_text(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unreadable(str(file), getattr(error, "strerror", None) or " ".join(str(error).split())) from error


def _unreadable(origin: str, reason: str) -> UserErrorException:
    facts = {"from": origin, "reason": reason}
    return UserErrorException("Conda dependencies can't be read", facts, "Correct the path, or what stands there.")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserErrorException("A package is named by text", {"value": repr(value)}, "Write it as in 'numpy==2.4.6'.")
    return value.strip()


def _pip_name(line: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", line)
    return normal(match[0]) if match and "://" not in line.partition("@")[0] else line
