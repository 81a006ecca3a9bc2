"""`CondaDependencies`: the packages of an environment, as v1's users list them, and as conda's YAML files do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from stepwell.blocks.environments.conda_packages import name_of
from stepwell.blocks.environments.requirements import Requirements, normal, read_requirements
from stepwell.errors import UserErrorException

FILE_NAME = "conda_dependencies.yml"
_DEFAULT_NAME = "project_environment"


class CondaDependencies:
    """Packages for conda and for pip, channels, and a Python version; each list in the order in which it was made.

    A Python version that nobody sets means any.
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
            self._take(_read(file), str(file))

    @classmethod
    def create(
        cls,
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Dependencies of these packages. `pin_sdk_version` is of no concern here: Stepwell stands in for the SDK."""
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
        """Dependencies as a conda YAML file holds them, already parsed."""
        made = cls()
        made._take(data, "a mapping")
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
        """The Python version that was set, if any."""
        return self.python_version or None

    @property
    def requirements(self) -> Requirements:
        """What pip is to install; files that lines name are read now."""
        return read_requirements(self._pip, self._folder)

    @property
    def conda_specifications(self) -> tuple[str, ...]:
        """What conda is to install besides Python and pip, without blanks, sorted."""
        named = (text for text in self._conda if name_of(text) not in ("python", "pip"))
        return tuple(sorted({re.sub(r"\s+(?=[=<>!~,])|(?<=[=<>!~,])\s+", "", text) for text in named}))

    # Changes --------------------------------------------------------------------------------------------------------

    def add_channel(self, channel: str) -> None:
        """Nothing; the channel is asked, after those before it."""
        if channel not in self._channels:
            self._channels.append(channel)

    def add_conda_package(self, conda_package: str) -> None:
        """Nothing; the package is among conda's, in place of an earlier specification of it."""
        text = _text(conda_package)
        self.remove_conda_package(text)
        self._conda.append(text)

    def add_pip_package(self, pip_package: str) -> None:
        """Nothing; the package is among pip's, in place of an earlier requirement of it."""
        text = _text(pip_package)
        self.remove_pip_package(text)
        self._pip.append(text)

    def remove_channel(self, channel: str) -> None:
        """Nothing; the channel is not asked."""
        self._channels = [known for known in self._channels if known != channel]

    def remove_conda_package(self, conda_package: str) -> None:
        """Nothing; no package of that name is among conda's."""
        self._conda = [text for text in self._conda if name_of(text) != name_of(conda_package)]

    def remove_pip_package(self, pip_package: str) -> None:
        """Nothing; no package of that name is among pip's."""
        self._pip = [line for line in self._pip if line.startswith("-") or _pip_name(line) != _pip_name(pip_package)]

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Nothing; these lines are what pip installs, in place of all before."""
        self._pip = [_text(line) for line in pip_requirements]

    def set_pip_index_url(self, index_url: str) -> None:
        """Nothing; pip looks there for packages. A password in it is kept out of logs, keys and command lines."""
        self._pip = [line for line in self._pip if not re.match(r"(-i|--index-url)[\s=]", line)]
        self.set_pip_option(f"--index-url {_text(index_url)}")

    def set_pip_option(self, pip_option: str) -> None:
        """Nothing; pip gets the option."""
        if pip_option not in self._pip:
            self._pip.insert(len(self.pip_options), pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Nothing; pip does not get the option."""
        self._pip = [line for line in self._pip if line != pip_option]

    def set_python_version(self, version: str) -> None:
        """Nothing; this Python is asked for, by its first two numbers."""
        self.add_conda_package(f"python={_text(version)}")

    # As YAML --------------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """What a conda YAML file holds."""
        pip = [{"pip": list(self._pip)}] if self._pip else []
        channels = {"channels": list(self._channels)} if self._channels else {}
        return {**self._rest, **channels, "dependencies": [*self._conda, *pip]}

    def serialize_to_string(self) -> str:
        """The text of a conda YAML file."""
        return str(yaml.safe_dump(self.as_dict(), sort_keys=False))

    def save_to_file(self, base_directory: str, conda_file_path: str | None = None) -> str:
        """The path, relative to `base_directory`, of a conda YAML file that now holds these dependencies."""
        name = conda_file_path or FILE_NAME
        self.save(Path(base_directory) / name)
        return name

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Nothing; the file, by default `conda_dependencies.yml` in the current folder, holds these dependencies."""
        file = Path(path or FILE_NAME)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.serialize_to_string())

    def _take(self, data: Any, origin: str) -> None:
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
        return yaml.safe_load(file.read_text())
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
