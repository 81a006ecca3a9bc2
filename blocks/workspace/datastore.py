"""Named storage: `Datastore`, saved as a Prefect block, with data moved in and out and references to them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from prefect.types import SecretDict

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.blocks.datastores.datastore_urls import absolute_url
from stepwell.blocks.datastores.delivery import Overwrite, upload
from stepwell.blocks.datastores.v1_database_registration import DatabaseRegistration
from stepwell.blocks.datastores.v1_registration import DatastoreOwner
from stepwell.blocks.datastores.v1_storage_registration import StorageRegistration
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.references import DataReference
from stepwell.errors import DatastoreException, WorkspaceException


@checked
class Datastore(StorageRegistration, DatabaseRegistration, DatastoreFiles):
    """Storage of a workspace. `Datastore(ws, name)` finds it; without a name, the workspace's default one.

    It is also an instance of v1's class for its kind, such as `AzureBlobDatastore`.

    Args:
        workspace: The workspace that the datastore belongs to.
        name: The datastore's name; by default that of the workspace's default datastore, as in Azure ML SDK v1.

    Raises:
        DatastoreException: There is no datastore of that name.

    Attributes:
        workspace: The workspace that the datastore belongs to.
        name: The datastore's name.
    """

    def __init__(
        self, workspace: DatastoreOwner, name: str | None = None, *, _block: DatastoreBlock | None = None
    ) -> None:
        self.workspace = workspace
        name = name or workspace.default_datastore_name
        block = _block or documents.load_named(DatastoreBlock, workspace.name, name)
        if block is None:
            raise DatastoreException(
                f"There is no datastore {name!r} in workspace {workspace.name!r}",
                {"datastores": ", ".join(workspace.datastores) or "none"},
                "Register it with `Datastore.register(ws, name, url)`.",
            )
        super().__init__(block, workspace.datastore_places)
        if self._kind is not None:
            self.__class__ = _with_kind(self._kind)  # type: ignore[arg-type]  # (a class can be hashed)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Datastore, _block=self._block), (self.workspace, self.name)

    @classmethod
    def get(cls, workspace: DatastoreOwner, datastore_name: str) -> Datastore:
        """Return the workspace's datastore of that name.

        Args:
            workspace: The workspace.
            datastore_name: The datastore's name.

        Returns:
            The datastore.

        Raises:
            DatastoreException: There is no datastore of that name.
        """
        return cls(workspace, datastore_name)

    @classmethod
    def get_default(cls, workspace: DatastoreOwner) -> Datastore:
        """Return the workspace's default datastore.

        Args:
            workspace: The workspace.

        Returns:
            The datastore where results and outputs are kept.
        """
        return cls(workspace)

    @classmethod
    def register(
        cls,
        workspace: DatastoreOwner,
        name: str,
        url: str = "",
        options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        trust_times: bool = False,
        shared: bool = False,
    ) -> Datastore:
        """Save a datastore in the workspace and return it.

        Args:
            workspace: The workspace that the datastore will belong to.
            name: 1 to 255 letters, digits and underscores.
            url: The fsspec URL of the datastore's root, without a password; by default a folder in Stepwell's home. A
                relative path of a folder is made absolute now.
            options: Arguments of the fsspec file system, such as account keys; kept as secrets.
            overwrite: Whether to replace a datastore that has the name already.
            trust_times: Of a server that tells no more than sizes and times, as SFTP and FTP do: whether a file that keeps both keeps
                its content, too, so that it is not read again. Files are believed once they are a minute old.
            shared: Whether it is a folder that several machines have mounted, each at this path: as the workspace's default
                datastore it passes results between them, as one that stands elsewhere does.

        Returns:
            The datastore.

        Raises:
            DatastoreException: The name is taken or is none, or the URL holds a password, can't be opened, or could
                mean several places, as `file://data` does.
        """
        url = absolute_url(url)
        secret = SecretDict(dict(options)) if options else None
        block = DatastoreBlock(workspace=workspace.name, name=name, url=url, options=secret, shared=shared)
        block.trust_times = trust_times
        return cls._save(workspace, block, overwrite=overwrite)

    @classmethod
    def _save(
        cls, workspace: DatastoreOwner, block: DatastoreBlock, *, overwrite: bool, look: bool = True
    ) -> Datastore:
        """Save the block, once its name is found good and, if `look`, its place can be opened."""
        if not re.fullmatch(r"\w{1,255}", block.name):
            hint = "Use letters, digits and underscores only."
            raise DatastoreException(f"{block.name!r} can't name a datastore", hint=hint)
        known = None if overwrite else documents.load_named(DatastoreBlock, workspace.name, block.name)
        if known is not None and not (block.kind and (known.kind, known.url) == (block.kind, block.url)):
            hint = "Pass `overwrite=True` to replace it."
            raise DatastoreException(f"The datastore {block.name!r} exists already", hint=hint)
        datastore = Datastore(workspace, block.name, _block=block)
        if look and not datastore._holds_tables:
            datastore.filesystem  # noqa: B018  (an unusable URL must fail before anything is saved)
        documents.save_named(block)
        return datastore

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec file system that holds the data; WorkspaceException for a folder that is another home's."""
        self.require_here()
        return super().filesystem

    @property
    def is_here(self) -> bool:
        """Whether this home may look at the data: they don't stand in the folder of another one."""
        try:
            self.require_here()
        except WorkspaceException:
            return False
        return True

    def require_here(self) -> None:
        """Raise WorkspaceException if the data stand in the folder of another home.

        Raises:
            WorkspaceException: They do.
        """
        if not self._block.url:
            self.workspace.require_folders()

    # Data in and out ------------------------------------------------------------------------------------------------

    def upload_files(
        self,
        files: Sequence[str | os.PathLike[str]],
        relative_root: str | os.PathLike[str] | None = None,
        target_path: str | None = None,
        overwrite: Overwrite = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload files to the datastore under their paths relative to `relative_root`.

        Args:
            files: The paths of local files, at least one.
            relative_root: A folder that holds all files; by default the innermost one, as in Azure ML SDK v1.
            target_path: The folder on the datastore; by default its root.
            overwrite: Whether to replace files that exist already; they are skipped otherwise, with a message that says whether they
                differ. `"changed"` replaces those that differ.
            show_progress: Whether to print how many files were uploaded.

        Returns:
            A reference to `target_path`.

        Raises:
            DatastoreException: A file does not exist, none is named, or `relative_root` does not hold all of them.
        """
        paths = [Path(os.path.abspath(name)) for name in files]
        if not paths:
            raise DatastoreException("There are no files to upload", hint="Name at least one file.")
        for path in paths:
            if not path.is_file():
                raise DatastoreException("A file to upload does not exist", {"file": path}, "Correct its path.")
        root = (
            Path(os.path.abspath(relative_root))
            if relative_root
            else Path(os.path.commonpath([p.parent for p in paths]))
        )
        outside = [str(path) for path in paths if not path.is_relative_to(root)]
        if outside:
            raise DatastoreException(
                "`relative_root` is not a parent of every file",
                {"relative_root": root, "file": outside[0]},
                "Choose a folder that holds all the files.",
            )
        return self._put(
            {path: path.relative_to(root).as_posix() for path in paths}, target_path, overwrite, show_progress
        )

    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: Overwrite = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Upload all files of a folder to the datastore.

        Args:
            src_dir: The local folder.
            target_path: The folder on the datastore; by default its root.
            overwrite: Whether to replace files that exist already; they are skipped otherwise, with a message that says whether they
                differ. `"changed"` replaces those that differ.
            show_progress: Whether to print how many files were uploaded.

        Returns:
            A reference to `target_path`.

        Raises:
            DatastoreException: The local folder does not exist or holds a pipe, socket, device or broken link, or
                `target_path` leads out of the datastore.
        """
        root = Path(src_dir)
        if not root.is_dir():
            raise DatastoreException("A folder to upload does not exist", {"folder": root}, "Correct its path.")
        found = [Path(place) / name for place, _, names in os.walk(root) for name in names]
        return self._put(
            {path: path.relative_to(root).as_posix() for path in found}, target_path, overwrite, show_progress
        )

    def _put(
        self, files: dict[Path, str], target_path: str | None, overwrite: Overwrite, show_progress: bool
    ) -> DataReference:
        target = self.inside(target_path)
        for source in files:
            if not source.is_file():
                hint = "Remove it, or name the files themselves with `upload_files`."
                raise DatastoreException("Only files can be uploaded", {"path": source}, hint)
        found = upload(self, {f"{target}/{name}".lstrip("/"): source for source, name in files.items()}, overwrite)
        for place in found.stayed if overwrite is False else ():
            print(found.told(place))
        if show_progress:
            print(f"Uploaded {len(found.done)} of {len(files)} files to {self.name}/{target}")
        return self.path(target_path or "")

    def download(
        self,
        target_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Download all files whose path starts with `prefix`, each under its whole path, as in Azure ML SDK v1.

        Args:
            target_path: The local folder.
            prefix: How the files' paths on the datastore begin; by default all are downloaded.
            overwrite: Whether to replace local files; they are skipped with a message otherwise.
            show_progress: Whether to print how many files were downloaded.

        Returns:
            The number of files downloaded.

        Raises:
            DatastoreException: The prefix leads out of the datastore.
        """
        names = list(self.files(prefix))
        count = 0
        for name in names:
            target = Path(target_path) / name
            if target.exists() and not overwrite:
                print(f"Skipped {target}: it exists already and overwrite is False")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            self.get_file(name, target)
            count += 1
        if show_progress:
            print(f"Downloaded {count} of {len(names)} files from {self.name}")
        return count

    # References -----------------------------------------------------------------------------------------------------

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a file or folder on this datastore.

        Args:
            path: The path relative to the datastore's root; by default the root.
            data_reference_name: The reference's name; by default made of the path.

        Returns:
            The reference, to be mounted.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        return DataReference(self, data_reference_name, self.readable(path))

    def as_mount(self) -> DataReference:
        """Return a reference to the whole datastore, read where it stands.

        Returns:
            The reference.
        """
        return DataReference(self)

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to the whole datastore, copied to the step's own folder.

        Args:
            path_on_compute: Where the step finds the copy, below its own folder; by default Stepwell chooses.

        Returns:
            The reference.
        """
        return DataReference(self, mode="download", path_on_compute=path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to the datastore's root, to be filled when the step has ended.

        Args:
            path_on_compute: Where the step writes, below its own folder; by default Stepwell chooses.

        Returns:
            The reference.
        """
        return DataReference(self, mode="upload", path_on_compute=path_on_compute)

    def set_as_default(self) -> None:
        """Make this datastore the workspace's default one."""
        self.workspace.set_default_datastore(self.name)

    def unregister(self) -> None:
        """Remove the datastore from the workspace. Its data stay."""
        documents.delete_named(DatastoreBlock, self.workspace.name, self.name)

    def __repr__(self) -> str:
        told = {name: self._facts.get(name) for name in self._kind.shown} if self._kind else {}
        own = {"datastore_type": self.datastore_type, "url": self.url, "workspace": self.workspace.name}
        return json.dumps({"name": self.name, **told, **own}, indent=2, default=str)


@cache
def _with_kind(kind: type) -> type[Datastore]:
    """Return the class of datastores of the kind."""
    return type(kind.__name__, (Datastore, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})
