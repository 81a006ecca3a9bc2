"""`DatasetConsumptionConfig`: a dataset as the input of a step, under a name and with a way to get there."""

from __future__ import annotations

import re
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.registry import definition_of, find
from stepwell.blocks.datasets.sources import dataset_source, definition_in, document_of
from stepwell.errors import UserErrorException
from stepwell.model.definitions import DatasetMode, DatasetSource, OutputPort, ParameterDefinition


@checked
class DatasetConsumptionConfig:
    """A dataset as an input, for a step's `inputs` and `arguments`, or for the `arguments` alone.

    The script finds it in `Run.get_context().input_datasets[name]`: the path of its files for `mount` and `download`, the
    dataset itself for `direct`. The environment variable `name` and the argument hold the path, or the dataset's id.

    Args:
        name: The input's name: letters, digits and underscores, the first no digit.
        dataset: A dataset; a PipelineParameter whose default is one; `(workspace, name)` or `(workspace, name, version)`
            of a registered one; or what an output of another step will be.
        mode: `direct`, `mount` (read where it stands), `download` (copied to the step's folder) or `hdfs` (as `mount`).
        path_on_compute: Where the step finds a download, below its own folder; by default Stepwell chooses.

    Attributes:
        name: As the argument.
        dataset: As the argument.
        mode: As the argument.
        path_on_compute: As the argument.

    Raises:
        UserErrorException: The name or mode can't be used, there is no such dataset, or it is no dataset; a tabular dataset
            can only be `direct`.
    """

    def __init__(
        self, name: str, dataset: Any, mode: DatasetMode = "direct", path_on_compute: str | None = None
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserErrorException(
                f"{name!r} can't name an input", hint="Use letters, digits and underscores only, the first no digit."
            )
        if isinstance(dataset, tuple):
            dataset = _registered(dataset)
        if _is_table(name, dataset) and mode != "direct":
            raise UserErrorException(
                f"The tabular dataset of input {name!r} can't be a path",
                {"mode": mode},
                "Leave the mode `direct`, or make a dataset of its files with `Dataset.File.from_files`.",
            )
        self.name = name
        self.dataset = dataset
        self.mode: DatasetMode = mode
        self.path_on_compute = path_on_compute

    @property
    def arg_val(self) -> str:
        """The text that stands for the input anywhere in an argument."""
        return f"DatasetConsumptionConfig:{self.name}"

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the input as one that is read where it stands.

        Args:
            path_on_compute: Accepted for v1's sake; not used.

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
        """Return the input as one that Spark reads; here that is a path, as of `as_mount`.

        Returns:
            A copy of this input.
        """
        return DatasetConsumptionConfig(self.name, self.dataset, "hdfs")

    def __str__(self) -> str:
        return self.arg_val

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, mode={self.mode!r})"


def _registered(words: tuple[Any, ...]) -> DatasetSource:
    if len(words) not in (2, 3):
        raise UserErrorException(
            "A tuple names no dataset",
            {"value": repr(words)},
            "Pass `(workspace, name)` or `(workspace, name, version)`.",
        )
    found = find(*words)
    return DatasetSource(document_of(definition_of(found)), found.name, found.version, found.dataset_id)


def _is_table(name: str, dataset: Any) -> bool:
    """Return whether the dataset is a table; raise UserErrorException if it is no dataset."""
    definition = getattr(dataset, "definition", None)  # of a parameter, or of what a step will write
    if isinstance(definition, ParameterDefinition):
        source = dataset_source(definition.default)
    else:
        source = dataset_source(dataset)
    if source is not None:
        return bool(source.document) and definition_in(source.document).kind == "tabular"
    if not isinstance(getattr(dataset, "port", None), OutputPort):
        raise UserErrorException(
            f"The input {name!r} has no dataset",
            {"value": repr(dataset)},
            "Pass a dataset, a PipelineParameter whose default is one, or `(workspace, name)`.",
        )
    return bool(getattr(definition, "kind", "") == "tabular")
