"""What a step writes: `PipelineData` for data between steps, `OutputFileDatasetConfig` for data delivered to a place."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Protocol

from stepwell.blocks.workspace.references import check_mode, check_port_name
from stepwell.errors import UserErrorException
from stepwell.model.definitions import Mode, OutputPort

if TYPE_CHECKING:
    from stepwell.blocks.workspace.datastore import Datastore

_WRITE_MODES = ("mount", "upload")


class Producer(Protocol):
    """The step that writes an output."""

    name: str


class PipelineData:
    """Data that one step writes and others read; naming it in `outputs` and `inputs` orders the steps.

    `str(data)` is `$AZUREML_DATAREFERENCE_<name>`. Its path is ready when the script starts: the parent folder exists, the
    leaf does not, and the script makes a file or a folder there.
    """

    def __init__(
        self,
        name: str,
        datastore: Datastore | None = None,
        output_name: str | None = None,
        output_mode: Mode = "mount",
        output_path_on_compute: str | None = None,
        output_overwrite: bool | None = None,
        data_type: str | None = None,
        is_directory: bool | None = None,
        pipeline_output_name: str | None = None,
    ) -> None:
        check_mode(output_mode, _WRITE_MODES)
        self.name = check_port_name(name)
        self.datastore = datastore
        self.output_name = check_port_name(output_name or name)
        self.mode: Mode = output_mode
        self.path_on_compute = output_path_on_compute
        self.pipeline_output_name = pipeline_output_name
        self.producer: Producer | None = None

    @property
    def port(self) -> OutputPort:
        """The output that this data is on the step that writes it."""
        return OutputPort(
            name=self.output_name,
            variable=f"AZUREML_DATAREFERENCE_{self.name}",
            datastore=self.datastore.name if self.datastore else None,
            mode=self.mode,
            path_on_compute=self.path_on_compute,
            pipeline_output=self.pipeline_output_name,
        )

    def as_mount(self, input_name: str | None = None) -> OutputInput:
        """This data as an input that is read where it stands."""
        return OutputInput(self, input_name or self.name, "mount")

    def as_download(
        self, input_name: str | None = None, path_on_compute: str | None = None, overwrite: bool | None = None
    ) -> OutputInput:
        """This data as an input that is copied to the step's own folder."""
        return OutputInput(self, input_name or self.name, "download", path_on_compute)

    def as_input(self, input_name: str) -> OutputInput:
        """This data as an input of another name."""
        return OutputInput(self, input_name, "mount")

    def get_env_variable_name(self) -> str:
        """The environment variable that holds the data's local path."""
        return f"AZUREML_DATAREFERENCE_{self.name}"

    def __str__(self) -> str:
        return f"${self.get_env_variable_name()}"

    def __repr__(self) -> str:
        return f"PipelineData({self.name!r})"


class OutputFileDatasetConfig:
    """Files that a step writes, delivered to `destination` on a datastore when the step has succeeded.

    `destination` is a datastore, or `(datastore, path)` with `{run-id}` and `{output-name}` in the path. The environment
    variable `name` holds the local path, which is a folder that exists when the script starts.
    """

    def __init__(
        self,
        name: str | None = None,
        destination: Datastore | tuple[Datastore, str] | None = None,
        source: str | None = None,
    ) -> None:
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserErrorException(f"{name!r} can't name an output", hint="Use letters, digits and underscores only.")
        self.name = name or "output"
        self.datastore, self.destination = _destination(destination)
        self.source = source
        self.mode: Mode = "mount"
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
        )

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        """The same output, written where it stands."""
        return self._with("mount")

    def as_upload(self, overwrite: bool = False, source_globs: str | None = None) -> OutputFileDatasetConfig:
        """The same output, copied when the step has succeeded."""
        return self._with("upload")

    def as_input(self, name: str | None = None) -> OutputInput:
        """These files as another step's input."""
        return OutputInput(self, name or self.name, "mount")

    @property
    def arg_val(self) -> str:
        """Text that stands for the local path anywhere in an argument."""
        return f"DatasetOutputConfig:{self.name}"

    def _with(self, mode: Mode) -> OutputFileDatasetConfig:
        clone = copy.copy(self)
        clone.mode = mode
        clone._original = self.original  # type: ignore[attr-defined]  # noqa: SLF001
        return clone

    @property
    def original(self) -> OutputFileDatasetConfig:
        """The object that this one was cloned from, else itself: what tells one output from another."""
        return getattr(self, "_original", self)

    def __str__(self) -> str:
        return self.arg_val


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
        """The same input, read where it stands."""
        return OutputInput(self.data, self.name, "mount")

    def as_download(self, path_on_compute: str | None = None) -> OutputInput:
        """The same input, copied to the step's own folder."""
        return OutputInput(self.data, self.name, "download", path_on_compute)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.name}"


def _destination(destination: Datastore | tuple[Datastore, str] | None) -> tuple[Datastore | None, str | None]:
    if destination is None:
        return None, None
    if isinstance(destination, tuple):
        datastore, path = destination
        return datastore, path
    return destination, "dataset/{run-id}/{output-name}"
