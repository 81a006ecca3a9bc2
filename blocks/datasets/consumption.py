"""`DatasetConsumptionConfig`: a dataset as the input of a step, under a name and with a way to get there."""

from __future__ import annotations

import re
from typing import Any, Literal

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.script.tables.lazy_datasets import LazyTable


@checked
class DatasetConsumptionConfig:
    """A dataset as an input.

    Args:
        name: The input's name: letters, digits and underscores, the first no digit.
        dataset: A dataset.
        mode: `direct`, `mount`, `download` or `hdfs`.
        path_on_compute: Where the step finds a download, below its own folder; by default Stepwell chooses.

    Raises:
        UserErrorException: The name can't be used, or a tabular dataset is to be a path.
    """

    def __init__(
        self,
        name: str,
        dataset: Any,
        mode: Literal["direct", "mount", "download", "hdfs"] = "direct",
        path_on_compute: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserErrorException(
                f"{name!r} can't name an input", hint="Use letters, digits and underscores only, the first no digit."
            )
        if mode != "direct" and isinstance(dataset, LazyTable):
            raise UserErrorException(
                f"The tabular dataset of input {name!r} can't be a path",
                {"mode": mode},
                "Leave the mode `direct`, or make a dataset of its files with `Dataset.File.from_files`.",
            )
        self.name = name
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the input as one that is read where it stands.

        Args:
            path_on_compute: Where the step finds it; by default Stepwell chooses.

        Returns:
            A copy of this input.
        """
        return DatasetConsumptionConfig(self.name, self.dataset, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the input as one that is copied to the step's folder.

        Args:
            path_on_compute: Where the step finds it; by default Stepwell chooses.

        Returns:
            A copy of this input.
        """
        return DatasetConsumptionConfig(self.name, self.dataset, "download", path_on_compute)

    def as_direct(self) -> DatasetConsumptionConfig:
        """Return the input as one that the script gets as a dataset.

        Returns:
            A copy of this input.
        """
        return DatasetConsumptionConfig(self.name, self.dataset)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """Return the input as `as_mount` does.

        Returns:
            A copy of this input.
        """
        return DatasetConsumptionConfig(self.name, self.dataset, "hdfs")
