"""Lookups shared by threads ("single flight"): a result is never older than the question, and few are needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedLookup(Generic[T]):
    """What `look_up` returns. A thread gets the outcome of a lookup that began after it asked; one runs at a time."""

    def __init__(self, look_up: Callable[[], T]) -> None:
        self._look_up = look_up
        self._changed = threading.Condition()
        self._busy = False
        self._begun = self._ended = 0
        self._outcome: tuple[T | None, Exception | None] = (None, None)
        self._last: tuple[T | None, float] = (None, 0.0)

    def get(self) -> T:
        """Return the outcome; raise an error of the lookup in every thread that waited for it."""
        with self._changed:
            wanted = self._begun + 1
            while self._busy and self._ended < wanted:
                self._changed.wait()
            if self._ended >= wanted:
                return self._result()
            self._busy = True
            self._begun += 1
        outcome = self._attempt()
        with self._changed:
            self._outcome, self._busy, self._ended = outcome, False, self._begun
            self._last = (outcome[0], time.monotonic()) if outcome[1] is None else self._last
            self._changed.notify_all()
            return self._result()

    def recent(self, seconds: float) -> T | None:
        """Return what was looked up last, without a lookup; None if that is longer ago."""
        with self._changed:
            value, at = self._last
        return value if time.monotonic() - at < seconds else None

    def _attempt(self) -> tuple[T | None, Exception | None]:
        try:
            return self._look_up(), None
        except Exception as error:  # noqa: BLE001  (raised again in the threads that asked)
            return None, error

    def _result(self) -> T:
        value, error = self._outcome
        if error is not None:
            raise error
        return value  # type: ignore[return-value]
