"""`AbstractDataset`: what datasets of files and of tables have in common: name and version, registering, tags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets import registry
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.datasets.files.current_files import CurrentFiles, look
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, datastores_of
from stepwell.model.datasets.file_names import full_path, typed_partition_values
from stepwell.script.tables.lazy_datasets import LazyDataset


@checked
class AbstractDataset(LazyDataset):
    """A dataset: files, or a table that is read from files, with what is done to them. Nothing is read before it is asked for.

    Made by `Dataset.File` and `Dataset.Tabular`, or found by `Dataset.get_by_name`.
    """

    def __init__(
        self,
        _definition: DatasetDefinition,
        _workspace: BaseWorkspace | None = None,
        _block: registry.DatasetBlock | None = None,
    ) -> None:
        super().__init__(_definition)
        self._workspace = _workspace
        self._block = _block

    def _like(self, definition: DatasetDefinition) -> Self:
        return type(self)(definition, self._workspace)

    @property
    def definition(self) -> DatasetDefinition:
        """Its files, how they are read and what is done with them, as plain values."""
        return self._definition

    @property
    def workspace(self) -> BaseWorkspace | None:
        """The workspace of its files, or where it is registered; None if neither is known."""
        return self._workspace

    def current_files(self) -> CurrentFiles:
        """Find the files that it stands for now.

        Returns:
            The files in the order of reading, their digests and what tells whether they are the same.

        Raises:
            DatasetValidationError: There are none.
        """
        return look(self._workspace, self._definition)

    def _partitions(self) -> list[Mapping[str, Any]]:
        found = self.current_files()
        options = found.definition.options
        return [typed_partition_values(options, full_path(found.definition, file.name)) for file in found.files]

    # Registration ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The name that it is registered under; None if it is not."""
        return self._block.name or None if self._block else None

    @property
    def version(self) -> int | None:
        """The version under its name, counted from 1; None if it is not registered."""
        return self._block.version or None if self._block else None

    @cached_property
    def id(self) -> str:
        """What it can be found by with `Dataset.get_by_id`, and named by over REST."""
        if self._block:
            return self._block.dataset_id
        if self._workspace is None:
            return registry.made_up_id(self._definition)
        return registry.keep_unregistered(self._workspace, self._definition).dataset_id

    @property
    def description(self) -> str | None:
        """What was said of it when it was registered."""
        return self._block.description or None if self._block else None

    @property
    def tags(self) -> dict[str, str]:
        """What it is marked with."""
        return dict(self._block.tags) if self._block else {}

    @property
    def data_changed_time(self) -> datetime | None:
        """When one of its files was changed last; None if nothing tells."""
        changed = max((file.changed for file in self.current_files().files), default=0)
        return datetime.fromtimestamp(changed, UTC) if changed else None

    def register(
        self,
        workspace: BaseWorkspace,
        name: str,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        create_new_version: bool = False,
    ) -> Self:
        """Save the definition in the workspace, under a name.

        Args:
            workspace: The workspace, that of the dataset's datastores.
            name: The name, of 1 to 255 characters.
            description: What it is.
            tags: What it is marked with.
            create_new_version: Whether to save it as the next version if there is a dataset of this name. Without it,
                the same definition is returned as it is registered, and another one is refused.

        Returns:
            The registered dataset.

        Raises:
            UserErrorException: There is another dataset of the name, or its files are in another workspace.
        """
        datastores = datastores_of(self._definition)
        if datastores and self._workspace is not None and self._workspace.name != workspace.name:
            raise UserErrorException(
                f"The files of the dataset are in workspace {self._workspace.name!r}",
                {"datastores": ", ".join(datastores), "asked to register it in": workspace.name},
                "Register it there, or make it from datastores of this workspace.",
            )
        block = registry.add_version(
            workspace, name, self._definition, description, _texts(tags), create_new_version=create_new_version
        )
        return type(self)(self._definition, workspace, block)

    def unregister_all_versions(self) -> None:
        """Remove every version of its name from the workspace. The data stay.

        Raises:
            UserErrorException: It is not registered.
        """
        block = self._registered()
        assert self._workspace is not None
        registry.forget(self._workspace, registry.versions_of(self._workspace, block.name))
        self._block = None

    def update(self, description: str | None = None, tags: Mapping[str, Any] | None = None) -> Self:
        """Change what was said of the version.

        Args:
            description: What it is; None leaves that.
            tags: What it is marked with, in place of what it was; None leaves that.

        Returns:
            The dataset.

        Raises:
            UserErrorException: It is not registered.
        """
        block = self._registered()
        if description is not None:
            block.description = description
        if tags is not None:
            block.tags = _texts(tags)
        registry.save(block)
        return self

    def add_tags(self, tags: Mapping[str, Any] | None = None) -> Self:
        """Mark the version.

        Args:
            tags: The tags, added to those that it has.

        Returns:
            The dataset.

        Raises:
            UserErrorException: It is not registered.
        """
        return self.update(tags={**self._registered().tags, **(tags or {})})

    def remove_tags(self, tags: Sequence[str] | None = None) -> Self:
        """Take marks from the version.

        Args:
            tags: The names of the tags.

        Returns:
            The dataset.

        Raises:
            UserErrorException: It is not registered.
        """
        kept = {name: value for name, value in self._registered().tags.items() if name not in (tags or ())}
        return self.update(tags=kept)

    def _registered(self) -> registry.DatasetBlock:
        if self._block is None or not self._block.name:
            raise UserErrorException(
                "The dataset is not registered", hint="Register it: `dataset = dataset.register(workspace, name)`."
            )
        return self._block

    # As an input ----------------------------------------------------------------------------------------------------

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """Return it as an input of a step, which the script finds in `Run.get_context().input_datasets[name]`.

        Args:
            name: Letters, digits and underscores, the first no digit.

        Returns:
            The input; `as_mount()` and `as_download()` of it give the script paths.

        Raises:
            UserErrorException: The name can't be used.
        """
        return DatasetConsumptionConfig(name, self)

    # For people -----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        shown = {
            "source": [
                f"('{place.datastore}', '{place.path}')" if place.datastore else place.path
                for place in self._definition.places
            ],
            "definition": [operation.name for operation in self._definition.operations],
        }
        registration = (
            {
                "id": self._block.dataset_id,
                "name": self._block.name,
                "version": self._block.version,
                "description": self.description,
                "tags": self.tags,
                "workspace": self._block.workspace,
            }
            if self._block
            else {}
        )
        return f"{type(self).__name__}\n{json.dumps({**shown, **({'registration': registration} if registration else {})}, indent=2)}"


def _texts(marks: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (marks or {}).items()}
