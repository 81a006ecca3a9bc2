"""What v1's ways to register a datastore share: which facts are kept openly, and which as secrets."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Protocol, Self

from prefect.types import SecretDict

from stepwell.blocks.datastores.datastore_files import DatastoreBlock


class DatastoreOwner(Protocol):
    """The parts of a workspace that its datastores use."""

    @property
    def name(self) -> str:
        """The workspace's name."""
        ...

    @property
    def default_datastore_name(self) -> str:
        """The name of its default datastore."""
        ...

    @property
    def datastore_places(self) -> Mapping[str, str]:
        """Where its datastores stand that are not where they were registered."""
        ...

    @property
    def datastores(self) -> Mapping[str, Any]:
        """Its datastores by name."""
        ...

    def set_default_datastore(self, name: str) -> None:
        """Make the datastore `name` the default one."""
        ...

    def require_folders(self) -> None:
        """Raise WorkspaceException if the folders of datastores without a URL are another home's."""
        ...


class Registration(abc.ABC):
    """Saves what a method of v1 was given. What opens a store is a secret; where it really stands, a table outside may say."""

    @classmethod
    @abc.abstractmethod
    def _save(cls, workspace: Any, block: DatastoreBlock, *, overwrite: bool, look: bool) -> Any:
        """Save the block and return its datastore; `look`: open it first."""

    @classmethod
    def _register(
        cls,
        workspace: DatastoreOwner,
        name: str,
        kind: str,
        url: str,
        facts: Mapping[str, Any],
        secrets: Mapping[str, str | None],
        plain: Mapping[str, Any],
        overwrite: bool,
        *,
        look: bool = True,
    ) -> Self:
        """Save a datastore of one of v1's kinds; one of the same name, kind and place is the same, with newer secrets."""
        given = {option: text for option, text in secrets.items() if text}
        block = DatastoreBlock(
            workspace=workspace.name,
            name=name,
            url=url,
            options=SecretDict(given) if given else None,
            plain_options={option: value for option, value in plain.items() if value is not None},
            kind=kind,
            facts=dict(facts),
        )
        saved: Self = cls._save(workspace, block, overwrite=overwrite, look=look)
        return saved
