"""Named storage on fsspec: `Datastore`, saved as a Prefect block, every path confined to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

import fsspec
from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field

from stepwell.blocks.server import documents
from stepwell.blocks.store.remote_store import RemoteStore
from stepwell.blocks.system.home import home
from stepwell.blocks.workspace.references import DataReference
from stepwell.errors import DatastoreException

PRIVATE = ".stepwell"
"""The folder of a default datastore that holds the store of results; no path of a user leads there."""


class DatastoreOwner(Protocol):
    """What a datastore has to know of its workspace."""

    @property
    def name(self) -> str:
        """The workspace's name."""
        ...

    @property
    def default_datastore_name(self) -> str:
        """The name of its default datastore."""
        ...

    @property
    def datastores(self) -> Mapping[str, Datastore]:
        """Its datastores by name."""
        ...

    def set_default_datastore(self, name: str) -> None:
        """Make the datastore `name` the default one."""
        ...


class DatastoreBlock(Block):
    """Where a datastore's data stand, and the secrets that open it."""

    _block_type_name: ClassVar[str] = "Stepwell Datastore"
    _block_type_slug: ClassVar[str] = "stepwell-datastore"
    _description: ClassVar[str] = "Storage that pipelines read from and write to, by fsspec URL."

    workspace: str = Field(description="The workspace that the datastore belongs to.")
    name: str = Field(description="The datastore's name.")
    url: str = Field(default="", description="An fsspec URL; empty: a folder in Stepwell's home on this machine.")
    options: SecretDict | None = Field(default=None, description="fsspec options, such as account keys.")


