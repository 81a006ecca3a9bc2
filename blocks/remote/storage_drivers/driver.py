"""What a kind of storage does for `RemoteObjects`, and what both know of an object; which kinds there are.

A new kind is a module beside this one, which is found by itself; `sftp_folder` is one to begin from, and `transient` tells errors
that pass. What has no driver is served by `any_filesystem`.
"""

from __future__ import annotations

import abc
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from stepwell.blocks.remote import storage_drivers

Guarantee = Literal["create+swap", "create", "none"]
"""What of several writers at once only one can do: create an object and replace a known version of it; create it; nothing."""

Versions = Literal["times", "tags", "unique tags"]
"""What a listing tells versions of a file apart by: times, which may stay the same; a tag that is another one whenever the file
holds other bytes; a tag that is never given twice."""


@dataclass(frozen=True)
class Opened:
    """What opens the fsspec file system anew, and says where on it the objects stand."""

    make: Callable[[], tuple[Any, str]]
    url: str
    server: str
    """Digest of the server and of how one signs in: file systems for which it is equal do for one another."""

    def __call__(self) -> tuple[Any, str]:
        """Open it."""
        return self.make()


class Entry(NamedTuple):
    """An object as it was seen."""

    name: str
    size: int
    tag: str
    """What identifies this version of it, '' if the storage has nothing of the kind."""

    modified: float
    """When it was written, in seconds since 1970 by the storage's clock; 0 if that is unknown."""


@dataclass
class Traffic:
    """What was asked of a storage: requests (operations, where a protocol has no requests), and the bytes of objects."""

    requests: int = 0
    sent: int = 0
    received: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, requests: int = 0, *, sent: int = 0, received: int = 0) -> None:
        """Add to what was counted."""
        with self._guard:
            self.requests += requests
            self.sent += sent
            self.received += received


class Driver(abc.ABC):
    """The operations of a storage. They raise whatever its library raises, once, and wait for bounded times.

    Each kind stands in a module of `storage_drivers`, and is found there.

    Args:
        opened: Opens the file system.
        traffic: What counts requests and bytes.
        timeout: How long an answer is waited for, in seconds.
    """

    schemes: ClassVar[Mapping[str, Versions]]
    """The schemes of the URLs that it opens, and what tells versions apart there."""

    most: ClassVar[Guarantee]
    """The guarantee to be probed for."""

    for_all_threads: ClassVar[bool]
    """Whether all threads may use one file system."""

    @abc.abstractmethod
    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None: ...

    @staticmethod
    def options(options: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Return the options of the file system, with bounded waiting unless they bound it."""
        return options

    @abc.abstractmethod
    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""

    @abc.abstractmethod
    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""

    @abc.abstractmethod
    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object, whatever stands there."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none, and return whether that is so."""

    @abc.abstractmethod
    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace the version of the object that has the tag, and return its new tag; None if it is another one."""

    @abc.abstractmethod
    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""

    @abc.abstractmethod
    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name."""

    @abc.abstractmethod
    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects; those that are not there are fine."""

    @abc.abstractmethod
    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Remove what writers that were killed left since before that time by the storage's clock, and return how many things that were."""

    @abc.abstractmethod
    def now(self) -> float:
        """Return what the storage's own clock tells."""

    @abc.abstractmethod
    def reconnect(self) -> None:
        """Open a new connection for what comes next."""


@cache
def kinds() -> tuple[type[Driver], ...]:
    """Return every kind of storage that has a driver of its own."""
    for module in pkgutil.iter_modules(storage_drivers.__path__, f"{storage_drivers.__name__}."):
        importlib.import_module(module.name)
    return tuple(Driver.__subclasses__())


def driver_of(scheme: str) -> type[Driver] | None:
    """Return the driver of the URLs of a scheme, None if none is known for it."""
    return next((kind for kind in kinds() if scheme in kind.schemes), None)


def bounded_options(url: str, options: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return the options of the file system of a URL, with bounded waiting where its driver knows how."""
    driver = driver_of(url.partition("://")[0])
    return driver.options(options, timeout) if driver else options


def versions_of(schemes: Iterable[str]) -> Versions:
    """Return what tells versions of a file apart on a storage that goes by these schemes."""
    return next((kind.schemes[scheme] for scheme in schemes for kind in kinds() if scheme in kind.schemes), "times")
