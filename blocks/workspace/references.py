"""The names of data on a datastore: `DataReference`, and `DataPath` for data that a pipeline parameter names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

from stepwell.errors import UserErrorException
from stepwell.model.definitions import DataSource, Mode

_MODES = ("mount", "download", "upload")


class Storage(Protocol):
    """What a reference has to know of its datastore."""

    @property
    def name(self) -> str:
        """The datastore's name."""
        ...


def check_mode(mode: str, allowed: tuple[str, ...] = _MODES) -> None:
    """Nothing; an unknown way for data to get to a step raises UserErrorException."""
    if mode not in allowed:
        raise UserErrorException(
            f"The mode {mode!r} is not known", {"modes": ", ".join(allowed)}, "Choose one of these modes."
        )


def check_port_name(name: str) -> str:
    """`name`; a name that can't be part of an environment variable raises UserErrorException."""
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise UserErrorException(
            f"{name!r} can't name an input or output", hint="Use letters, digits and underscores only."
        )
    return name


@dataclass(frozen=True)
class DataReference:
    """A file or folder that stands in a datastore, and how it gets to a step.

    `str(reference)` is `$AZUREML_DATAREFERENCE_<name>`. Without a name, the reference is called after its path.
    """

    datastore: Storage
    data_reference_name: str | None = None
    path_on_datastore: str | None = None
    mode: Mode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_mode(self.mode)
        if self.data_reference_name is None:
            at_root = (self.path_on_datastore or "").strip("./") == ""
            name = self.datastore.name if at_root else self.path_on_datastore
            object.__setattr__(self, "data_reference_name", re.sub(r"\W", "_", (name or "").strip("./")))

    @property
    def name(self) -> str:
        """The name of the input that this reference becomes."""
        return self.data_reference_name or ""

    @property
    def source(self) -> DataSource:
        """Where the data stands."""
        return DataSource(self.datastore.name, self.path_on_datastore or "")

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """A reference to `path` below this one."""
        joined = "/".join(part.strip("/") for part in (self.path_on_datastore, path) if part)
        return replace(self, path_on_datastore=joined, data_reference_name=data_reference_name)

    def as_mount(self) -> DataReference:
        """The same data, read where it stands."""
        return replace(self, mode="mount")

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """The same data, copied to the step's own folder."""
        return replace(self, mode="download", path_on_compute=path_on_compute, overwrite=overwrite)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """The same place, to be filled when the step has ended."""
        return replace(self, mode="upload", path_on_compute=path_on_compute, overwrite=overwrite)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.name}"


@dataclass(frozen=True)
class DataPath:
    """A file or folder on a datastore, as the value of a pipeline parameter."""

    datastore: Storage | None = None
    path_on_datastore: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.datastore is None:
            raise UserErrorException("A DataPath needs a datastore", hint="Pass `datastore=`.")

    @property
    def source(self) -> DataSource:
        """Where the data stands."""
        assert self.datastore is not None
        return DataSource(self.datastore.name, self.path_on_datastore or "")


@dataclass(frozen=True)
class DataPathComputeBinding:
    """How the data that a DataPath parameter names gets to a step."""

    mode: Mode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_mode(self.mode)