class Datastore:
    """Storage of a workspace. `Datastore(ws, name)` finds it; without a name, the workspace's default one."""

    def __init__(
        self, workspace: DatastoreOwner, name: str | None = None, *, _block: DatastoreBlock | None = None
    ) -> None:
        self.workspace = workspace
        self.name = name or workspace.default_datastore_name
        block = _block or documents.load(DatastoreBlock, documents.document_name(workspace.name, self.name))
        if block is None:
            raise DatastoreException(
                f"There is no datastore {self.name!r} in workspace {workspace.name!r}",
                {"datastores": ", ".join(workspace.datastores) or "none"},
                "Register it with `Datastore.register(ws, name, url)`.",
            )
        self._block = block

    @classmethod
    def get(cls, workspace: DatastoreOwner, datastore_name: str) -> Datastore:
        """The workspace's datastore of that name; DatastoreException if there is none."""
        return cls(workspace, datastore_name)

    @classmethod
    def get_default(cls, workspace: DatastoreOwner) -> Datastore:
        """The workspace's default datastore."""
        return cls(workspace)

    @classmethod
    def register(
        cls,
        workspace: DatastoreOwner,
        name: str,
        url: str = "",
        options: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Datastore:
        """The datastore `name`, saved as a block; `options` (account keys and the like) are kept as secrets.

        An empty `url` means a folder in Stepwell's home. A name that is taken raises DatastoreException unless `overwrite`.
        """
        if not re.fullmatch(r"\w{1,255}", name):
            raise DatastoreException(
                f"{name!r} can't name a datastore", hint="Use letters, digits and underscores only."
            )
        if urlsplit(url).password:
            raise DatastoreException(
                "A datastore's URL can't hold a password", hint="Pass it in `options`, which are secret."
            )
        document = documents.document_name(workspace.name, name)
        if not overwrite and documents.load(DatastoreBlock, document) is not None:
            raise DatastoreException(
                f"The datastore {name!r} exists already", hint="Pass `overwrite=True` to replace it."
            )
        block = DatastoreBlock(
            workspace=workspace.name, name=name, url=url, options=SecretDict(options) if options else None
        )
        datastore = cls(workspace, name, _block=block)
        datastore.filesystem  # noqa: B018  (an unusable URL must fail before anything is saved)
        documents.save(block, document)
        return datastore

    @property
    def url(self) -> str:
        """The fsspec URL of the datastore's root, without secrets."""
        return self._block.url or f"file://{self._home_folder}"

    @property
    def secrets(self) -> list[str]:
        """The texts among the options that open the datastore."""
        return list(_texts(self._block.options.get_secret_value() if self._block.options else {}))

    @property
    def datastore_type(self) -> str:
        """`local`, or the URL's scheme."""
        return "local" if self.local_root else self.url.partition("://")[0]

    @cached_property
    def local_root(self) -> Path | None:
        """The datastore's folder when it stands on a local file system, else None."""
        scheme, separator, path = self.url.partition("://")
        if separator and scheme not in ("file", "local"):
            return None
        return Path(path if separator else self.url)

    @cached_property
    def filesystem(self) -> Any:
        """The fsspec file system that holds the data; one that can't be opened raises DatastoreException."""
        options = self._block.options.get_secret_value() if self._block.options else {}
        try:
            filesystem, _ = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError, OSError, TypeError) as error:
            raise DatastoreException(
                f"The datastore {self.name!r} can't be opened",
                {"url": self.url, "reason": error},
                "Install the fsspec driver that the URL needs, or correct the URL.",
            ) from error
        if self.local_root:
            self.local_root.mkdir(parents=True, exist_ok=True)
        return filesystem

    @property
    def remote_store(self) -> RemoteStore | None:
        """The private folder through which trees reach other machines, None if the datastore is local."""
        if self.local_root:
            return None
        return RemoteStore(
            f"{self.url.rstrip('/')}/{PRIVATE}/depot",
            self._block.options.get_secret_value() if self._block.options else {},
        )

    @property
    def _home_folder(self) -> Path:
        return home() / "workspaces" / self.workspace.name / self.name

    # Paths ----------------------------------------------------------------------------------------------------------

    def inside(self, path: str | None) -> str:
        """`path` in its normal form, relative to the root; one that leads out of the datastore raises DatastoreException."""
        parts = [part for part in (path or "").replace("\\", "/").split("/") if part not in ("", ".")]
        outside = (path or "").startswith("/") or ".." in parts or "\0" in (path or "") or parts[:1] == [PRIVATE]
        if not outside and self.local_root:
            real, border = os.path.realpath(self.local_root.joinpath(*parts)), os.path.realpath(self.local_root)
            outside = real != border and not real.startswith(border + os.sep)
        if outside:
            raise DatastoreException(
                "A path leads out of its datastore",
                {"datastore": self.name, "path": repr(path)},
                "Use a path relative to the datastore's root.",
            )
        return "/".join(parts)

    def locate(self, path: str | None) -> str:
        """The path on `filesystem` of a path on the datastore."""
        root = str(self.local_root) if self.local_root else self.filesystem._strip_protocol(self.url)  # noqa: SLF001
        return "/".join(part for part in (root.rstrip("/"), self.inside(path)) if part)

    def exists(self, path: str | None) -> bool:
        """Whether a file or folder stands there."""
        return bool(self.filesystem.exists(self.locate(path)))

    def size(self, path: str) -> int | None:
        """The bytes of the file that stands there, None if there is none."""
        place = self.locate(path)
        return int(self.filesystem.size(place)) if self.filesystem.isfile(place) else None

    def files(self, prefix: str | None = None) -> Iterator[str]:
        """Every file whose path on the datastore starts with `prefix`, sorted."""
        wanted = (prefix or "").lstrip("/")
        folder = wanted.rpartition("/")[0]
        yield from sorted(path for path in self._below(self.inside(folder)) if path.startswith(wanted))

    def _below(self, folder: str) -> Iterator[str]:
        if self.local_root is None:
            root = self.locate("")
            for found in (
                self.filesystem.find(self.locate(folder)) if self.filesystem.exists(self.locate(folder)) else ()
            ):
                yield str(found).removeprefix(root).lstrip("/")
            return
        for place, folders, names in os.walk(self.local_root / folder, followlinks=True):
            relative = os.path.relpath(place, self.local_root)
            if relative == ".":
                folders[:] = [name for name in folders if name != PRIVATE]
            for name in names:
                yield os.path.normpath(os.path.join(relative, name))

    # Data in and out ------------------------------------------------------------------------------------------------

    def upload_files(
        self,
        files: Iterable[str],
        relative_root: str | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """A reference to `target_path`, which now holds the files under their paths relative to `relative_root`.

        `relative_root` defaults to the folder that all files share. A file that exists already is skipped unless
        `overwrite`.
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
        strangers = [str(path) for path in paths if not path.is_relative_to(root)]
        if strangers:
            raise DatastoreException(
                "`relative_root` is not a parent of every file",
                {"relative_root": root, "file": strangers[0]},
                "Choose a folder that holds all the files.",
            )
        return self._put(
            {path: path.relative_to(root).as_posix() for path in paths}, target_path, overwrite, show_progress
        )

    def upload(
        self, src_dir: str, target_path: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> DataReference:
        """A reference to `target_path`, which now holds the folder's files; existing ones are skipped unless `overwrite`."""
        root = Path(src_dir)
        if not root.is_dir():
            raise DatastoreException("A folder to upload does not exist", {"folder": root}, "Correct its path.")
        found = [Path(place) / name for place, _, names in os.walk(root) for name in names]
        return self._put(
            {path: path.relative_to(root).as_posix() for path in found}, target_path, overwrite, show_progress
        )

    def _put(
        self, files: dict[Path, str], target_path: str | None, overwrite: bool, show_progress: bool
    ) -> DataReference:
        target, uploaded = self.inside(target_path), 0
        for source, name in sorted(files.items()):
            place = f"{target}/{name}".lstrip("/")
            if not overwrite and self.exists(place):
                print(f"Skipped {place}: it exists already and overwrite is False")
                continue
            self.put_file(source, place)
            uploaded += 1
        if show_progress:
            print(f"Uploaded {uploaded} of {len(files)} files to {self.name}/{target}")
        return self.path(target_path or "")

    def put_file(self, source: Path, path: str) -> None:
        """Nothing; `path` on the datastore holds the file's bytes, never a part of them."""
        place = self.locate(path)
        self.filesystem.makedirs(os.path.dirname(place), exist_ok=True)
        if self.local_root is None:
            self.filesystem.put_file(str(source), place)
            return
        handle, scratch = tempfile.mkstemp(prefix=".upload-", dir=os.path.dirname(place))
        try:
            with os.fdopen(handle, "wb") as target, open(source, "rb") as stream:
                shutil.copyfileobj(stream, target, 1 << 20)
            os.chmod(scratch, 0o644 | (source.stat().st_mode & 0o111))
            os.replace(scratch, place)
        except BaseException:
            os.unlink(scratch)
            raise

    def download(
        self, target_path: str, prefix: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> int:
        """How many files were downloaded: all whose path starts with `prefix`, each under its whole path in `target_path`."""
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

    def get_file(self, path: str, target: Path) -> None:
        """Nothing; the local file `target` holds what stands at `path`."""
        self.filesystem.get_file(self.locate(path), str(target))

    # References -----------------------------------------------------------------------------------------------------

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """A reference to `path` on this datastore."""
        return DataReference(self, data_reference_name, self.inside(path))

    def as_mount(self) -> DataReference:
        """A reference to the whole datastore, read where it stands."""
        return DataReference(self)

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """A reference to the whole datastore, copied to the step's own folder."""
        return DataReference(self, mode="download", path_on_compute=path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        """A reference to the datastore's root, to be filled when the step has ended."""
        return DataReference(self, mode="upload", path_on_compute=path_on_compute)

    def set_as_default(self) -> None:
        """Nothing; the workspace's default datastore is this one."""
        self.workspace.set_default_datastore(self.name)

    def unregister(self) -> None:
        """Nothing; the workspace forgets the datastore. Its data stay."""
        documents.delete(DatastoreBlock, documents.document_name(self.workspace.name, self.name))

    def __repr__(self) -> str:
        shown = {
            "name": self.name,
            "datastore_type": self.datastore_type,
            "url": self.url,
            "workspace": self.workspace.name,
        }
        return json.dumps(shown, indent=2)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _texts(inner)
