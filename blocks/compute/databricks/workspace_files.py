"""Files in a Databricks workspace, in DBFS or a volume: sent there, fetched from there, removed again."""

from __future__ import annotations

import base64
import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from stepwell.blocks.compute.databricks.connection import is_gone
from stepwell.errors import StepFailedException

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_BLOCK = 1 << 20
"""The most bytes that one call of DBFS takes or gives."""

_TRIES = 3
VOLUMES, DBFS = "/Volumes/", "dbfs:/"


class RemoteFile(NamedTuple):
    """A file or folder there."""

    path: str
    size: int
    is_folder: bool


class WorkspaceFiles:
    """The files of a workspace by their paths, `dbfs:/…` or `/Volumes/…`; nothing is cut, and nothing comes twice."""

    def __init__(self, client: WorkspaceClient) -> None:
        self._dbfs, self._volumes = _Dbfs(client), _Volumes(client)

    def _of(self, path: str) -> _Dbfs | _Volumes:
        return self._volumes if path.startswith(VOLUMES) else self._dbfs

    def write(self, data: bytes, path: str) -> None:
        """Write a small file."""
        import io

        self._of(path).make_folder(posixpath.dirname(path))
        self._of(path).upload(io.BytesIO(data), path)

    def upload(self, source: Path, path: str) -> None:
        """Send a file, or a folder with all in it, to `path`."""
        place = self._of(path)
        if not os.path.isdir(source):
            place.make_folder(posixpath.dirname(path))
            self._upload_file(place, source, path)
            return
        place.make_folder(path)
        made = {path}
        for name in sorted(files_in(source)):
            target = f"{path}/{name}"
            if (folder := posixpath.dirname(target)) not in made:
                place.make_folder(folder)
                made.add(folder)
            self._upload_file(place, source / name, target)

    @staticmethod
    def _upload_file(place: _Dbfs | _Volumes, source: Path, path: str) -> None:
        """Send a file; a block that the network let arrive twice shows in the size there."""
        for _ in range(_TRIES):
            with open(source, "rb") as stream:
                place.upload(stream, path)
                size = stream.tell()
            if place.size(path) == size:
                return
        raise StepFailedException(
            "A file did not arrive whole in the Databricks workspace",
            {"file": source, "path there": path, "bytes": size, "bytes there": place.size(path)},
            "Run the pipeline again.",
        )

    def download(self, path: str, target: Path) -> bool:
        """Fetch the file or folder at `path` to `target`, which is not there yet; return False if there is none."""
        place = self._of(path)
        found = place.look(path)
        if found is None:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if not found.is_folder:
            self._download_file(place, found, target)
            return True
        target.mkdir()
        for file in place.below(path):
            name = posixpath.relpath(file.path, path)
            if name.startswith("../"):
                continue
            local = target / name
            if file.is_folder:
                local.mkdir(parents=True, exist_ok=True)
            else:
                local.parent.mkdir(parents=True, exist_ok=True)
                self._download_file(place, file, local)
        return True

    @staticmethod
    def _download_file(place: _Dbfs | _Volumes, file: RemoteFile, target: Path) -> None:
        for _ in range(_TRIES):
            with open(target, "wb") as stream:
                place.download(file, stream)
                size = stream.tell()
            if size == file.size:
                return
        raise StepFailedException(
            "A file did not arrive whole from the Databricks workspace",
            {"path there": file.path, "bytes there": file.size, "bytes": size},
            "Run the pipeline again.",
        )

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, as far as they are not there."""
        self._of(path).make_folder(path)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a small file, None if there is none."""
        import io

        file = self._of(path).look(path)
        if file is None or file.is_folder:
            return None
        stream = io.BytesIO()
        self._of(path).download(file, stream)
        return stream.getvalue()

    def look(self, path: str) -> RemoteFile | None:
        """Return what is at `path`, None if nothing is."""
        return self._of(path).look(path)

    def state(self, path: str) -> str:
        """Return the size of a file and when it was written, '' if there is none."""
        return self._of(path).state(path) if self._of(path).look(path) else ""

    def remove(self, folder: str) -> None:
        """Remove a folder with all in it, if it is there."""
        self._of(folder).remove(folder)


def files_in(folder: Path) -> Iterator[str]:
    """Yield the paths of the files below a folder; links in it lead to others of its files."""
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        folders[:] = [name for name in folders if not f"{real}/".startswith(f"{os.path.realpath(f'{top}/{name}')}/")]
        yield from (os.path.relpath(f"{top}/{name}", folder) for name in files)


