"""Objects as files of any file system that fsspec knows: FTP, memory and others, of which nothing is believed."""

from __future__ import annotations

import os
import posixpath
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, Versions


class AnyFilesystem(Driver):
    """A folder of an fsspec file system; each thread has one of its own, as a connection of FTP is good for one."""

    schemes: ClassVar[Mapping[str, Versions]] = {
        "gs": "unique tags",
        "gcs": "unique tags",
        "adl": "unique tags",
        "oss": "tags",
    }
    most: ClassVar[Guarantee] = "none"
    for_all_threads: ClassVar[bool] = False

    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None:
        self._opened = opened
        self._traffic = traffic
        self._threads = threading.local()
        self._root = self._filesystem()[1].rstrip("/")

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""
        try:
            data: bytes = self._ask().cat_file(self._path(name))
        except Exception as error:
            if not self._is_absent(error, name):
                raise
            return None
        self._traffic.count(received=len(data))
        return data

    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""
        try:
            self._ask().get_file(self._path(name), str(path))
        except Exception as error:
            if not self._is_absent(error, name):
                raise
            return False
        self._traffic.count(received=path.stat().st_size)
        return True

    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object."""
        place = self._path(name)
        self._make_folder(posixpath.dirname(place))
        if isinstance(data, bytes):
            self._ask().pipe_file(place, data)
            self._traffic.count(sent=len(data))
        else:
            self._ask().put_file(str(data), place)
            self._traffic.count(sent=data.stat().st_size)

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if none is seen: of several writers at once, each may believe that it was the first."""
        if self.stat(name) is not None:
            return False
        self.put(name, data)
        return True

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Raise NotImplementedError."""
        raise NotImplementedError

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""
        place = self._path(name)
        try:
            found = self._ask().info(place)
        except FileNotFoundError:
            return None
        return _entry(name, found) if found["type"] == "file" else None

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name."""
        yield from self._below(prefix.rpartition("/")[0], prefix)

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects."""
        for name in names:
            with suppress(FileNotFoundError):
                if self.stat(name) is not None:
                    self._ask().rm_file(self._path(name))

    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Return 0: what is written stands under its name at once."""
        return 0

    def now(self) -> float:
        """Return the time that a new file is given, this machine's where the file system tells none."""
        name = f"clock-{os.urandom(8).hex()}"
        self.put(name, b"0")
        found = self.stat(name)
        self.delete([name])
        return (found.modified if found else 0.0) or time.time()

    def reconnect(self) -> None:
        """Open a new connection for this thread."""
        self._threads.__dict__.pop("opened", None)

    # ----------------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _filesystem(self) -> tuple[Any, str]:
        known = self._threads.__dict__.get("opened")
        if known is None:
            known = self._threads.opened = self._opened()
        return known

    def _ask(self) -> Any:
        self._traffic.count(1)
        filesystem = self._filesystem()[0]
        filesystem.invalidate_cache()
        return filesystem

    def _make_folder(self, folder: str) -> None:
        for left in (2, 1, 0):
            try:
                self._ask().makedirs(folder, exist_ok=True)
                return
            except Exception:  # somebody else makes a part of it at this moment
                if not left and not self._ask().isdir(folder):
                    raise

    def _is_absent(self, error: Exception, name: str) -> bool:
        """Return whether an error says that there is no such file; FTP's says nothing."""
        return isinstance(error, FileNotFoundError) or (
            type(error).__module__ == "ftplib" and str(error).startswith("550") and self.stat(name) is None
        )

    def _below(self, folder: str, prefix: str) -> Iterator[Entry]:
        try:
            found = self._ask().ls(self._path(folder).rstrip("/"), detail=True)
        except FileNotFoundError:
            return
        children = {
            posixpath.basename(facts["name"].rstrip("/")) + ("/" if facts["type"] == "directory" else ""): facts
            for facts in found
        }
        for shown in sorted(children):
            name = f"{folder}/{shown}" if folder else shown
            if shown.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._below(name[:-1], prefix)
            elif name.startswith(prefix):
                yield _entry(name, children[shown])


def _entry(name: str, facts: dict[str, Any]) -> Entry:
    modified = _time(
        next((facts[key] for key in ("LastModified", "mtime", "modify", "modified", "created") if key in facts), 0)
    )
    tag = next((str(facts[key]) for key in ("ETag", "etag", "md5Hash", "generation") if facts.get(key)), "")
    return Entry(name, int(facts.get("size") or 0), tag, modified)


def _time(told: Any) -> float:
    if isinstance(told, str):  # FTP's own form
        with suppress(ValueError):
            return datetime.strptime(f"{told[:14]}+0000", "%Y%m%d%H%M%S%z").timestamp()
        return 0.0
    return float(told.timestamp() if isinstance(told, datetime) else told)
