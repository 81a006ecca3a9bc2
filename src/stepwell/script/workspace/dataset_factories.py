"""`Dataset.File` and `Dataset.Tabular` as a script of a step has them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Place, ReadOptions
from stepwell.model.datasets.file_names import matches
from stepwell.script.tables.lazy_datasets import LazyDataset
from stepwell.script.tables.reading_options import encoding_of, headers_of, partition_format_of, types_of
from stepwell.script.tables.writing import write_table
from stepwell.script.workspace.datasets import FileDataset, TabularDataset, made
from stepwell.script.workspace.datastore import DataPath, DataReference, Datastore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WAYS = "Pass `(datastore, 'folder/**/*.csv')`, a DataPath, an https address, or a list of these."


class FileDatasetFactory:
    """Makes datasets of files."""

    @staticmethod
    def from_files(
        path: Any, validate: bool = True, partition_format: str | None = None, is_file: bool = False
    ) -> FileDataset:
        """Return the files at paths; with `validate` raise DatasetValidationError if nothing is there."""
        options = ReadOptions(partition_format=partition_format_of(partition_format))
        files: FileDataset = _validated(path, DatasetDefinition("file", options=options), validate)
        return files

    @staticmethod
    def upload_directory(
        src_dir: str | os.PathLike[str],
        target: Any,
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Copy a folder of the step to a datastore, and return its files there as a dataset."""
        datastore, folder = _target(target)
        root = os.path.abspath(src_dir)
        if pattern is None or not os.path.isdir(root):
            datastore.upload(root, folder, overwrite=overwrite, show_progress=show_progress)
        else:
            paths = [os.path.join(place, name) for place, _, names in os.walk(root) for name in names]
            chosen = sorted(path for path in paths if matches(pattern, os.path.relpath(path, root)))
            datastore.upload_files(chosen, root, folder, overwrite, show_progress)
        return FileDatasetFactory.from_files((datastore, folder))


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
        header: Any = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: Any = "utf8",
    ) -> TabularDataset:
        """Return the table that files of delimited text hold."""
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
        table: TabularDataset = _validated(path, DatasetDefinition("tabular", (), "delimited", options), validate)
        return table

    @staticmethod
    def from_parquet_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """Return the table that Parquet files hold."""
        options = ReadOptions(
            types=types_of(set_column_types),
            include_path=include_path,
            partition_format=partition_format_of(partition_format),
        )
        table: TabularDataset = _validated(path, DatasetDefinition("tabular", (), "parquet", options), validate)
        return table

    @staticmethod
    def from_json_lines_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
        invalid_lines: Any = "error",
        encoding: Any = "utf8",
    ) -> TabularDataset:
        """Return the table that files with a JSON object on each line hold."""
        options = ReadOptions(
            encoding=encoding_of(encoding),
            types=types_of(set_column_types),
            invalid_lines=invalid_lines,
            include_path=include_path,
            partition_format=partition_format_of(partition_format),
        )
        table: TabularDataset = _validated(path, DatasetDefinition("tabular", (), "json_lines", options), validate)
        return table

    @staticmethod
    def from_sql_query(query: Any, validate: bool = True, set_column_types: Any = None, query_timeout: int = 30) -> Any:
        """Raise UserErrorException: steps ask no database through the host."""
        raise UserErrorException(
            "A step can't make a dataset of a query to a database",
            hint="Make it where the pipeline is submitted, and get it by its name, or read the query with "
            "`pandas.read_sql`.",
        )

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
        """Write a DataFrame to a datastore as a Parquet file, and register the table as the next version of its name."""
        if not hasattr(dataframe, "to_parquet"):
            raise UserErrorException(
                f"A {type(dataframe).__name__} can't be registered as a table", hint="Pass a pandas DataFrame."
            )
        datastore, folder = _target(target)
        with tempfile.TemporaryDirectory() as scratch:
            place = os.path.join(scratch, "part-00000.parquet")
            write_table(dataframe, place)
            with open(place, "rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            below = "/".join(filter(None, [folder, content[:32] if make_target_path_unique else ""]))
            datastore.upload_files([place], scratch, below, overwrite=True, show_progress=False)
        path = f"{below}/part-00000.parquet".lstrip("/")
        if show_progress:
            print(f"Wrote {len(dataframe)} rows to {datastore.name}/{path}")
        definition = DatasetDefinition("tabular", (Place(datastore.name, path),), "parquet")
        table: TabularDataset = made(datastore.workspace, definition)
        return table.register(datastore.workspace, name, description, tags, create_new_version=True)

    @staticmethod
    def register_spark_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Write a DataFrame of Spark as `register_pandas_dataframe` does."""
        return TabularDatasetFactory.register_pandas_dataframe(
            dataframe.toPandas(), target, name, description, tags, show_progress
        )


def _validated(path: Any, definition: DatasetDefinition, validate: bool) -> Any:
    if isinstance(path, LazyDataset):  # the files of another dataset
        places, workspace = path._definition.places, getattr(path, "workspace", None)  # noqa: SLF001
    else:
        found = [*_each(path)]
        places = tuple(dict.fromkeys(place for place, _ in found))
        workspace = next((store.workspace for _, store in found if store is not None), None)
    if not places:
        raise UserErrorException("A dataset needs a path", hint=_WAYS)
    dataset = made(workspace, DatasetDefinition(definition.kind, places, definition.format, definition.options))
    if validate:
        dataset._look  # noqa: B018, SLF001  (it raises if nothing is there)
    return dataset


def _target(target: Any) -> tuple[Datastore, str]:
    """Return the datastore and folder that are to be written to."""
    found = [] if isinstance(target, (str, list)) else [*_each(target)]
    if len(found) != 1 or found[0][1] is None:
        raise UserErrorException("A target must be a folder on a datastore", hint="Pass `(datastore, 'folder')`.")
    return found[0][1], found[0][0].path


def _each(path: Any) -> Iterator[tuple[Place, Datastore | None]]:
    if isinstance(path, Datastore):
        yield Place(path.name, ""), path
    elif isinstance(path, (DataReference, DataPath)):
        yield _on(path.datastore, path.path_on_datastore)
    elif isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], Datastore):
        yield from (_on(path[0], one) for one in (path[1] if isinstance(path[1], list) else [path[1]]))
    elif isinstance(path, (list, tuple)):
        for one in path:
            yield from _each(one)
    elif isinstance(path, str) and path.startswith(("http://", "https://")):
        if "?" in path or "@" in path.partition("://")[2].partition("/")[0]:
            raise UserErrorException(
                "An address with a query or a password can't be read by a step",
                hint="Make the dataset where the pipeline is submitted, and pass it to the step as an input.",
            )
        yield Place("", path), None
    elif isinstance(path, (str, os.PathLike)):
        raise UserErrorException(
            "A dataset can't be made of local paths",
            {"path": path},
            "Upload them first: `Dataset.File.upload_directory(folder, (datastore, 'folder'))`.",
        )
    else:
        raise UserErrorException(f"A dataset can't be made of a {type(path).__name__}", hint=_WAYS)


def _on(datastore: Datastore, path: Any) -> tuple[Place, Datastore]:
    return Place(datastore.name, str(path or "").strip("/")), datastore
