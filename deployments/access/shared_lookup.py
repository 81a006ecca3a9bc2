"""An answer that is never older than the question: many callers at once share few looks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedLookup(Generic[T]):
    """What `look` returns. Every caller gets the outcome of a look that began after the caller came; one runs at a time."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._changed = threading.Condition()
        self._busy = False
        self._begun = self._ended = 0
        self._outcome: tuple[T | None, Exception | None] = (None, None)

    def get(self) -> T:
        """The outcome; an error of the look is raised in every caller that it was for."""
        with self._changed:
            wanted = self._begun + 1
            while self._busy and self._ended < wanted:
                self._changed.wait()
            if self._ended >= wanted:
                return self._unpacked()
            self._busy = True
            self._begun += 1
        outcome = self._tried()
        with self._changed:
            self._outcome, self._busy, self._ended = outcome, False, self._begun
            self._changed.notify_all()
            return self._unpacked()

    def _tried(self) -> tuple[T | None, Exception | None]:
        try:
            return self._look(), None
        except Exception as error:  # noqa: BLE001  (raised again where it is asked for)
            return None, error

    def _unpacked(self) -> T:
        value, error = self._outcome
        if error is not None:
            raise error
        return value  # type: ignore[return-value]
