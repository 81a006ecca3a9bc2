"""Recipes of environments: made by which program, with which commands, and what they hold then."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.environments.base_interpreter import Base, minor
from stepwell.blocks.environments.conda_packages import DEFAULT_CHANNEL, as_pip, conda_program
from stepwell.blocks.environments.package_index import index_variables, options_without_indexes, secrets_in
from stepwell.blocks.environments.requirements import asked_for, without_user_info
from stepwell.blocks.processes.command import PAYLOAD
from stepwell.model.definitions import EnvironmentDefinition

FORMAT = 1
"""Raised when environments of the same definition are to be built anew."""

_QUIET = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PYTHONUNBUFFERED": "1",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_SHOWN_PACKAGES = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """The way to one environment. `warning` ('' for none) is for who asked for something else."""

    lines: tuple[str, ...]
    conda: tuple[str, ...]
    channels: tuple[str, ...]
    index_url: str
    base: Base
    uv: str
    conda_program: str
    warning: str = ""

    @property
    def tool(self) -> str:
        """The name of the program that installs the packages."""
        return Path(self.conda_program).name if self.conda else "uv" if self.uv else "pip"

    @property
    def holds(self) -> list[object]:
        """The values that decide the environment's contents besides the interpreter; no secrets."""
        asked = [[name, demand] for name, demand in asked_for(self.lines).items()]
        return [FORMAT, asked, sorted(self.conda), list(self.channels), without_user_info(self.index_url)]

    @property
    def summary(self) -> str:
        """The packages in few words."""
        names = [without_user_info(line) for line in (*self.conda, *self.lines) if not line.startswith("-")]
        more = len(names) - _SHOWN_PACKAGES
        return ", ".join(names[:_SHOWN_PACKAGES]) + (f" and {more} more" if more > 0 else "")

    @property
    def requirements(self) -> bytes | None:
        """The lines that pip reads, in the place of a file."""
        return "".join(f"{line}\n" for line in options_without_indexes(self.lines)).encode() if self.lines else None

    @property
    def secrets(self) -> list[str]:
        """The texts that nobody may see in the output of the programs."""
        return list(secrets_in((self.index_url, *self.lines)))

    def variables(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the programs; index URLs stand there, as they may hold passwords."""
        return {**own, **_QUIET, **index_variables(self.index_url, self.lines, own, for_uv=bool(self.uv))}

    def commands(self, folder: Path) -> Iterator[tuple[str, ...]]:
        """List the programs to run, in order."""
        python = str(folder / "bin" / "python")
        if self.conda:
            yield self._with_conda(folder)
        elif self.uv:
            yield (self.uv, "venv", "--no-project", "--python", self.base.program, str(folder))
        else:
            yield (self.base.program, "-m", "venv", str(folder))
        if self.lines and self.uv:
            yield (self.uv, "pip", "install", "--python", python, "--requirement", PAYLOAD)
        elif self.lines:
            yield (python, "-m", "pip", "install", "--requirement", PAYLOAD)

    def _with_conda(self, folder: Path) -> tuple[str, ...]:
        channels = [word for channel in self.channels or (DEFAULT_CHANNEL,) for word in ("--channel", channel)]
        python = f"python={minor(self.base.version)}"
        return (self.conda_program, "create", "--yes", "--prefix", str(folder), *channels, python, "pip", *self.conda)


def recipe_of(environment: EnvironmentDefinition, base: Base) -> Recipe:
    """Return the recipe of an environment on this machine; raise UserErrorException if conda packages can't be had."""
    program, warning = (conda_program() if environment.conda else ""), ""
    lines, conda = environment.requirements, environment.conda
    if conda and not program:
        translated = as_pip(conda)
        lines, conda = (*translated, *lines), ()
        warning = f"There is no conda here, so pip installs {', '.join(translated)}"
    uv = shutil.which("uv") or ""
    return Recipe(
        lines, conda, environment.channels if conda else (), environment.index_url, base, uv, program, warning
    )
