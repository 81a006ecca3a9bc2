"""What a script keeps of files through its run, and may read back: single files, folders, streams."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from stepwell.errors import UserErrorException
from stepwell.script.events import confined

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import IO, Any

    from stepwell.script.log import FolderLog, ScreenLog
    from stepwell.script.metrics import Scope

    Source = str | os.PathLike[str] | IO[Any]


class FileRecorder:
    """A part of a log: what is logged for the step or the pipeline run, under the names that begin with `prefix`."""

    checked_by_heirs = True

    def __init__(self, log: FolderLog | ScreenLog, scope: Scope = "step", prefix: str = "") -> None:
        self._log = log
        self._scope = scope
        self._prefix = prefix

    def upload_file(self, name: str, path_or_stream: Source, datastore_name: str | None = None) -> None:
        """Keep a copy of a file, or the rest of a stream, with the run.

        Args:
            name: Path to keep it under, relative to the run's files; it can be used once.
            path_or_stream: Path of a local file, or an open stream of bytes or text.
            datastore_name: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: The name is taken or no path below the run's files, or there is no such file.
        """
        self._emit("file", name, self._keep(name, path_or_stream))

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[Source],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
    ) -> None:
        """Keep a copy of each file under the name at its place.

        Args:
            names: Paths to keep them under, relative to the run's files; each can be used once.
            paths: Paths of local files or open streams, as many as names.
            return_artifacts: Accepted for v1's sake; not used.
            timeout_seconds: Accepted for v1's sake; not used.
            datastore_name: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: There are more names than paths or fewer, a name is taken, or there is no such file.
        """
        if len(names) != len(paths):
            raise UserErrorException("As many names as paths are needed", {"names": len(names), "paths": len(paths)})
        for name, path in zip(names, paths, strict=True):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None) -> None:
        """Keep a copy of every file below a folder, as `<name>/<path below it>`.

        Args:
            name: Folder to keep them under, relative to the run's files.
            path: Path of a local folder.
            datastore_name: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: There is no such folder, or the name of a file is taken.
        """
        if not os.path.isdir(path):
            raise UserErrorException("There is no such folder to upload", {"name": name, "path": path})
        for folder, children, files in os.walk(path):
            children.sort()
            below = os.path.relpath(folder, path)
            for file in sorted(files):
                self.upload_file(os.path.normpath(os.path.join(name, below, file)), os.path.join(folder, file))

    def get_file_names(self) -> list[str]:
        """List the files and images kept by this run so far.

        Returns:
            Their names, sorted: paths relative to the run's files.
        """
        events = self._log.events()
        kept = {e["value"]: None for e in events if e["type"] in ("file", "image") and e["scope"] == self._scope}
        return sorted(self._own(kept))

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None, _validate_checksum: bool = False
    ) -> None:
        """Copy a kept file to a path or into a folder.

        Args:
            name: Name of a kept file, as `get_file_names` lists it.
            output_file_path: Path of the copy, or a folder for it; None for the last part of the name, in the working
                directory.

        Raises:
            UserErrorException: The run has no such file.
        """
        from shutil import copyfile

        if confined(name) not in self.get_file_names():
            raise UserErrorException(
                "The run has no such file", {"name": name, "files": ", ".join(self.get_file_names()) or "none"}
            )
        target = os.fspath(output_file_path or os.path.basename(name))
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        copyfile(self._log.place(self._scope, self._prefix + confined(name)), target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Copy the kept files whose names begin with `prefix` into a folder.

        Args:
            prefix: Beginning of the names; None for all files.
            output_directory: The folder; None for the working directory.
            output_paths: Paths of the copies below the folder, in the order of the sorted names; None for those names.
            batch_size: Accepted for v1's sake; not used.
            append_prefix: Whether copies keep the prefix in their paths; without effect if `output_paths` are given.
            timeout_seconds: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: There are more `output_paths` than files or fewer.
        """
        names = [name for name in self.get_file_names() if name.startswith(prefix or "")]
        if output_paths is not None and len(output_paths) != len(names):
            raise UserErrorException("As many paths as files are needed", {"files": names, "paths": len(output_paths)})
        cut = 0 if append_prefix else len(prefix or "")
        for name, path in zip(names, output_paths or [name[cut:].lstrip("/") for name in names], strict=True):
            self.download_file(name, os.path.join(output_directory or ".", path))

    # Writing and reading events -------------------------------------------------------------------------------------

    def _emit(self, type_: str, name: str, value: Any, *, description: str | None = "", **more: Any) -> None:
        if description:
            more["description"] = str(description)
        self._append({"type": type_, "name": self._prefix + checked_name(type_, name), "value": value, **more})

    def _append(self, event: dict[str, Any]) -> None:
        self._log.append({**event, "scope": self._scope, "time": time.time()})

    def _keep(self, name: str, source: Source, again: bool = False) -> str:
        """Keep what is left of a stream, or what is in a file, as a new file, and return its name."""
        whole = self._prefix + confined(name)
        if not isinstance(source, (str, os.PathLike)) and hasattr(source, "read"):
            return self._log.keep(self._scope, whole, source, again)
        if not isinstance(source, (str, os.PathLike)) or not os.path.isfile(source):
            raise UserErrorException("There is no such file to upload", {"name": name, "path": source})
        with open(source, "rb") as stream:
            return self._log.keep(self._scope, whole, stream, again)

    def _own(self, named: Mapping[str, Any]) -> dict[str, Any]:
        length = len(self._prefix)
        return {name[length:]: value for name, value in named.items() if name.startswith(self._prefix)}


def checked_name(what: str, name: object) -> str:
    """Return the name; raise UserErrorException if it is empty or no text."""
    if not isinstance(name, str) or not name:
        raise UserErrorException(f"The name of a {what} must be text that isn't empty", {"found": repr(name)})
    return name
