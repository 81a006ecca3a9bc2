"""Data of a datastore that stands elsewhere, by content: what is known of a version of a file is not fetched again.

A version is what a listing tells: an ETag or a generation with size and time; for file servers only size and time, of which a
datastore has to be registered as trustworthy. A version is believed to stay only once its time is past by the store's
own clock. Files that are fetched, to be hashed or for a step, are kept on this machine by content.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.blocks.datastores.remote_files import Facts
from stepwell.blocks.remote.storage_drivers.driver import versions_of
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import copy_file
from stepwell.blocks.system.home import make_folder
from stepwell.errors import DatastoreException, StepwellError
from stepwell.model.digests import file_digest

TAGS = ("ETag", "etag", "generation", "md5Hash", "VersionId")
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "modify", "updated", "created")
MOST_KEPT = 50 << 30
"""Bytes of fetched files that are kept beyond those of the last hour."""

_HOUR = 3600
_SECONDS_PAST, _SECONDS_PAST_ON_SERVERS = 2.0, 60.0
_MOST_OF_OBJECTS, _MOST_OF_FILES = 16, 4
_DOUBTED = "?"
"""In place of a version: what others tell of the file was wrong once, so that it is read here."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class InputChangedException(DatastoreException):
    """A file is another one than it was when its digest was taken."""


class Version(NamedTuple):
    """What tells a file from any other that will stand there; '' if nothing does for sure."""

    tag: str
    must_be_past: float = 0.0
    """The time, in seconds since 1970, that has to be past by the store's clock before the tag is believed; 0: none."""


