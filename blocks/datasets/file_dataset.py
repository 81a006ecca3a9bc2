"""`FileDataset`: files, wherever they stand, to be downloaded, linked together or given to a step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.abstract_dataset import AbstractDataset
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.datasets.mounting import MountContext
from stepwell.errors import UserErrorException
from stepwell.script.tables.lazy_datasets import LazyFiles


@checked
class FileDataset(LazyFiles, AbstractDataset):
    """Files of datastores or of the web, as `Dataset.File.from_files` makes it."""

    def to_path(self) -> list[str]:
        """Find the files.

        Returns:
            Their names, which begin with '/', in order.

        Raises:
            DatasetValidationError: There are none where the dataset says.
        """
        return [f"/{file.name}" for file in self.current_files().files]

    def download(
        self,
        target_path: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> list[str]:
        """Copy the files to a folder, under their names.

        Args:
            target_path: The folder; by default a new temporary one.
            overwrite: Whether to replace files that stand there; they are refused otherwise.
            ignore_not_found: Whether to copy nothing if there are no files.

        Returns:
            The paths of the copies, in order.

        Raises:
            UserErrorException: A file stands there already, or there are no files.
        """
        try:
            found = self.current_files()
        except UserErrorException:
            if ignore_not_found:
                return []
            raise
        folder = Path(os.path.abspath(target_path)) if target_path else Path(tempfile.mkdtemp(prefix="stepwell-"))
        taken = [folder / file.name for file in found.files if os.path.lexists(folder / file.name)]
        if taken and not overwrite:
            raise UserErrorException(
                "A file stands where one is to be downloaded to",
                {"file": taken[0]},
                "Pass `overwrite=True` to replace it, or choose another folder.",
            )
        for place in taken:
            place.unlink()
        return [str(path) for path in found.put_into(folder)]

    def mount(self, mount_point: str | os.PathLike[str] | None = None) -> MountContext:
        """Return a folder that shows the files while it is in use: `with dataset.mount() as mounted: …`.

        Files of this machine are linked, those that stand elsewhere are copied; both are only to be read.

        Args:
            mount_point: The folder, which is made and must be empty; by default a new temporary one.

        Returns:
            What starts and stops it, with its `mount_point`.
        """
        return MountContext(self.current_files, mount_point)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return it as an input of a step that is read where it stands.

        Args:
            path_on_compute: Where the step finds it; by default Stepwell chooses.

        Returns:
            The input, under a name that is made of the definition.
        """
        return self._input().as_mount(path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return it as an input of a step that is copied to the step's folder.

        Args:
            path_on_compute: Where the step finds it, below its own folder; by default Stepwell chooses.

        Returns:
            The input, under a name that is made of the definition.
        """
        return self._input().as_download(path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """Return it as an input of a step as `as_mount` does.

        Returns:
            The input, under a name that is made of the definition.
        """
        return self._input().as_hdfs()

    def _input(self) -> DatasetConsumptionConfig:
        return self.as_named_input(f"input_{self._definition.digest[:8]}")
