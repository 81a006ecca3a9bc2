"""Rate limits: a token bucket for each client, and one of failed authentications for each address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from stepwell.deployments.access.addresses import network_of

_MOST_KEYS = 10_000
_ROUNDING = 1e-9


class RateLimit:
    """Token buckets that hold `burst` calls each and are refilled with `per_second` calls a second.

    Of each bucket only the moment is kept at which it is full again; of many, those last used long ago are forgotten.
    """

    def __init__(
        self,
        per_second: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        most_keys: int = _MOST_KEYS,
    ) -> None:
        if per_second <= 0 or burst < 1 or most_keys < 1:
            raise ValueError("a limit lets at least something through")
        self._interval = 1 / per_second
        self._slack = (burst - 1) / per_second
        self._clock = clock
        self._most_keys = most_keys
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Count a call and return 0, or return the seconds to wait before it may go ahead; it is not counted then."""
        with self._lock:
            now = self._clock()
            seconds = self._missing(key, now)
            if not seconds:
                self._count(key, now)
            return seconds

    def peek(self, key: str) -> float:
        """Return the seconds that `wait` would return, without counting a call."""
        with self._lock:
            return self._missing(key, self._clock())

    def _missing(self, key: str, now: float) -> float:
        seconds = self._full_at.get(key, now) - now - self._slack
        return seconds if seconds > _ROUNDING else 0.0

    def _count(self, key: str, now: float) -> None:
        self._full_at[key] = max(self._full_at.get(key, now), now) + self._interval
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most_keys:
            self._full_at.popitem(last=False)


class FailedAttempts:
    """Failed authentications, counted for each client address; one of IPv6 counts with its whole /64 network."""

    def __init__(self, per_minute: int = 30, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = RateLimit(per_minute / 60, per_minute, clock)

    def wait(self, address: str) -> float:
        """Return the seconds to wait before the address may try again, 0 if it may go ahead; count nothing."""
        return self._limit.peek(network_of(address))

    def count(self, address: str) -> float:
        """Count a failure and return 0, or return the seconds to wait if there were too many before."""
        return self._limit.wait(network_of(address))