def time_of(facts: Facts) -> float:
    """Return when the file was written, in seconds since 1970; 0 if that is not told."""
    told = next((facts[name] for name in _TIMES if facts.get(name)), 0)
    if isinstance(told, str):  # of FTP
        with suppress(ValueError):
            return datetime.strptime(told.partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
        return 0.0
    if isinstance(told, datetime):
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return float(told) if isinstance(told, (int, float)) else 0.0


class RemoteData:
    """What the files of a datastore that stands elsewhere hold, and copies of them on this machine."""

    def __init__(self, store: Store, datastore: DatastoreFiles) -> None:
        self._store, self._datastore = store, datastore
        protocol = datastore.filesystem.protocol
        self.protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        versions = versions_of(self.protocols)
        self.is_object_store = versions != "times"
        self.gives_no_tag_twice = versions == "unique tags"
        self._kept = store.written / "inputs"
        self._name = f"{datastore.url}|{store.keyed('datastore', datastore.identity)[:16]}|"

    def version(self, facts: Facts) -> Version:
        """Return the version of a file of a listing."""
        size, time = facts.get("size"), time_of(facts)
        if self.is_object_store:
            told = [f"{name}={facts[name]}" for name in TAGS if facts.get(name)]
            if not told:
                return Version("")
            if self.gives_no_tag_twice:
                return Version(f"{' '.join(told)} {size}")
            return Version(f"{' '.join(told)} {size} {time}", time + _SECONDS_PAST)
        if self._datastore.trusts_times and time and size is not None:
            return Version(f"{time} {size}", time + _SECONDS_PAST_ON_SERVERS)
        return Version("")

    def digests(
        self, listed: Mapping[str, Facts], again: Callable[[], Mapping[str, Facts]], *, keep: bool = True
    ) -> dict[str, str]:
        """Return the SHA-256 of each file; those whose versions are not known are fetched.

        Args:
            listed: What a listing told just now, by paths on the datastore.
            again: Lists them once more: what changed while it was read is not remembered.
            keep: Whether what is fetched is kept.
        """
        versions = {path: self.version(facts) for path, facts in listed.items()}
        start = os.path.commonprefix(list(listed))  # noqa: RUF071  (of names, not of folders)
        known = self._store.digests.recall_below(self._name + start)
        found: dict[str, str] = {}
        for path, version in versions.items():
            tag, digest = known.get(self._name + path, ("", ""))
            if version.tag and tag == version.tag:
                found[path] = digest
        unknown = [path for path in listed if path not in found]
        if unknown:
            doubted = {path for path in unknown if known.get(self._name + path, ("", ""))[0] == _DOUBTED}
            asked = {path: versions[path].tag for path in unknown if versions[path].tag and path not in doubted}
            told = self._store.versions.recall(self._name + self._place_of(listed), asked)
            self._store.digests.remember_all({self._name + path: (asked[path], text) for path, text in told.items()})
            found.update(told)
            unknown = [path for path in unknown if path not in told]
        found.update(zip(unknown, self._many(partial(self._take, keep=keep), unknown), strict=True))
        self.remember({path: (versions[path], found[path]) for path in unknown}, again, listed)
        if unknown and keep:
            self._trim()
        return {path: found[path] for path in listed}

    def remember(
        self,
        found: Mapping[str, tuple[Version, str]],
        again: Callable[[], Mapping[str, Facts]] | None = None,
        among: Collection[str] = (),
    ) -> None:
        """Save the SHA-256 of versions, of those that are still there as `again` lists them, and of which no other can come.

        `among`: the paths that were listed, by which other machines look for them.
        """
        found = {path: one for path, one in found.items() if one[0].tag}
        now = again() if found and again else None
        kept = {
            path: (version, digest)
            for path, (version, digest) in found.items()
            if now is None or (path in now and self.version(now[path]) == version)
        }
        if any(version.must_be_past for version, _ in kept.values()):
            clock = self._clock()
            kept = {path: one for path, one in kept.items() if one[0].must_be_past <= clock}
        self._store.digests.remember_all(
            {self._name + path: (version.tag, text) for path, (version, text) in kept.items()}
        )
        told = {path: (version.tag, text) for path, (version, text) in kept.items()}
        self._store.versions.remember(self._name + self._place_of(among or kept), told)

    def known(self, path: str, facts: Facts) -> str | None:
        """Return the SHA-256 of a file as it was listed, None if its version is not known."""
        tag = self.version(facts).tag
        return self._store.digests.recall(self._name + path, tag) if tag else None

    def bring(self, files: Mapping[str, tuple[str, Path]]) -> None:
        """Copy files to places of this machine: path, SHA-256 and place of each. What is kept here is not fetched.

        Raises:
            InputChangedException: A file has other bytes by now.
        """

        def copy(path: str) -> None:
            digest, place = files[path]
            make_folder(place.parent)
            if self._copied(digest, place) or (self._take(path) == digest and self._copied(digest, place)):
                return
            self._store.digests.remember(self._name + path, _DOUBTED, digest)  # as somebody told it, perhaps
            raise InputChangedException(
                "A file changed after its digest was taken",
                {"datastore": self._datastore.name, "path": path},
                "Run the pipeline again once the data is at rest.",
            )

        list(self._many(copy, list(files)))

    # ----------------------------------------------------------------------------------------------------------------

    @staticmethod
    def _place_of(paths: Collection[str]) -> str:
        """Return the folder that all of the paths are in."""
        return os.path.commonprefix(list(paths)).rpartition("/")[0]  # noqa: RUF071  (of names, not of folders)

    def _many(self, action: Callable[[_In], _Out], items: list[_In]) -> Iterable[_Out]:
        if len(items) < 2:
            return [action(item) for item in items]
        return _pool(_MOST_OF_OBJECTS if self.is_object_store else _MOST_OF_FILES).map(action, items)

    def _take(self, path: str, *, keep: bool = True) -> str:
        """Fetch a file, keep it by content, and return its SHA-256."""
        draft = self._kept / "drafts" / os.urandom(8).hex()
        try:
            make_folder(draft.parent)
            self._datastore.get_file(path, draft)
            with open(draft, "rb") as stream:
                digest = file_digest(stream)
            if keep:
                place = self._place(digest)
                make_folder(place.parent)
                draft.chmod(0o444)
                os.replace(draft, place)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            with self._datastore.remote.open(self._datastore.locate(path)) as stream:
                return file_digest(stream)
        finally:
            draft.unlink(missing_ok=True)
        return digest

    def _copied(self, digest: str, place: Path) -> bool:
        """Copy the kept file of a digest, and return whether there is one; a damaged one goes."""
        kept = self._place(digest)
        try:
            if self._store.digests.digest_file(os.path.realpath(kept), kept.stat()) == digest:
                copy_file(kept, place)
                os.utime(kept)
                return True
            kept.unlink()
        except FileNotFoundError:
            pass
        return False

    def _trim(self) -> None:
        """Remove the files that were not used for longest, if there is too much; never those of the last hour."""
        kept: list[tuple[float, int, Path]] = []
        for path in self._kept.glob("??/*"):
            with suppress(OSError):
                status = path.stat()
                kept.append((status.st_mtime, status.st_size, path))
        too_much = sum(size for _, size, _ in kept) - MOST_KEPT
        for used, size, path in sorted(kept):
            if too_much <= 0 or used > time.time() - _HOUR:
                return
            path.unlink(missing_ok=True)
            too_much -= size

    def _place(self, digest: str) -> Path:
        return self._kept / digest[:2] / digest

    def _clock(self) -> float:
        """Return what the store's own clock tells, 0 if it can't be asked."""
        try:
            return self._datastore.objects("clock", pauses=()).now()
        except (StepwellError, OSError):
            return 0.0


_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_guard = threading.Lock()


def _pool(workers: int) -> ThreadPoolExecutor:
    """Return this process's threads that fetch; each keeps its connections."""
    with _guard:
        key = (os.getpid(), workers)
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="stepwell-fetch")
        return _pools[key]


def _forked() -> None:
    global _guard  # noqa: PLW0603  (one that another thread held at the fork would never be freed)
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_forked)
