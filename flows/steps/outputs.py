"""Outputs of steps: `PipelineData` for data between steps, `OutputFileDatasetConfig` for data with a destination."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Protocol

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.sources import document_of
from stepwell.blocks.workspace.references import Storage, check_mode, check_port_name
from stepwell.errors import UserErrorException
from stepwell.flows.datasets import reading
from stepwell.flows.datasets.output_datasets import PipelineOutputFileDataset
from stepwell.flows.datasets.output_tables import OutputTabularDatasetConfig
from stepwell.flows.dynamic.step_values import OutputValues
from stepwell.flows.steps.training_output import TrainingOutput
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.definitions import Mode, OutputPort, Registration
from stepwell.script.tables.reading_options import PromoteHeadersBehavior

REFERENCE = "AZUREML_DATAREFERENCE_"
"""Begins the name of the environment variable that holds the path of PipelineData."""

_WRITE_MODES = ("mount", "upload")


class Producer(Protocol):
    """The step that writes an output."""

    name: str


@checked
class PipelineData(OutputValues):
    """Data that one step writes and others read; naming it in `outputs` and `inputs` orders the steps.

    `str(data)` is `$AZUREML_DATAREFERENCE_<name>`. Its path is ready when the script starts: the parent folder exists,
    the leaf does not, and the script makes a file or a folder there, as in Azure ML SDK v1.

    Args:
        name: The data's name, of letters, digits and underscores; part of the environment variable that holds its path.
        datastore: The datastore where it is put; None: the workspace's default datastore.
        output_name: The name of the output on the step that writes it; None: `name`.
        output_mode: `mount` or `upload`; both write locally first, and nothing is kept of a step that fails.
        output_path_on_compute: The path in the step's working directory where the script writes; None: a folder apart.
        output_overwrite: Accepted for v1's sake; not used.
        data_type: Accepted for v1's sake; not used.
        is_directory: Accepted for v1's sake; not used.
        pipeline_output_name: The name under which `PipelineRun.get_pipeline_output` finds it; None: it is no output of
            the pipeline.
        training_output: What it holds, if the step makes that of its trials: a HyperDriveStep's metrics, or the best model.

    Attributes:
        name: As the argument.
        datastore: As the argument.
        output_name: The name of the output on the step that writes it.
        producer: The step that has it among its `outputs`, None if there is none yet.
        training_output: As the argument.

    Raises:
        UserErrorException: A name or the mode can't be used.
    """

    def __init__(
        self,
        name: str,
        datastore: Storage | None = None,
        output_name: str | None = None,
        output_mode: Mode = "mount",
        output_path_on_compute: str | None = None,
        output_overwrite: bool | None = None,
        data_type: str | None = None,
        is_directory: bool | None = None,
        pipeline_output_name: str | None = None,
        training_output: TrainingOutput | None = None,
    ) -> None:
        check_mode(output_mode, _WRITE_MODES)
        self.name = check_port_name(name)
        self.datastore = datastore
        self.output_name = check_port_name(output_name or name)
        self.mode: Mode = output_mode
        self.path_on_compute = output_path_on_compute
        self.pipeline_output_name = pipeline_output_name
        self.training_output = training_output
        self.registration: Registration | None = None
        self.producer: Producer | None = None

    @property
    def port(self) -> OutputPort:
        """The output that this data is on the step that writes it."""
        return OutputPort(
            name=self.output_name,
            variable=REFERENCE + self.name,
            datastore=self.datastore.name if self.datastore else None,
            mode=self.mode,
            path_on_compute=self.path_on_compute,
            pipeline_output=self.pipeline_output_name,
            register=self.registration,
        )

    def as_dataset(self) -> PipelineOutputFileDataset:
        """Return this data as a dataset, for the `outputs` of the step that writes it and the `inputs` of others.

        Returns:
            Its files as a dataset; `parse_delimited_files` and `parse_parquet_files` make a table of them.
        """
        return PipelineOutputFileDataset(self)

    def as_mount(self, input_name: str | None = None) -> OutputInput:
        """Return this data as an input that is read where it stands.

        Args:
            input_name: The input's name; None: that of the data.

        Returns:
            The input, for a step's `inputs` and `arguments`.
        """
        return OutputInput(self, input_name or self.name, "mount")

    def as_download(
        self, input_name: str | None = None, path_on_compute: str | None = None, overwrite: bool | None = None
    ) -> OutputInput:
        """Return this data as an input that is copied to the step's own folder.

        Args:
            input_name: The input's name; None: that of the data.
            path_on_compute: Where to, as a path in the step's working directory; None: a folder apart.
            overwrite: Accepted for v1's sake; not used.

        Returns:
            The input, for a step's `inputs` and `arguments`.
        """
        return OutputInput(self, input_name or self.name, "download", path_on_compute)

    def as_input(self, input_name: str) -> OutputInput:
        """Return this data as an input of another name.

        Args:
            input_name: The input's name.

        Returns:
            The input, for a step's `inputs` and `arguments`.
        """
        return OutputInput(self, input_name, "mount")

    def get_env_variable_name(self) -> str:
        """Return the name of the environment variable that holds the data's local path.

        Returns:
            `AZUREML_DATAREFERENCE_<name>`.
        """
        return f"AZUREML_DATAREFERENCE_{self.name}"

    def __str__(self) -> str:
        return f"${self.get_env_variable_name()}"

    def __repr__(self) -> str:
        return f"PipelineData({self.name!r})"


@checked
class OutputFileDatasetConfig(OutputValues):
    """Files that a step writes, copied to `destination` on a datastore when the step has succeeded.

    The environment variable `name` holds the local path, which is a folder that exists when the script starts, as in
    Azure ML SDK v1. A config that stands only among a step's `arguments` becomes one of its outputs.

    Args:
        name: The output's name and its environment variable; None: `output`, where v1 makes up a new one each time.
        destination: A datastore, or `(datastore, path)` with `{run-id}` and `{output-name}` in the path. A datastore
            alone: `dataset/{run-id}/{output-name}`; None: where PipelineData go on the default datastore, by v1's rules
            `dataset/{run-id}/{output-name}` there.
        source: The path in the step's working directory where the script writes; None: a folder apart.
        partition_format: The end of the files' paths, such as `/{country}/{time:yyyy/MM/dd}/data.csv`, whose words in
            braces the dataset knows.

    Attributes:
        name: As the argument.
        datastore: The datastore of the destination, None for the default one.
        destination: The path of the destination, None if there is none.
        source: As the argument.
        overwrite: As the argument of `as_upload`.
        producer: The step that has it among its `outputs`, None if there is none yet.

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
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserErrorException(f"{name!r} can't name an output", hint="Use letters, digits and underscores only.")
        self.name = name or "output"
        self.datastore, self.destination = _destination(destination)
        self.source = source
        self.partition_format = partition_format or ""
        self.source_globs = ""
        self.overwrite = False
        self.mode: Mode = "mount"
        self.registration: Registration | None = None
        self.producer: Producer | None = None

    @property
    def port(self) -> OutputPort:
        """The output that this config is on the step that writes it."""
        return OutputPort(
            name=self.name,
            variable=self.name,
            datastore=self.datastore.name if self.datastore else None,
            mode=self.mode,
            path_on_compute=self.source,
            destination=self.destination,
            overwrite=self.overwrite,
            register=self.registration,
            source_globs=self.source_globs,
        )

    def register_on_complete(
        self, name: str, description: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> OutputFileDatasetConfig:
        """Return the same output, which becomes a file dataset of the workspace when its step is complete.

        Args:
            name: The dataset's name; a dataset of the name gets a new version if the bytes are new.
            description: What it is.
            tags: Labels of the dataset.

        Returns:
            A copy that stands for the same output.
        """
        clone = self._with(self.mode)
        kept = {str(label): str(text) for label, text in (tags or {}).items()}
        clone.registration = Registration(name, description or "", kept, document_of(self.files))
        return clone

    @property
    def files(self) -> DatasetDefinition:
        """Its files as a dataset of no place."""
        found = DatasetDefinition("file")
        return found.with_options(partition_format=self.partition_format) if self.partition_format else found

    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: bool | PromoteHeadersBehavior | int = PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTabularDatasetConfig:
        """Return the table that is read from its files of delimited text.

        Args:
            include_path: Whether a column `Path` says where each row is from.
            separator: What stands between two values.
            header: Whether all files begin with the names of the columns, or a member of PromoteHeadersBehavior.
            partition_format: The end of the files' paths, whose words in braces become columns.
            path_glob: A pattern of the paths of the files to read; None: all.
            set_column_types: What columns are converted to, by their names; others are inferred.

        Returns:
            The table, which stands for the same output.
        """
        table = reading.delimited(include_path, separator, header, partition_format, set_column_types)
        return OutputTabularDatasetConfig(self, reading.only(table, path_glob or ""))

    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTabularDatasetConfig:
        """Return the table that is read from its Parquet files.

        Args:
            include_path: Whether a column `Path` says where each row is from.
            partition_format: The end of the files' paths, whose words in braces become columns.
            path_glob: A pattern of the paths of the files to read; None: all.
            set_column_types: What columns are converted to, by their names.

        Returns:
            The table, which stands for the same output.
        """
        table = reading.parquet(include_path, partition_format, set_column_types)
        return OutputTabularDatasetConfig(self, reading.only(table, path_glob or ""))

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        """Return the same output with the mode `mount`, the default.

        Args:
            disable_metadata_cache: Accepted for v1's sake; not used.

        Returns:
            A copy that stands for the same output.
        """
        return self._with("mount")

    def as_upload(self, overwrite: bool = False, source_globs: str | None = None) -> OutputFileDatasetConfig:
        """Return the same output with the mode `upload`; files are copied when the step has succeeded.

        Args:
            overwrite: Whether to remove from the destination also what an earlier run put there and somebody changed
                since, and a file that stands in the way.
            source_globs: A pattern of the paths of the files that count, such as `**/*.csv`; None: all.

        Returns:
            A copy that stands for the same output.
        """
        clone = self._with("upload")
        clone.overwrite = overwrite
        clone.source_globs = source_globs or ""
        return clone

    def as_input(self, name: str | None = None) -> OutputInput:
        """Return these files as another step's input.

        Args:
            name: The input's name and its environment variable; None: that of the output.

        Returns:
            The input, for a step's `inputs` or `arguments`.
        """
        return OutputInput(self, name or self.name, "mount")

    @property
    def arg_val(self) -> str:
        """The text that stands for the local path anywhere in an argument."""
        return f"DatasetOutputConfig:{self.name}"

    def _with(self, mode: Mode) -> OutputFileDatasetConfig:
        clone = copy.copy(self)
        clone.mode = mode
        clone._original = self.original  # type: ignore[attr-defined]  # noqa: SLF001
        return clone

    @property
    def original(self) -> OutputFileDatasetConfig:
        """The object that this one was copied from, else itself: it tells one output from another."""
        return getattr(self, "_original", self)

    def __str__(self) -> str:
        return self.arg_val


@checked
class OutputInput:
    """What a step wrote, as an input of another step, under a name and a mode of its own."""

    def __init__(
        self,
        data: PipelineData | OutputFileDatasetConfig,
        name: str,
        mode: Mode,
        path_on_compute: str | None = None,
    ) -> None:
        self.data = data
        self.name = check_port_name(name)
        self.mode: Mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self) -> OutputInput:
        """Return the same input, read where it stands."""
        return OutputInput(self.data, self.name, "mount")

    def as_download(self, path_on_compute: str | None = None) -> OutputInput:
        """Return the same input, copied to the step's own folder."""
        return OutputInput(self.data, self.name, "download", path_on_compute)

    @property
    def arg_val(self) -> str:
        """The text that stands for the local path anywhere in an argument."""
        return f"DatasetConsumptionConfig:{self.name}"

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.name}"


def _destination(destination: Storage | tuple[Storage, str] | None) -> tuple[Storage | None, str | None]:
    if destination is None:
        return None, None
    if isinstance(destination, tuple):
        datastore, path = destination
        return datastore, path
    return destination, "dataset/{run-id}/{output-name}"
