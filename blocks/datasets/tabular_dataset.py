"""`TabularDataset`: a table that is read from files when somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.abstract_dataset import AbstractDataset
from stepwell.blocks.datasets.file_dataset import FileDataset
from stepwell.blocks.datasets.files.partitions import write_partitions
from stepwell.blocks.datasets.files.paths import target_of
from stepwell.blocks.system.temporary_folder import temporary_folder
from stepwell.errors import UserErrorException
from stepwell.script.tables.lazy_datasets import LazyTable
from stepwell.script.tables.other_frames import OtherFrames
from stepwell.script.tables.reading import frame_of


@checked
class TabularDataset(LazyTable, OtherFrames, AbstractDataset):
    """A table, as `Dataset.Tabular.from_delimited_files` makes it; `dataset['column']` is a column for `filter`."""

    def _frame(self, on_error: str, out_of_range_datetime: str) -> Any:
        found = self.current_files()
        with temporary_folder() as scratch:
            return frame_of(found.definition, found.here(scratch), on_error, out_of_range_datetime)

    def to_csv_files(self, separator: str = ",") -> FileDataset:
        """Return the table as files of delimited text, which are written when they are asked for.

        Args:
            separator: What stands between the values.

        Returns:
            The dataset of these files.
        """
        return FileDataset(self._files("csv", separator=separator), self._workspace)

    def to_parquet_files(self) -> FileDataset:
        """Return the table as Parquet files, which are written when they are asked for.

        Returns:
            The dataset of these files.
        """
        return FileDataset(self._files("parquet"), self._workspace)

    def partition_by(
        self,
        partition_keys: Sequence[str],
        target: Any,
        name: str | None = None,
        show_progress: bool = True,
        partition_as_file_dataset: bool = False,
    ) -> Any:
        """Write the table to a datastore, the rows of each combination of some columns' values to a folder of their own.

        Args:
            partition_keys: The columns.
            target: The folder: `(datastore, 'folder')`, a DataPath or a Datastore. The files go to a new folder in it.
            name: The name to register the new dataset under; None for none.
            show_progress: Whether to print what was written.
            partition_as_file_dataset: Whether to return a FileDataset rather than a table.

        Returns:
            The dataset of these files, whose `partition_keys` are the columns.

        Raises:
            UserErrorException: The table has no such column, or the target is none.
        """
        keys = list(partition_keys)
        if not keys:
            raise UserErrorException("A table is partitioned by columns", hint="Pass `partition_keys=['column']`.")
        datastore, folder = target_of(target)
        frame = self.to_pandas_dataframe()
        definition, count = write_partitions(frame, keys, datastore, folder)
        if show_progress:
            print(f"Wrote {len(frame)} rows to {count} files in {datastore.name}/{definition.places[0].path}")
        kind = FileDataset if partition_as_file_dataset else TabularDataset
        if partition_as_file_dataset:
            definition = type(definition)("file", definition.places, options=definition.options)
        made = kind(definition, datastore.workspace)  # type: ignore[arg-type]
        return made if name is None else made.register(made.workspace, name, create_new_version=True)  # type: ignore[arg-type]
