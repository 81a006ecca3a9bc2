"""`Keyvault` as a script of a step has it: the secrets of the workspace, to be read."""

from __future__ import annotations

from stepwell.errors import UserErrorException
from stepwell.script import channel
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn


class Keyvault(Narrow):
    """The secrets of a workspace. What a step was told is masked in its logs from then on."""

    def __init__(self, workspace: object) -> None:
        self.workspace = workspace

    def get_secret(self, name: str) -> str:
        """Return the value of a secret; raise UserErrorException if the workspace has none of that name."""
        return str(channel.ask("secret.get", name=name))

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str]:
        """Return the values of several secrets, by name."""
        return {name: self.get_secret(name) for name in secrets}

    def get_secret_content_type(self, name: str) -> str:
        """Return '': kinds of secrets are not kept."""
        return ""

    def set_secret(self, name: str, value: str) -> NoReturn:
        """Raise UserErrorException: steps change no secrets."""
        raise _can_not("change")

    def set_secrets(self, secrets_batch: object) -> NoReturn:
        """Raise UserErrorException: steps change no secrets."""
        raise _can_not("change")

    def delete_secret(self, name: str) -> NoReturn:
        """Raise UserErrorException: steps change no secrets."""
        raise _can_not("change")

    def delete_secrets(self, secrets: object) -> NoReturn:
        """Raise UserErrorException: steps change no secrets."""
        raise _can_not("change")

    def list_secrets(self) -> NoReturn:
        """Raise UserErrorException: steps read the secrets that they know the names of."""
        raise _can_not("list")


def _can_not(verb: str) -> UserErrorException:
    return UserErrorException(f"A step can't {verb} secrets", hint="Do it where the pipeline is submitted.")
