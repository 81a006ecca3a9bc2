"""Datasets that a step gets as such: their definitions, and their files on the disk of whatever runs the script."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import LocalFile, files_below, full_path, matches, typed_partition_values
from stepwell.model.definitions import OUTPUT
from stepwell.script.tables.lazy_datasets import LazyDataset, LazyFiles, LazyTable
from stepwell.script.tables.other_frames import OtherFrames
from stepwell.script.tables.reading import frame_of
from stepwell.script.tables.row_operations import chosen_files


def dataset_at(path: str, facts: Mapping[str, Any]) -> FileDataset | TabularDataset:
    """Return the dataset of an input whose files are in a folder, or are the file, at `path`; `facts` are the step's."""
    definition = DatasetDefinition.from_json(json.loads(facts["document"]))
    kind = TabularDataset if definition.kind == "tabular" else FileDataset
    return kind(definition, path, facts)


def local_files(path: str, facts: Mapping[str, Any]) -> Iterator[LocalFile]:
    """Yield the files of the dataset at the path, in the order of reading."""
    return dataset_at(path, facts)._each_file()  # noqa: SLF001  (of a class below)


class _LocalDataset(LazyDataset):
    """What files and tables have in common."""

    def __init__(self, definition: DatasetDefinition, path: str, facts: Mapping[str, Any]) -> None:
        super().__init__(definition)
        self._path = path
        self._facts = facts

    def _like(self, definition: DatasetDefinition) -> Self:
        return type(self)(definition, self._path, {})

    @property
    def id(self) -> str | None:
        """The dataset's id; None of one that was made here."""
        return self._facts.get("id") or None

    @property
    def name(self) -> str | None:
        """The name that it is registered under, None if it is not."""
        return self._facts.get("name") or None

    @property
    def version(self) -> int | None:
        """The version of its registration, None if it has none."""
        return self._facts.get("version") or None

    def _local_files(self) -> list[LocalFile]:
        """Return its files in the order of reading, without what its operations leave out."""
        return list(self._each_file())

    def _each_file(self) -> Iterator[LocalFile]:
        patterns = [place.path for place in self._definition.places if place.datastore == OUTPUT and place.path]
        found = files_below(self._definition, self._path)
        if patterns and os.path.isdir(self._path):
            found = (file for file in found if any(matches(pattern, file.name) for pattern in patterns))
        chosen = self._definition.operations_on_files
        return chosen_files(chosen, ((file, _facts_of(file)) for file in found)) if chosen else found

    def _partitions(self) -> list[Mapping[str, Any]]:
        options = self._definition.options
        paths = [full_path(self._definition, file.name) for file in self._local_files()]
        return [typed_partition_values(options, path) for path in paths]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, version={self.version!r})"


def _facts_of(file: LocalFile) -> dict[str, Any]:
    status = os.stat(file.path)
    return {
        "Size": status.st_size,
        "LastModifiedTime": datetime.fromtimestamp(status.st_mtime, UTC),
        "CreationTime": datetime.fromtimestamp(status.st_ctime, UTC),
        "Extension": os.path.splitext(file.name)[1],
        "CanSeek": True,
    }


class FileDataset(_LocalDataset, LazyFiles):
    """Files, as a step gets them."""

    def to_path(self) -> list[str]:
        """Return the names of its files, relative to where it is downloaded or mounted.

        Returns:
            The names, each with a leading '/'.
        """
        return [f"/{file.name}" for file in self._local_files()]

    def download(
        self, target_path: str | None = None, overwrite: bool = False, ignore_not_found: bool = False
    ) -> list[str]:
        """Copy its files to a folder.

        Args:
            target_path: The folder; None: a new temporary one.
            overwrite: Whether files that are there already are replaced.
            ignore_not_found: Accepted for v1's sake; not used.

        Returns:
            The paths of the copies.

        Raises:
            UserErrorException: A file is there already, and `overwrite` is False.
        """
        folder = tempfile.mkdtemp() if target_path is None else os.path.abspath(target_path)
        copies = []
        for file in self._local_files():
            copy = os.path.join(folder, file.name)
            if os.path.exists(copy) and not overwrite:
                raise UserErrorException("A file is there already", {"path": copy}, "Pass `overwrite=True`.")
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copyfile(file.path, copy)
            copies.append(copy)
        return copies

    def mount(self, mount_point: str | None = None, **_: object) -> Mounted:
        """Return its files as a folder, which `start()` or a `with` block makes.

        Args:
            mount_point: The folder; None: a new temporary one.
            **_: Further arguments of v1; not used.

        Returns:
            What has the folder's path as `mount_point`.
        """
        return Mounted(self._local_files(), os.path.abspath(mount_point) if mount_point else tempfile.mkdtemp())


class Mounted:
    """A folder of links to the files of a dataset, as long as it is mounted."""

    def __init__(self, files: list[LocalFile], mount_point: str) -> None:
        self.mount_point = mount_point
        self._files = files

    def start(self) -> None:
        """Make the folder."""
        for file in self._files:
            place = os.path.join(self.mount_point, file.name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if not os.path.lexists(place):
                os.symlink(os.path.realpath(file.path), place)

    def stop(self) -> None:
        """Remove the links; folders stay."""
        for file in self._files:
            place = os.path.join(self.mount_point, file.name)
            if os.path.islink(place):
                os.unlink(place)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class TabularDataset(_LocalDataset, LazyTable, OtherFrames):
    """A table, as a step gets it: nothing is read until it is asked for."""

    def _frame(self, on_error: str, out_of_range_datetime: str) -> Any:
        return frame_of(self._definition, self._local_files(), on_error, out_of_range_datetime)
