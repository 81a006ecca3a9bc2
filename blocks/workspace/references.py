"""References to data on a datastore: `DataReference`, and `DataPath` for data that a pipeline parameter names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.model.definitions import THIS_MACHINE, DataSource, Mode

_MODES = ("mount", "download", "upload")


class Storage(Protocol):
    """The part of a datastore that a reference uses."""

    @property
    def name(self) -> str:
        """The datastore's name."""
        ...


def check_mode(mode: str, allowed: tuple[str, ...] = _MODES) -> None:
    """Raise UserErrorException if `mode` is no known way for data to get to a step."""
    if mode not in allowed:
        raise UserErrorException(
            f"The mode {mode!r} is not known", {"modes": ", ".join(allowed)}, "Choose one of these modes."
        )


def check_port_name(name: str) -> str:
    """Return `name`; raise UserErrorException if it can't be part of an environment variable."""
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise UserErrorException(
            f"{name!r} can't name an input or output", hint="Use letters, digits and underscores only."
        )
    return name


@checked
@dataclass(frozen=True)
class DataReference:
    """A file or folder that stands in a datastore, and how it gets to a step.

    `str(reference)` is `$AZUREML_DATAREFERENCE_<name>`, as in Azure ML SDK v1.

    Args:
        datastore: The datastore that holds the data.
        data_reference_name: The step's input name; by default made of the path, or at the root of the datastore's name.
        path_on_datastore: The path relative to the datastore's root; by default the root.
        mode: `mount` (read where it stands), `download` (copied to the step's folder) or `upload` (filled later).
        path_on_compute: Where the step finds the data, below its own folder; by default Stepwell chooses.
        overwrite: As the argument of `as_upload`; of data to read it is not used.
        follow_links: Whether links that lead out of the datastore are followed; None: they are, with a warning.

    Raises:
        UserErrorException: The mode is not known.
    """

    datastore: Storage
    data_reference_name: str | None = None
    path_on_datastore: str | None = None
    mode: Mode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False
    follow_links: bool | None = None

    def __post_init__(self) -> None:
        check_mode(self.mode)
        if self.data_reference_name is None:
            at_root = (self.path_on_datastore or "").strip("./") == ""
            name = self.datastore.name if at_root else self.path_on_datastore
            object.__setattr__(self, "data_reference_name", re.sub(r"\W", "_", (name or "").strip("./")))

    @staticmethod
    def create(
        data_reference_name: str | None = None,
        datapath: DataPath | None = None,
        datapath_compute_binding: DataPathComputeBinding | None = None,
    ) -> DataReference:
        """Return a reference to the data of a DataPath.

        Args:
            data_reference_name: The step's input name; by default made of the path.
            datapath: Where the data stand.
            datapath_compute_binding: How they get to the step; by default mounted.

        Returns:
            The reference.

        Raises:
            UserErrorException: No DataPath is given.
        """
        if datapath is None or datapath.datastore is None:
            raise UserErrorException("A DataReference needs a DataPath", hint="Pass `datapath=`.")
        how = datapath_compute_binding or DataPathComputeBinding()
        return DataReference(
            datapath.datastore,
            data_reference_name,
            datapath.path_on_datastore,
            how.mode,
            how.path_on_compute,
            how.overwrite,
            how.follow_links,
        )

    @property
    def name(self) -> str:
        """The name of the input that this reference becomes."""
        return self.data_reference_name or ""

    @property
    def source(self) -> DataSource:
        """The place of the data."""
        return DataSource(self.datastore.name, self.path_on_datastore or "")

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a path below this one.

        Args:
            path: The path relative to this reference; by default the same path.
            data_reference_name: The new reference's name; by default made of its path.

        Returns:
            The reference, otherwise equal to this one.
        """
        joined = "/".join(part.strip("/") for part in (self.path_on_datastore, path) if part)
        return replace(self, path_on_datastore=joined, data_reference_name=data_reference_name)

    def as_mount(self) -> DataReference:
        """Return a reference to the same data, read where it stands.

        Returns:
            A copy of this reference.
        """
        return replace(self, mode="mount")

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return a reference to the same data, copied to the step's own folder.

        Args:
            path_on_compute: Where the step finds the copy, below its own folder; by default Stepwell chooses.
            overwrite: Accepted for v1's sake; not used.

        Returns:
            A copy of this reference.
        """
        return replace(self, mode="download", path_on_compute=path_on_compute, overwrite=overwrite)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return a reference to the same place, to be filled when the step has ended.

        Args:
            path_on_compute: Where the step writes, below its own folder; by default Stepwell chooses.
            overwrite: Accepted for v1's sake; not used.

        Returns:
            A copy of this reference.
        """
        return replace(self, mode="upload", path_on_compute=path_on_compute, overwrite=overwrite)

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.name}"


@dataclass(frozen=True)
class _ThisMachine:
    """The file system of the machine that runs the pipeline, in the place of a datastore."""

    name: str = THIS_MACHINE


@checked
class LocalData(DataReference):
    """A file or folder of this machine as an input, read where it stands: nothing is uploaded or copied.

    Its content counts, whatever its path: it is hashed where it stands, once for as long as it does not change. A container sees it read-only; a
    Dask worker that shares no disk with this machine gets a copy.

    Args:
        path: Its path; a relative one is meant from the current directory.
        name: The step's input name; by default made of the path's last part.
        mode: `mount` (read where it stands) or `download` (copied to the step's folder).
        path_on_compute: Where the step finds a downloaded copy, below its own folder; by default Stepwell chooses.

    Raises:
        UserErrorException: The mode is not known, or no name can be made of the path.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        mode: Mode = "mount",
        path_on_compute: str | None = None,
    ) -> None:
        check_mode(mode, ("mount", "download"))
        place = os.path.abspath(os.path.expanduser(os.fspath(path)))
        called = check_port_name(name or re.sub(r"\W", "_", os.path.basename(place).strip(".")))
        super().__init__(_ThisMachine(), called, place.lstrip("/"), mode, path_on_compute, follow_links=True)

    @property
    def place(self) -> str:
        """The absolute path."""
        return f"/{self.path_on_datastore}"

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> LocalData:
        """Return the data at a path below this one.

        Args:
            path: The path relative to this one; by default the same path.
            data_reference_name: The step's input name; by default made of the path's last part.

        Returns:
            The data, with the mode of these.

        Raises:
            UserErrorException: No name can be made of the path.
        """
        return LocalData(os.path.join(self.place, path or ""), data_reference_name, self.mode)

    def as_mount(self) -> LocalData:
        """Return the same data, read where they stand.

        Returns:
            A copy of this input.
        """
        return LocalData(self.place, self.name)

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> LocalData:
        """Return the same data, copied to the step's own folder, where it may write to them.

        Args:
            path_on_compute: Where the step finds the copy, below its own folder; by default Stepwell chooses.
            overwrite: As of a DataReference; not used.

        Returns:
            A copy of this input.
        """
        return LocalData(self.place, self.name, "download", path_on_compute)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> NoReturn:
        """Refuse: local data are only read.

        Args:
            path_on_compute: Not used.
            overwrite: Not used.

        Raises:
            UserErrorException: Always.
        """
        raise UserErrorException(
            "Local data are only read, never written", {"path": self.place}, "Write to a DataReference of a datastore."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalData, (self.place, self.name, self.mode, self.path_on_compute)

    def __repr__(self) -> str:
        return f"LocalData({self.place!r})"


@checked
@dataclass(frozen=True)
class DataPath:
    """A file or folder on a datastore, as the value of a pipeline parameter.

    Args:
        datastore: The datastore that holds the data; required, as in Azure ML SDK v1.
        path_on_datastore: The path relative to the datastore's root; by default the root.
        name: Accepted for v1's sake; not used.

    Raises:
        UserErrorException: No datastore is given.
    """

    datastore: Storage | None = None
    path_on_datastore: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.datastore is None:
            raise UserErrorException("A DataPath needs a datastore", hint="Pass `datastore=`.")

    @property
    def source(self) -> DataSource:
        """The place of the data."""
        assert self.datastore is not None
        return DataSource(self.datastore.name, self.path_on_datastore or "")


@checked
@dataclass(frozen=True)
class DataPathComputeBinding:
    """How the data that a DataPath parameter names gets to a step.

    Args:
        mode: `mount` (read where it stands) or `download` (copied to the step's folder).
        path_on_compute: Where the step finds the data, below its own folder; by default Stepwell chooses.
        overwrite: Accepted for v1's sake; not used.
        follow_links: Whether links that lead out of the datastore are followed; None: they are, with a warning.

    Raises:
        UserErrorException: The mode is not known.
    """

    mode: Mode = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False
    follow_links: bool | None = None

    def __post_init__(self) -> None:
        check_mode(self.mode)
