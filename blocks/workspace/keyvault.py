"""`Keyvault`: secrets of a workspace by name, each a Prefect block, encrypted by Prefect and masked in its UI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from prefect.blocks.system import Secret
from pydantic import Field, SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class KeyvaultSecretBlock(documents.NamedBlock):
    """A secret of a workspace."""

    _block_type_name: ClassVar[str] = "Stepwell Secret"
    _block_type_slug: ClassVar[str] = "stepwell-secret"
    _description: ClassVar[str] = "A secret that scripts and notebooks ask a workspace's key vault for."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "key")

    workspace: str = Field(description="The workspace that the secret belongs to.")
    key: str = Field(description="The secret's name in lower case: two that differ in case only are one.")
    name: str = Field(description="The secret's name as it was given.")
    value: SecretStr = Field(description="The secret.")


def held_secrets(workspace: str) -> list[str]:
    """Return the values of all secrets of the workspace."""
    return [block.value.get_secret_value() for block in _blocks(workspace)]


def _blocks(workspace: str) -> list[KeyvaultSecretBlock]:
    return documents.load_any([KeyvaultSecretBlock], workspace=workspace)


def secret_of(workspace: str, name: str) -> str:
    """Return the secret of a workspace, or else of Prefect's; raise UserErrorException if there is none of that name."""
    block = documents.load_named(KeyvaultSecretBlock, workspace, name.lower())
    if block is not None:
        return block.value.get_secret_value()
    shared = documents.load(Secret, name.lower()) if re.fullmatch("[a-z0-9-]+", name.lower()) else None
    if shared is not None:
        return str(shared.get())
    raise UserErrorException(
        f"There is no secret {name!r} in the key vault of workspace {workspace!r}",
        {"secrets": ", ".join(sorted(block.name for block in _blocks(workspace))) or "none"},
        f"Keep it with `ws.get_default_keyvault().set_secret({name!r}, …)`, or make a block Secret of Prefect.",
    )


@checked
class Keyvault:
    """The secrets of a workspace. They are masked in whatever runs of the workspace show.

    A secret that it lacks is looked for among Prefect's own `Secret` blocks, under its name in lower case.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: BaseWorkspace) -> None:
        self._workspace = workspace.name

    def set_secret(self, name: str, value: str) -> None:
        """Keep a secret, in place of what has the name.

        Args:
            name: 1 to 127 letters, digits and dashes; upper and lower case are the same.
            value: The secret.

        Raises:
            UserErrorException: The name can't be a secret's.
        """
        if not _NAME.fullmatch(name):
            hint = "Use 1 to 127 letters, digits and dashes."
            raise UserErrorException(f"{name!r} can't name a secret", hint=hint)
        block = KeyvaultSecretBlock(workspace=self._workspace, key=name.lower(), name=name, value=SecretStr(value))
        documents.save_named(block)

    def set_secrets(self, secrets_batch: Mapping[str, str]) -> None:
        """Keep several secrets.

        Args:
            secrets_batch: Their values by name.

        Raises:
            UserErrorException: A name can't be a secret's.
        """
        for name, value in secrets_batch.items():
            self.set_secret(name, value)

    def get_secret(self, name: str) -> str:
        """Return a secret.

        Args:
            name: Its name.

        Returns:
            Its value.

        Raises:
            UserErrorException: There is none of that name.
        """
        return secret_of(self._workspace, name)

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str]:
        """Return several secrets.

        Args:
            secrets: Their names.

        Returns:
            Their values by name.

        Raises:
            UserErrorException: There is none of one of the names.
        """
        return {name: self.get_secret(name) for name in secrets}

    def list_secrets(self) -> list[dict[str, str]]:
        """List the names of the workspace's own secrets, not their values.

        Returns:
            A dict with the `name` of each, sorted.
        """
        return [{"name": name} for name in sorted(block.name for block in _blocks(self._workspace))]

    def delete_secret(self, name: str) -> None:
        """Forget a secret, if there is one of that name.

        Args:
            name: Its name.
        """
        documents.delete_named(KeyvaultSecretBlock, self._workspace, name.lower())

    def delete_secrets(self, secrets: Iterable[str]) -> None:
        """Forget several secrets.

        Args:
            secrets: Their names.
        """
        for name in secrets:
            self.delete_secret(name)

    def __repr__(self) -> str:
        return f"Keyvault(workspace={self._workspace!r})"
