"""`Datastore` as a script of a step has it: its files, copied to the step and back; and names of data on it."""

from __future__ import annotations

import os

from stepwell.errors import DatastoreException, UserErrorException
from stepwell.script import channel
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Literal, NoReturn


class _Refusing(type):
    """Registering is no business of steps, whatever kind of datastore it is."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("register"):
            raise _can_not("register")
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class Datastore(Narrow, metaclass=_Refusing):
    """Storage of the workspace; without a name its default one."""

    def __init__(self, workspace: Any, name: str | None = None) -> None:
        self.workspace = workspace
        self._facts = dict(channel.ask("datastore.get", name=name))

    @classmethod
    def get(cls, workspace: Any, datastore_name: str) -> Datastore:
        """Return the datastore of that name; raise DatastoreException if there is none."""
        return cls(workspace, datastore_name)

    @classmethod
    def get_default(cls, workspace: Any) -> Datastore:
        """Return the default datastore."""
        return cls(workspace)

    @property
    def name(self) -> str:
        """The datastore's name."""
        return str(self._facts["name"])

    @property
    def datastore_type(self) -> str:
        """Its type, in v1's words."""
        return str(self._facts["type"])

    @property
    def url(self) -> str:
        """The URL of its root, without secrets."""
        return str(self._facts["url"])

    @property
    def is_default(self) -> bool:
        """Whether it is the workspace's default one."""
        return bool(self._facts["is_default"])

    # Files in and out -----------------------------------------------------------------------------------------------

    def download(
        self,
        target_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Copy all files whose paths begin with `prefix` below a folder, under their whole paths; return how many."""
        from shutil import copyfile

        root = channel.receive("datastore.download", name=self.name, prefix=prefix)
        names, count = sorted(_files_below(root)), 0
        for name in names:
            target = os.path.join(target_path, name)
            if os.path.exists(target) and not overwrite:
                print(f"Skipped {target}: it exists already and overwrite is False")
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            copyfile(os.path.join(root, name), target)
            count += 1
        if show_progress:
            print(f"Downloaded {count} of {len(names)} files from {self.name}")
        return count

    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: bool | Literal["changed"] = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copy all files of a folder to the datastore, and return a reference to `target_path`."""
        if not os.path.isdir(src_dir):
            raise DatastoreException("A folder to upload does not exist", {"folder": src_dir}, "Correct its path.")
        return self._put(src_dir, target_path, overwrite, show_progress)

    def upload_files(
        self,
        files: Sequence[str | os.PathLike[str]],
        relative_root: str | os.PathLike[str] | None = None,
        target_path: str | None = None,
        overwrite: bool | Literal["changed"] = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copy files to the datastore, under their paths relative to `relative_root` or to the innermost folder."""
        from tempfile import TemporaryDirectory

        paths = [os.path.abspath(file) for file in files]
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing or not paths:
            title = "A file to upload does not exist" if missing else "There are no files to upload"
            raise DatastoreException(title, {"file": missing[0]} if missing else {}, "Name files that are there.")
        root = os.path.abspath(relative_root) if relative_root else os.path.commonpath(map(os.path.dirname, paths))
        outside = [path for path in paths if os.path.commonpath([root, path]) != root]
        if outside:
            raise DatastoreException(
                "`relative_root` is not a parent of every file",
                {"relative_root": root, "file": outside[0]},
                "Choose a folder that holds all the files.",
            )
        with TemporaryDirectory() as folder:
            for path in paths:
                _link(path, os.path.join(folder, os.path.relpath(path, root)))
            return self._put(folder, target_path, overwrite, show_progress)

    def _put(
        self,
        folder: str | os.PathLike[str],
        target_path: str | None,
        overwrite: bool | Literal["changed"],
        show_progress: bool,
    ) -> DataReference:
        done = channel.send(
            "datastore.upload", os.path.abspath(folder), name=self.name, target=target_path or "", overwrite=overwrite
        )
        for line in done["told"] if overwrite is False else ():
            print(line)
        if show_progress:
            count = len(done["uploaded"]) + len(done["skipped"])
            print(f"Uploaded {len(done['uploaded'])} of {count} files to {self.name}/{target_path or ''}")
        return self.path(target_path or "")

    # References -----------------------------------------------------------------------------------------------------

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a file or folder on it."""
        return DataReference(self, data_reference_name, path)

    def as_mount(self) -> DataReference:
        """Return a reference to all of it."""
        return DataReference(self)

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to all of it."""
        return DataReference(self, mode="download", path_on_compute=path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to all of it."""
        return DataReference(self, mode="upload", path_on_compute=path_on_compute)

    def set_as_default(self) -> NoReturn:
        """Raise DatastoreException: steps change no datastores."""
        raise _can_not("change")

    def unregister(self) -> NoReturn:
        """Raise DatastoreException: steps change no datastores."""
        raise _can_not("change")

    def __repr__(self) -> str:
        import json

        workspace = getattr(self.workspace, "name", "")
        return json.dumps(
            {"name": self.name, "datastore_type": self.datastore_type, "url": self.url, "workspace": workspace},
            indent=2,
        )


class DataPath:
    """A path on a datastore."""

    def __init__(self, datastore: Any = None, path_on_datastore: str | None = None, name: str | None = None) -> None:
        if datastore is None:
            raise UserErrorException("A DataPath needs its datastore", hint="Pass `datastore=`.")
        self.datastore = datastore
        self.path_on_datastore = path_on_datastore or ""
        self.name = name
        self.datastore_name = datastore.name


class DataReference:
    """A file or folder on a datastore, by its path there."""

    def __init__(
        self,
        datastore: Any,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.datastore = datastore
        self.path_on_datastore = path_on_datastore or ""
        plain = "".join(mark if mark.isalnum() else "_" for mark in self.path_on_datastore).strip("_")
        self.data_reference_name = data_reference_name or plain or datastore.name
        self.mode, self.path_on_compute, self.overwrite = mode, path_on_compute, overwrite

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to what is below it."""
        below = "/".join(filter(None, [self.path_on_datastore.rstrip("/"), path]))
        return DataReference(self.datastore, data_reference_name, below, self.mode)

    def as_mount(self) -> DataReference:
        """Return the reference, to be mounted."""
        return DataReference(self.datastore, self.data_reference_name, self.path_on_datastore)

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return the reference, to be downloaded."""
        return DataReference(
            self.datastore, self.data_reference_name, self.path_on_datastore, "download", path_on_compute, overwrite
        )

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return the reference, to be filled."""
        return DataReference(
            self.datastore, self.data_reference_name, self.path_on_datastore, "upload", path_on_compute, overwrite
        )

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"


def _files_below(root: str) -> Iterable[str]:
    for folder, _, names in os.walk(root):
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in names)


def _link(path: str, target: str) -> None:
    """Let the file be found at `target`, too: by a second name, or where there is no such thing, a copy."""
    from shutil import copyfile

    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.link(path, target)
    except OSError:
        copyfile(path, target)


def _can_not(verb: str) -> DatastoreException:
    return DatastoreException(f"A step can't {verb} datastores", hint="Do it where the pipeline is submitted.")
