"""What a step writes, as a dataset: files, or a table that is read from them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.sources import document_of
from stepwell.blocks.workspace.references import check_port_name
from stepwell.errors import UserErrorException
from stepwell.flows.datasets import reading
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.definitions import DatasetMode, OutputPort, Registration
from stepwell.script.tables.reading_options import PromoteHeadersBehavior


class Registered(Protocol):
    """Data whose registration is known when its step is defined."""

    name: str
    registration: Registration | None

    @property
    def port(self) -> OutputPort:
        """The output that the data are."""
        ...


@checked
class PipelineOutputAbstractDataset:
    """What files and tables that a step writes have in common; `data` is what it writes."""

    def __init__(self, data: Registered, definition: DatasetDefinition, mode: DatasetMode) -> None:
        self.data = data
        self.definition = definition
        self.input_name = data.name
        self.mode: DatasetMode = mode
        self.path_on_compute: str | None = None

    @property
    def name(self) -> str:
        """The name of the data."""
        return self.data.name

    @property
    def port(self) -> OutputPort:
        """The output that it is on the step that writes it."""
        return self.data.port

    @property
    def reading(self) -> str:
        """How its files are read, as JSON text."""
        return document_of(self.definition)

    def as_named_input(self, name: str) -> Self:
        """Return it as an input of another name.

        Args:
            name: The input's name, and its environment variable.

        Returns:
            The input, for a step's `inputs` and `arguments`.
        """
        return self._with(input_name=check_port_name(name))

    def register(self, name: str, create_new_version: bool = True) -> Self:
        """Let it become a dataset of the workspace as soon as its step is complete; unchanged bytes make no new version.

        Args:
            name: The dataset's name.
            create_new_version: Whether there may be a dataset of the name already; else the step fails then.

        Returns:
            This very object.
        """
        self.data.registration = Registration(name, reading=self.reading, new_version=create_new_version)
        return self

    def _with(self, **changes: Any) -> Self:
        clone = copy.copy(self)
        vars(clone).update(changes)
        return clone

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.input_name}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


@checked
class PipelineOutputFileDataset(PipelineOutputAbstractDataset):
    """Files that a step writes, as a dataset: what `PipelineData.as_dataset()` returns.

    Pass it as the output of one step and an input of others. Scripts get the path of the files, unless it is
    `as_direct()`.

    Args:
        pipeline_data: The data.

    Attributes:
        name: The name of the data.
        input_name: The name that it has as an input.
    """

    def __init__(self, pipeline_data: Registered) -> None:
        super().__init__(pipeline_data, DatasetDefinition("file"), "mount")

    def as_mount(self, path_on_compute: str | None = None) -> PipelineOutputFileDataset:
        """Return it as an input that is read where it stands.

        Args:
            path_on_compute: Accepted for v1's sake; not used.

        Returns:
            The input.
        """
        return self._with(mode="mount", path_on_compute=path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> PipelineOutputFileDataset:
        """Return it as an input that is copied to the step's own folder.

        Args:
            path_on_compute: Where to, as a path in the step's working directory; None: a folder apart.

        Returns:
            The input.
        """
        return self._with(mode="download", path_on_compute=path_on_compute)

    def as_hdfs(self) -> PipelineOutputFileDataset:
        """Return it as an input that Spark reads; here that is a path, as of `as_mount`.

        Returns:
            The input.
        """
        return self._with(mode="hdfs")

    def as_direct(self) -> PipelineOutputFileDataset:
        """Return it as an input that the script gets as a dataset, in `Run.get_context().input_datasets`.

        Returns:
            The input.
        """
        return self._with(mode="direct")

    def parse_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: bool | PromoteHeadersBehavior | int = PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS,
        partition_format: str | None = None,
        file_extension: str = "",
        set_column_types: Mapping[str, Any] | None = None,
        quoted_line_breaks: bool = False,
    ) -> PipelineOutputTabularDataset:
        """Return the table that is read from its files of delimited text.

        Args:
            include_path: Whether a column `Path` says where each row is from.
            separator: What stands between two values.
            header: Whether all files begin with the names of the columns, or a member of PromoteHeadersBehavior.
            partition_format: The end of the files' paths, whose words in braces become columns.
            file_extension: The end of the names of the files to read; '' for all.
            set_column_types: What columns are converted to, by their names; others are inferred.
            quoted_line_breaks: Accepted for v1's sake; line breaks in quotes always belong to the value.

        Returns:
            The table, which scripts get as a dataset.
        """
        table = reading.delimited(include_path, separator, header, partition_format, set_column_types)
        return self._table(table, file_extension)

    def parse_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        file_extension: str = ".parquet",
        set_column_types: Mapping[str, Any] | None = None,
    ) -> PipelineOutputTabularDataset:
        """Return the table that is read from its Parquet files.

        Args:
            include_path: Whether a column `Path` says where each row is from.
            partition_format: The end of the files' paths, whose words in braces become columns.
            file_extension: The end of the names of the files to read; '' for all.
            set_column_types: What columns are converted to, by their names.

        Returns:
            The table, which scripts get as a dataset.
        """
        return self._table(reading.parquet(include_path, partition_format, set_column_types), file_extension)

    def _table(self, definition: DatasetDefinition, extension: str) -> PipelineOutputTabularDataset:
        table = PipelineOutputTabularDataset(self.data, reading.only(definition, f"*{extension}" if extension else ""))
        table.input_name = self.input_name
        return table


@checked
class PipelineOutputTabularDataset(PipelineOutputAbstractDataset):
    """A table that is read from what a step writes; `parse_delimited_files` and `parse_parquet_files` return it.

    Scripts get it as a dataset: `Run.get_context().input_datasets[name].to_pandas_dataframe()`.
    """

    def __init__(self, pipeline_data: Registered, definition: DatasetDefinition) -> None:
        super().__init__(pipeline_data, definition, "direct")

    def keep_columns(self, columns: str | Sequence[str]) -> PipelineOutputTabularDataset:
        """Return the table with these columns alone.

        Args:
            columns: A name, or a list of names.

        Returns:
            The table.
        """
        return self._with(definition=reading.keep(self.definition, columns))

    def drop_columns(self, columns: str | Sequence[str]) -> PipelineOutputTabularDataset:
        """Return the table without these columns.

        Args:
            columns: A name, or a list of names.

        Returns:
            The table.
        """
        return self._with(definition=reading.drop(self.definition, columns))

    def random_split(
        self, percentage: float, seed: int | None = None
    ) -> tuple[PipelineOutputTabularDataset, PipelineOutputTabularDataset]:
        """Return the table's rows in two parts, by chance.

        Args:
            percentage: The part of the rows that the first has, from 0 to 1.
            seed: A number that makes the chance; None: always the same one.

        Returns:
            The two tables.
        """
        first, second = reading.split(self.definition, percentage, seed)
        return self._with(definition=first), self._with(definition=second)

    def as_direct(self) -> PipelineOutputTabularDataset:
        """Return the same: scripts get it as a dataset anyway.

        Returns:
            The input.
        """
        return self

    def as_mount(self, path_on_compute: str | None = None) -> None:
        """Refuse: a table is no path.

        Args:
            path_on_compute: Not used.

        Raises:
            UserErrorException: Always.
        """
        raise UserErrorException(
            f"The table {self.name!r} can't be a path",
            hint="Pass it as it is, or the data themselves with `as_dataset().as_mount()`.",
        )

    as_download = as_mount
