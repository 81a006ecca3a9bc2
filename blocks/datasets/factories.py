"""`Dataset.File` and `Dataset.Tabular`: what makes datasets of paths, of local folders and of DataFrames."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.abstract_dataset import AbstractDataset
from stepwell.blocks.datasets.file_dataset import FileDataset
from stepwell.blocks.datasets.files.partitions import write_frame
from stepwell.blocks.datasets.files.paths import places_of, query_of, target_of
from stepwell.blocks.datasets.registry import latest_by_name
from stepwell.blocks.datasets.tabular_dataset import TabularDataset
from stepwell.blocks.system.temporary_folder import temporary_folder
from stepwell.errors import DatasetExecutionError, DatasetValidationError, UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Format, Place, ReadOptions
from stepwell.model.datasets.file_names import matches
from stepwell.script.tables.reading import frame_of
from stepwell.script.tables.reading_options import (
    FileEncoding,
    PromoteHeadersBehavior,
    encoding_of,
    headers_of,
    partition_format_of,
    types_of,
)

D = TypeVar("D", FileDataset, TabularDataset)


@checked
class FileDatasetFactory:
    """Makes datasets of files."""

    @staticmethod
    def from_files(
        path: Any, validate: bool = True, partition_format: str | None = None, is_file: bool = False
    ) -> FileDataset:
        """Return the files at paths.

        Args:
            path: `(datastore, 'folder/**/*.png')`, a DataPath, DataReference or Datastore, an https address, or a list of
                these. `*` and `?` stand for marks of one part of a path, `**` for any folders.
            validate: Whether to look at once, and refuse paths where nothing is.
            partition_format: The end of the paths, whose words in braces become partition keys.
            is_file: Accepted for v1's sake; not used.

        Returns:
            The dataset.

        Raises:
            UserErrorException: It is no such path.
            DatasetValidationError: Nothing is there.
        """
        places, workspace = places_of(path)
        options = ReadOptions(partition_format=partition_format_of(partition_format))
        return _validated(FileDataset(DatasetDefinition("file", places, options=options), workspace), validate)

    @staticmethod
    def upload_directory(
        src_dir: str | os.PathLike[str],
        target: Any,
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Upload a local folder, and return its files as a dataset.

        Args:
            src_dir: The local folder.
            target: The folder on a datastore: `(datastore, 'folder')`, a DataPath or a Datastore.
            pattern: Which files, as in '*.csv' or '**/*.png'; by default all.
            overwrite: Whether to replace files that exist already; they are skipped with a message otherwise.
            show_progress: Whether to print how many files were uploaded.

        Returns:
            The dataset of the folder on the datastore.

        Raises:
            UserErrorException: The target is none, or no file is there.
            DatastoreException: The local folder does not exist.
        """
        datastore, folder = target_of(target)
        root = Path(os.path.abspath(src_dir))
        if pattern is None or not root.is_dir():
            datastore.upload(root, folder, overwrite=overwrite, show_progress=show_progress)
        else:
            found = [Path(place, name) for place, _, names in os.walk(root) for name in names]
            chosen = sorted(path for path in found if matches(pattern, path.relative_to(root).as_posix()))
            if not chosen:
                raise UserErrorException(
                    "No file of the folder fits the pattern",
                    {"folder": root, "pattern": pattern},
                    "Correct the pattern; `**/` stands for any folders.",
                )
            datastore.upload_files([*chosen], root, folder, overwrite, show_progress)
        return FileDatasetFactory.from_files((datastore, folder))


