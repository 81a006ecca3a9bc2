"""`Dataset`: where datasets are made and found."""

from __future__ import annotations

from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets import registry
from stepwell.blocks.datasets.abstract_dataset import AbstractDataset
from stepwell.blocks.datasets.factories import FileDatasetFactory, TabularDatasetFactory
from stepwell.blocks.datasets.file_dataset import FileDataset
from stepwell.blocks.datasets.tabular_dataset import TabularDataset
from stepwell.blocks.workspace.base_workspace import BaseWorkspace


@checked
class Dataset:
    """Makes datasets, `Dataset.File` and `Dataset.Tabular`, and finds registered ones.

    Attributes:
        File: Makes datasets of files.
        Tabular: Makes datasets of tables.
    """

    File = FileDatasetFactory
    Tabular = TabularDatasetFactory

    @staticmethod
    def get_by_name(workspace: BaseWorkspace, name: str, version: int | str | None = "latest") -> Any:
        """Find a registered dataset.

        Args:
            workspace: The workspace.
            name: The dataset's name.
            version: The version; by default the latest.

        Returns:
            A FileDataset or TabularDataset.

        Raises:
            UserErrorException: There is no such dataset, or it has no such version.
        """
        return dataset_of(workspace, registry.find(workspace, name, version))

    @staticmethod
    def get_by_id(workspace: BaseWorkspace, id: str) -> Any:
        """Find a dataset by its id.

        Args:
            workspace: The workspace.
            id: The `id` of a dataset, registered or not.

        Returns:
            A FileDataset or TabularDataset.

        Raises:
            UserErrorException: There is no such dataset.
        """
        return dataset_of(workspace, registry.find_by_id(workspace, id))

    @staticmethod
    def get_all(workspace: BaseWorkspace) -> dict[str, Any]:
        """Find all registered datasets.

        Args:
            workspace: The workspace.

        Returns:
            The latest version of each, by name.
        """
        return {name: dataset_of(workspace, block) for name, block in registry.latest_by_name(workspace).items()}

    @staticmethod
    def get(workspace: BaseWorkspace, name: str | None = None, id: str | None = None) -> Any:
        """Find a dataset by its name or its id.

        Args:
            workspace: The workspace.
            name: The dataset's name.
            id: Its id, in place of the name.

        Returns:
            A FileDataset or TabularDataset.

        Raises:
            UserErrorException: There is no such dataset.
        """
        return Dataset.get_by_id(workspace, id) if id else Dataset.get_by_name(workspace, name or "")

    @staticmethod
    def list(workspace: BaseWorkspace) -> list[Any]:
        """Find all registered datasets.

        Args:
            workspace: The workspace.

        Returns:
            The latest version of each.
        """
        return [*Dataset.get_all(workspace).values()]


def dataset_of(workspace: BaseWorkspace, block: registry.DatasetBlock) -> AbstractDataset:
    """Return the dataset that a block holds."""
    definition = registry.definition_of(block)
    kind = FileDataset if definition.kind == "file" else TabularDataset
    return kind(definition, workspace, block if block.name else None)
