"""`Environment` as a script of a step has it: registered ones, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.errors import EnvironmentException, UserErrorException
from stepwell.script import channel
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn


class Environment(Narrow):
    """A version of a registered environment; `content` is what was registered, as text, with its secrets masked."""

    def __init__(self, name: str | None = None, **_: object) -> None:
        self.name = name
        self.version: str | None = None
        self.content = ""

    @classmethod
    def get(
        cls, workspace: object, name: str, version: int | str | None = None, label: str | None = None
    ) -> Environment:
        """Return a version, by default the latest; raise EnvironmentException if there is none."""
        facts = channel.ask("environment.get", name=name, version=version)
        found = cls(str(facts["name"]))
        found.version, found.content = str(facts["version"]), str(facts["content"])
        return found

    @classmethod
    def list(cls, workspace: object) -> NoReturn:
        """Raise UserErrorException: steps ask for environments by name."""
        raise _can_not("list")

    def register(self, workspace: object) -> NoReturn:
        """Raise UserErrorException: steps register none."""
        raise _can_not("register")

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name}, Version: {self.version})"


class Environments(Mapping[str, Environment]):
    """The registered environments of a workspace, by name."""

    def __init__(self, workspace: object) -> None:
        self._workspace = workspace

    def __getitem__(self, name: str) -> Environment:
        """Return the latest version of an environment."""
        try:
            return Environment.get(self._workspace, name)
        except EnvironmentException as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        raise _can_not("list")

    def __len__(self) -> int:
        raise _can_not("count")


def _can_not(verb: str) -> UserErrorException:
    return UserErrorException(
        f"A step can't {verb} environments", hint="Do it where the pipeline is submitted, or ask for one by its name."
    )