@checked
class TabularDatasetFactory:
    """Makes datasets of tables."""

    @staticmethod
    def from_delimited_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, Any] | None = None,
        separator: str = ",",
        header: bool | PromoteHeadersBehavior | int = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str | FileEncoding = "utf8",
    ) -> TabularDataset:
        """Return the table that files of delimited text hold.

        Args:
            path: As that of `Dataset.File.from_files`.
            validate: Whether to read the first rows at once, and refuse what can't be read.
            include_path: Whether the table gets a column `Path`.
            infer_column_types: Whether types of columns are found out from all of their texts; else all are texts.
            set_column_types: Types of columns by their names, made by `DataType`.
            separator: What stands between the values.
            header: Whether all files begin with the names of the columns, or a member of PromoteHeadersBehavior.
            partition_format: The end of the files' paths, whose words in braces become columns, as in
                '/{department}/{date:yyyy/MM/dd}/data.csv'.
            support_multi_line: Accepted for v1's sake: quoted texts may always have several lines.
            empty_as_string: Whether an empty value is an empty text rather than none.
            encoding: How the texts are encoded.

        Returns:
            The dataset.

        Raises:
            UserErrorException: An argument can't be used.
            DatasetValidationError: Nothing is there, or it can't be read so.
        """
        if not separator:
            raise UserErrorException("`separator` can't be empty", hint="Pass what stands between the values, as ','.")
        options = ReadOptions(
            separator=separator,
            headers=headers_of(header),
            encoding=encoding_of(encoding),
            infer_types=infer_column_types,
            types=types_of(set_column_types),
            empty_as_string=empty_as_string,
            include_path=include_path,
            partition_format=partition_format_of(partition_format),
        )
        return _table(path, "delimited", options, validate)

    @staticmethod
    def from_parquet_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """Return the table that Parquet files hold.

        Args:
            path: As that of `Dataset.File.from_files`.
            validate: Whether to read the first rows at once, and refuse what can't be read.
            include_path: Whether the table gets a column `Path`.
            set_column_types: Types of columns by their names, made by `DataType`.
            partition_format: The end of the files' paths, whose words in braces become columns.

        Returns:
            The dataset.

        Raises:
            UserErrorException: An argument can't be used.
            DatasetValidationError: Nothing is there, or it can't be read so.
        """
        options = ReadOptions(
            types=types_of(set_column_types),
            include_path=include_path,
            partition_format=partition_format_of(partition_format),
        )
        return _table(path, "parquet", options, validate)

    @staticmethod
    def from_json_lines_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
        invalid_lines: Literal["error", "drop"] = "error",
        encoding: str | FileEncoding = "utf8",
    ) -> TabularDataset:
        """Return the table that files with a JSON object on each line hold.

        Args:
            path: As that of `Dataset.File.from_files`.
            validate: Whether to read the first rows at once, and refuse what can't be read.
            include_path: Whether the table gets a column `Path`.
            set_column_types: Types of columns by their names, made by `DataType`.
            partition_format: The end of the files' paths, whose words in braces become columns.
            invalid_lines: What is done with a line that holds no object.
            encoding: How the texts are encoded.

        Returns:
            The dataset.

        Raises:
            UserErrorException: An argument can't be used.
            DatasetValidationError: Nothing is there, or it can't be read so.
        """
        options = ReadOptions(
            encoding=encoding_of(encoding),
            types=types_of(set_column_types),
            invalid_lines=invalid_lines,
            include_path=include_path,
            partition_format=partition_format_of(partition_format),
        )
        return _table(path, "json_lines", options, validate)

    @staticmethod
    def from_sql_query(
        query: Any,
        validate: bool = True,
        set_column_types: Mapping[str, Any] | None = None,
        query_timeout: int = 30,
    ) -> TabularDataset:
        """Return the table that a query to a database answers, which is asked whenever the table is read.

        Args:
            query: `(datastore, 'SELECT …')`, or a DataPath of both; the datastore is one that holds tables.
            validate: Whether to ask at once, and refuse what can't be answered.
            set_column_types: Types of columns by their names, made by `DataType`.
            query_timeout: Accepted for v1's sake; not used.

        Returns:
            The dataset.

        Raises:
            UserErrorException: It is no query on a datastore.
            DatasetValidationError: The database can't be reached, or refuses the query.
        """
        place, workspace = query_of(query)
        definition = DatasetDefinition("tabular", (place,), "sql", ReadOptions(types=types_of(set_column_types)))
        return _validated(TabularDataset(definition, workspace), validate)

    @staticmethod
    def register_pandas_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        show_progress: bool = True,
        row_group_size: int | None = None,
        make_target_path_unique: bool = True,
    ) -> TabularDataset:
        """Write a DataFrame to a datastore as a Parquet file, without its index, and register the table.

        Args:
            dataframe: The DataFrame.
            target: The folder: `(datastore, 'folder')`, a DataPath or a Datastore.
            name: The name to register it under; another table becomes its next version.
            description: What it is.
            tags: What it is marked with.
            show_progress: Whether to print what was written.
            row_group_size: Accepted for v1's sake; not used.
            make_target_path_unique: Whether the file goes to a folder of its own in the target, one for each content.

        Returns:
            The registered dataset.

        Raises:
            UserErrorException: It is no DataFrame, or the target is none.
        """
        if not hasattr(dataframe, "to_parquet"):
            raise UserErrorException(
                f"A {type(dataframe).__name__} can't be registered as a table", hint="Pass a pandas DataFrame."
            )
        datastore, folder = target_of(target)
        definition = write_frame(dataframe, datastore, folder, unique=make_target_path_unique)
        if show_progress:
            print(f"Wrote {len(dataframe)} rows to {datastore.name}/{definition.places[0].path}")
        workspace: Any = datastore.workspace
        made = TabularDataset(definition, workspace)
        latest = latest_by_name(workspace).get(name)
        if latest is not None and latest.definition == definition.to_json():
            known = TabularDataset(definition, workspace, latest)
            return known.update(description, tags) if description or tags else known
        return made.register(workspace, name, description, tags, create_new_version=True)

    @staticmethod
    def register_spark_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Write a DataFrame of Spark as `register_pandas_dataframe` does, all of it through this machine.

        Args:
            dataframe: The DataFrame.
            target: The folder: `(datastore, 'folder')`, a DataPath or a Datastore.
            name: The name to register it under.
            description: What it is.
            tags: What it is marked with.
            show_progress: Whether to print what was written.

        Returns:
            The registered dataset.

        Raises:
            UserErrorException: It is no DataFrame of Spark.
        """
        if not hasattr(dataframe, "toPandas"):
            raise UserErrorException(
                f"A {type(dataframe).__name__} is no DataFrame of Spark", hint="Use `register_pandas_dataframe`."
            )
        return TabularDatasetFactory.register_pandas_dataframe(
            dataframe.toPandas(), target, name, description, tags, show_progress
        )


def _table(path: Any, form: Format, options: ReadOptions, validate: bool) -> TabularDataset:
    places, workspace = _table_places(path)
    return _validated(TabularDataset(DatasetDefinition("tabular", places, form, options), workspace), validate)


def _table_places(path: Any) -> tuple[tuple[Place, ...], Any]:
    if isinstance(path, AbstractDataset):  # the files of another dataset
        return path.definition.places, path.workspace
    return places_of(path)


def _validated(dataset: D, validate: bool) -> D:
    """Return the dataset; with `validate`, once its files were found and its first rows could be read."""
    if not validate:
        return dataset
    try:
        found = dataset.current_files()
        if dataset.partition_keys and found.files:
            dataset.get_partition_key_values()
        if isinstance(dataset, TabularDataset) and all(map(importlib.util.find_spec, ("pandas", "pyarrow"))):
            with temporary_folder() as scratch:
                frame_of(found.definition.then("take", count=1), found.here(scratch))
    except DatasetValidationError:
        raise
    except (DatasetExecutionError, UserErrorException) as error:
        raise DatasetValidationError(error.title, error.facts, error.hint) from error
    return dataset
