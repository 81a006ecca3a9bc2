"""Single flight among machines: of those that would run the same long step, one does, and the others use its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stepwell.blocks.remote.leases import Holder, Leases
from stepwell.blocks.store.sharing import WAITER
from stepwell.blocks.system.locks import KeyLocks

_SLICE = 0.2
WORTH_SECONDS = 10.0
"""How long a step must have taken the last time for others to wait for it: two short executions are cheaper than the talk."""


class SingleFlight:
    """Who of several machines runs what.

    Args:
        leases: The leases on the datastore, by key.
        is_known: Tells whether the result of a key is shared by now.
        seconds: How long the steps of these keys took before, as far as is known.
        is_away: Tells whether the datastore did not answer a moment ago.
    """

    def __init__(
        self,
        leases: Leases,
        is_known: Callable[[str], bool],
        seconds: Mapping[str, float],
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._leases = leases
        self._is_known = is_known
        self._seconds = seconds
        self._is_away = is_away

    def __deepcopy__(self, _: dict[int, Any]) -> SingleFlight:
        return self

    def enter(self, key: str) -> None:
        """Return once no other machine runs the step, or its result is there; at once if that can't be asked now."""
        if not self._is_away() and self._seconds.get(key, WORTH_SECONDS) >= WORTH_SECONDS:
            self._leases.acquire(f"leases/{key}", lambda: self._is_known(key), self._waits)

    def leave(self, key: str) -> None:
        """Let other machines go on."""
        self._leases.release(f"leases/{key}")

    def _waits(self, holder: Holder) -> None:
        since = f" since {datetime.fromtimestamp(holder.since, UTC):%H:%M} UTC" if holder.since else ""
        waiter = WAITER.get()
        if waiter is not None:
            waiter.tell(f"It runs on {holder.name}{since}, and its result is waited for")


@dataclass(frozen=True, slots=True)
class LeasedLocks(KeyLocks):
    """Locks among the processes of this machine; who has one then asks the other machines. Keys may have a prefix `….`."""

    flights: SingleFlight

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Return whether the holder has the lock, perhaps since before, once no other machine is at it."""
        had = self.is_lock_holder(key, holder)
        taken = KeyLocks.acquire_lock(self, key, holder, acquire_timeout, hold_timeout)
        if taken and not had:
            self.flights.enter(_bare(key))
        return taken

    def release_lock(self, key: str, holder: str) -> None:
        """Free the lock, first for other machines; raise ValueError if the holder doesn't have it."""
        if self.is_lock_holder(key, holder):
            with suppress(Exception):  # what a datastore does must not keep the lock here
                self.flights.leave(_bare(key))
        KeyLocks.release_lock(self, key, holder)


def pause(seconds: float) -> bool:
    """Wait; return True at once when the step that waits is to stop."""
    waiter, until = WAITER.get(), time.monotonic() + seconds
    while not (stopped := waiter is not None and waiter.stopped) and time.monotonic() < until:
        time.sleep(min(_SLICE, seconds))
    return stopped


def _bare(key: str) -> str:
    return key.rpartition(".")[2]
