"""`HDFSOutputDatasetConfig`: files that Spark writes."""

from __future__ import annotations

from dataclasses import replace

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.references import Storage
from stepwell.flows.steps.outputs import OutputFileDatasetConfig
from stepwell.model.definitions import OutputPort


@checked
class HDFSOutputDatasetConfig(OutputFileDatasetConfig):
    """Files that Spark writes, copied to `destination` on a datastore when the step has succeeded.

    It is an OutputFileDatasetConfig whose folder is not there when the script starts, so that `DataFrame.write` makes it.

    Args:
        name: The output's name and its environment variable; None: `output`.
        destination: A datastore, or `(datastore, path)`; None: where PipelineData go on the default datastore.
        source: The path in the step's working directory where the script writes; None: a folder apart.
        partition_format: The end of the files' paths, whose words in braces the dataset knows.

    Raises:
        UserErrorException: `name` can't name an environment variable.
    """

    def __init__(
        self,
        name: str | None = None,
        destination: Storage | tuple[Storage, str] | None = None,
        source: str | None = None,
        partition_format: str | None = None,
    ) -> None:
        super().__init__(name, destination, source, partition_format)

    @property
    def port(self) -> OutputPort:
        """The output that this config is on the step that writes it."""
        return replace(super().port, mode="hdfs")
