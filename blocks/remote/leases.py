"""Leases on a datastore: of several machines that would do the same, one does it, for as long as it gives signs of life."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.errors import DatastoreException

SECONDS = 60.0
"""How long after its last sign of life a lease is anybody's."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0


class Holder(NamedTuple):
    """Who has a lease, and since when by the datastore's clock (0: not known)."""

    name: str
    since: float


@dataclass
class _Held:
    token: str
    since: float
    tag: str


class Leases:
    """The leases of one place. A lease that is lost costs a second execution, never a wrong result.

    Times are those of the datastore's clock; how long a machine waits between two looks is its own affair.

    Args:
        objects: Where the leases stand.
        holder: Who asks, `user@machine`, as others are told.
        seconds: How long after its last sign of life a lease is anybody's.
        pause: Waits for some seconds, and returns True if there is to be no further wait.
    """

    def __init__(
        self,
        objects: RemoteObjects,
        holder: str,
        *,
        seconds: float = SECONDS,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        self._objects = objects
        self._holder = holder
        self._seconds = seconds
        self._pause = pause or _slept
        self._held: dict[str, _Held] = {}
        self._guard = threading.Lock()
        self._telling = threading.Lock()  # held while a lease is renewed or given back: not both, or it would be back
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def acquire(self, name: str, done: Callable[[], bool], waits: Callable[[Holder], None]) -> bool:
        """Return True once the lease is ours, False once there is no need: `done`, or there is no lease to be had.

        `waits` is called once for each other holder. A datastore that fails lets everybody go on: two executions are
        better than none.
        """
        told = ""
        wait = _FIRST_PAUSE
        try:
            while True:
                if self._taken(name):
                    return True
                holder = self._holder_of(name)
                if holder is not None and holder.name != told:
                    waits(holder)
                    told = holder.name
                if holder is not None:
                    if self._pause(wait):
                        return False
                    wait = min(wait * 1.5, _LONGEST_PAUSE)
                if done():
                    return False
        except DatastoreException:
            return False

    def release(self, name: str) -> None:
        """Give the lease back, if it is still ours."""
        with self._guard:
            held = self._held.pop(name, None)
            if not self._held:
                self._ended.set()
        if held is not None:
            with self._telling, suppress(DatastoreException):
                if _token(self._objects.get(name)) == held.token:
                    self._objects.delete([name])

    def renew(self) -> None:
        """Give a sign of life for every lease that is ours, and forget those that are so no more."""
        with self._guard:
            held = dict(self._held)
        for name, lease in held.items():
            with self._telling:
                if self._held.get(name) is not lease:
                    continue  # it was given back
                try:
                    kept = self._renewed(name, lease)
                except DatastoreException:
                    continue  # the next time, or it is somebody else's
            if not kept:
                with self._guard:
                    self._held.pop(name, None)
                    if not self._held:
                        self._ended.set()

    # ----------------------------------------------------------------------------------------------------------------

    def _taken(self, name: str) -> bool:
        """Try to get the lease: one that nobody has, or whose holder gave no sign of life for too long."""
        lease = _Held(secrets.token_hex(8), 0.0, "")
        if not self._objects.create(name, self._document(lease)):
            found = self._objects.stat(name)
            if found is None or self._objects.now() - found.modified < self._seconds:
                return False
            if self._objects.guarantee == "create+swap":
                if self._objects.swap(name, found.tag, self._document(lease)) is None:
                    return False
            else:
                self._objects.delete([name])
                if not self._objects.create(name, self._document(lease)):
                    return False
        made = self._objects.stat(name)
        lease.since, lease.tag = (made.modified, made.tag) if made else (0.0, "")
        with self._guard:
            self._held[name] = lease
            self._keep_renewing()
        return True

    def _holder_of(self, name: str) -> Holder | None:
        """Return who has the lease, None if it is free by now."""
        data = self._objects.get(name)
        if data is None:
            return None
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            found = json.loads(data)
            since = float(found.get("since") or 0)
            if not since and (first := self._objects.stat(name)):  # not renewed yet
                since = first.modified
            return Holder(str(found["holder"]), since)
        return Holder("another machine", 0.0)

    def _renewed(self, name: str, lease: _Held) -> bool:
        data = self._document(lease)
        if self._objects.guarantee == "create+swap":
            tag = self._objects.swap(name, lease.tag, data)
            lease.tag = tag or ""
            return tag is not None
        if _token(self._objects.get(name)) != lease.token:
            return False
        self._objects.put(name, data)
        return True

    def _document(self, lease: _Held) -> bytes:
        return json.dumps({"holder": self._holder, "since": lease.since, "token": lease.token}).encode()

    def _keep_renewing(self) -> None:
        if self._renewing is None or self._ended.is_set():
            self._ended = threading.Event()
            self._renewing = threading.Thread(target=self._renew_until, args=(self._ended,), daemon=True)
            self._renewing.start()

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds / 3):
            self.renew()


def _token(data: bytes | None) -> str:
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return str(json.loads(data or b"")["token"])
    return ""


def _slept(seconds: float) -> bool:
    time.sleep(seconds)
    return False