class _Dbfs:
    """The file system of the workspace."""

    def __init__(self, client: WorkspaceClient) -> None:
        from databricks.sdk.service.files import DbfsAPI

        self._api = DbfsAPI(client.api_client)  # type: ignore[no-untyped-call]

    def make_folder(self, path: str) -> None:
        """Make the folder and those above it, as far as they are not there."""
        self._api.mkdirs(path)

    def upload(self, stream: IO[bytes], path: str) -> None:
        """Write the file anew."""
        handle = self._api.create(path, overwrite=True).handle
        while block := stream.read(_BLOCK):
            self._api.add_block(handle, base64.b64encode(block).decode())  # type: ignore[arg-type]
        self._api.close(handle)  # type: ignore[arg-type]

    def size(self, path: str) -> int:
        """Return the size of a file."""
        return self._api.get_status(path).file_size or 0

    def state(self, path: str) -> str:
        """Return the size of a file and when it was written."""
        info = self._api.get_status(path)
        return f"{info.file_size} {info.modification_time}"

    def look(self, path: str) -> RemoteFile | None:
        """Return what is at `path`, None if nothing is."""
        try:
            return self._file(self._api.get_status(path))
        except Exception as error:
            if is_gone(error):
                return None
            raise

    @staticmethod
    def _file(info: Any) -> RemoteFile:
        return RemoteFile(f"dbfs:{info.path}", info.file_size or 0, bool(info.is_dir))

    def below(self, path: str) -> Iterator[RemoteFile]:
        """Yield all that is below a folder, folders before what is in them."""
        waiting = [path]
        while waiting:
            for file in map(self._file, self._api.list(waiting.pop())):
                yield file
                waiting += [file.path] if file.is_folder else []

    def download(self, file: RemoteFile, stream: IO[bytes]) -> None:
        """Write the file's bytes to the stream."""
        offset = 0
        while offset < file.size:
            part = self._api.read(file.path, length=_BLOCK, offset=offset)
            if not part.bytes_read:
                return
            stream.write(base64.b64decode(part.data or ""))
            offset += part.bytes_read

    def remove(self, folder: str) -> None:
        """Remove a folder with all in it."""
        self._api.delete(folder, recursive=True)


class _Volumes:
    """Volumes of Unity Catalog."""

    def __init__(self, client: WorkspaceClient) -> None:
        self._api = client.files

    def make_folder(self, path: str) -> None:
        """Make the folder and those above it, as far as they are not there."""
        self._api.create_directory(path)

    def upload(self, stream: IO[bytes], path: str) -> None:
        """Write the file anew."""
        self._api.upload(path, stream, overwrite=True)  # type: ignore[arg-type]

    def size(self, path: str) -> int:
        """Return the size of a file."""
        return self._api.get_metadata(path).content_length or 0

    def state(self, path: str) -> str:
        """Return the size of a file and when it was written."""
        info = self._api.get_metadata(path)
        return f"{info.content_length} {info.last_modified}"

    def look(self, path: str) -> RemoteFile | None:
        """Return what is at `path`, None if nothing is."""
        for is_folder, ask in ((False, self._api.get_metadata), (True, self._api.get_directory_metadata)):
            try:
                found = ask(path)
            except Exception as error:
                if not is_gone(error):
                    raise
            else:
                return RemoteFile(path, 0 if is_folder else found.content_length or 0, is_folder)  # type: ignore[union-attr]
        return None

    def below(self, path: str) -> Iterator[RemoteFile]:
        """Yield all that is below a folder, folders before what is in them."""
        waiting = [path]
        while waiting:
            for entry in self._api.list_directory_contents(waiting.pop()):
                file = RemoteFile(str(entry.path).rstrip("/"), entry.file_size or 0, bool(entry.is_directory))
                yield file
                waiting += [file.path] if file.is_folder else []

    def download(self, file: RemoteFile, stream: IO[bytes]) -> None:
        """Write the file's bytes to the stream."""
        contents = self._api.download(file.path).contents
        assert contents is not None
        with contents:
            while part := contents.read(_BLOCK):
                stream.write(part)

    def remove(self, folder: str) -> None:
        """Remove a folder with all in it, which has to be empty before it goes."""
        entries = list(self.below(folder)) if self.look(folder) else []
        for entry in entries:
            if not entry.is_folder:
                self._api.delete(entry.path)
        for path in [*reversed([entry.path for entry in entries if entry.is_folder]), folder]:
            with suppress(OSError):  # the SDK's errors are some: another one was first
                self._api.delete_directory(path)
