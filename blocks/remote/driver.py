"""What a kind of storage does for `RemoteObjects`, and what both know of an object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

Guarantee = Literal["create+swap", "create", "none"]
"""What of several writers at once only one can do: create an object and replace a known version of it; create it; nothing."""


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


class Driver(Protocol):
    """The operations of a storage. They raise whatever its library raises, once, and wait for bounded times."""

    most: ClassVar[Guarantee]
    """The guarantee to be probed for."""

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""
        ...

    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""
        ...

    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object, whatever stands there."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none, and return whether that is so."""
        ...

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace the version of the object that has the tag, and return its new tag; None if it is another one."""
        ...

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects; those that are not there are fine."""
        ...

    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Remove what writers that were killed left since before that time by the storage's clock, and return how many things that were."""
        ...

    def now(self) -> float:
        """Return what the storage's own clock tells."""
        ...

    def reconnect(self) -> None:
        """Open a new connection for what comes next."""
        ...
