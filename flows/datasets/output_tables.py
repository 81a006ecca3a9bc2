"""`OutputTabularDatasetConfig`: files that a step writes to a destination, as a table that is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.datasets.sources import document_of
from stepwell.flows.datasets import reading
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.definitions import OutputPort


@checked
class OutputTabularDatasetConfig:
    """A table that is read from the files of an OutputFileDatasetConfig; its `read_…_files` methods return it.

    It stands for the same output, for a step's `outputs` or `arguments`.

    Attributes:
        name: The output's name.
        mode: How the files get to their destination: `mount` or `upload`.
    """

    def __init__(self, config: Any, definition: DatasetDefinition) -> None:
        self.config = config
        self.definition = definition

    @property
    def name(self) -> str:
        """The output's name."""
        return str(self.config.name)

    @property
    def mode(self) -> str:
        """How the files get to their destination."""
        return str(self.config.mode)

    @property
    def original(self) -> Any:
        """The config that tells the output from others."""
        return self.config.original

    @property
    def port(self) -> OutputPort:
        """The output that it is on the step that writes it."""
        port: OutputPort = self.config.port
        if port.register is None:
            return port
        return replace(port, register=replace(port.register, reading=self.reading))

    @property
    def reading(self) -> str:
        """How the files are read, as JSON text."""
        return document_of(self.definition)

    @property
    def arg_val(self) -> str:
        """The text that stands for the local path anywhere in an argument."""
        return str(self.config.arg_val)

    def keep_columns(self, columns: str | Sequence[str]) -> OutputTabularDatasetConfig:
        """Return the table with these columns alone.

        Args:
            columns: A name, or a list of names.

        Returns:
            The config.
        """
        return OutputTabularDatasetConfig(self.config, reading.keep(self.definition, columns))

    def drop_columns(self, columns: str | Sequence[str]) -> OutputTabularDatasetConfig:
        """Return the table without these columns.

        Args:
            columns: A name, or a list of names.

        Returns:
            The config.
        """
        return OutputTabularDatasetConfig(self.config, reading.drop(self.definition, columns))

    def random_split(
        self, percentage: float, seed: int | None = None
    ) -> tuple[OutputTabularDatasetConfig, OutputTabularDatasetConfig]:
        """Return the table's rows in two parts, by chance.

        Args:
            percentage: The part of the rows that the first has, from 0 to 1.
            seed: A number that makes the chance; None: always the same one.

        Returns:
            The two configs, of the same output.
        """
        first, second = reading.split(self.definition, percentage, seed)
        return OutputTabularDatasetConfig(self.config, first), OutputTabularDatasetConfig(self.config, second)

    def register_on_complete(
        self, name: str, description: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> OutputTabularDatasetConfig:
        """Return the same output, which becomes a tabular dataset of the workspace when its step is complete.

        Args:
            name: The dataset's name; a dataset of the name gets a new version if the bytes are new.
            description: What it is.
            tags: Labels of the dataset.

        Returns:
            A copy that stands for the same output.
        """
        return OutputTabularDatasetConfig(self.config.register_on_complete(name, description, tags), self.definition)

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputTabularDatasetConfig:
        """Return the same output with the mode `mount`, the default.

        Args:
            disable_metadata_cache: Accepted for v1's sake; not used.

        Returns:
            A copy that stands for the same output.
        """
        return OutputTabularDatasetConfig(self.config.as_mount(disable_metadata_cache), self.definition)

    def as_upload(self, overwrite: bool = False, source_globs: str | None = None) -> OutputTabularDatasetConfig:
        """Return the same output with the mode `upload`.

        Args:
            overwrite: As of `OutputFileDatasetConfig.as_upload`.
            source_globs: As of `OutputFileDatasetConfig.as_upload`.

        Returns:
            A copy that stands for the same output.
        """
        return OutputTabularDatasetConfig(self.config.as_upload(overwrite, source_globs), self.definition)

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """Return the table as another step's input.

        Args:
            name: The input's name and its environment variable; None: that of the output.

        Returns:
            The input, which scripts get as a dataset.
        """
        return DatasetConsumptionConfig(name or self.name, self)

    def __str__(self) -> str:
        return self.arg_val
