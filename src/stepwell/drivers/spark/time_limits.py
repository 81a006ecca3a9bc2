"""How long notebooks that notebooks run may take: each has a limit of its own, also within one that has another."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

_SOON = 0.001


class _Limit(NamedTuple):
    end: float
    seconds: float
    path: str


class TimeLimits:
    """The limits that hold at the moment, the outermost first; the one timer of the process is set for the next end."""

    def __init__(self) -> None:
        self._limits: list[_Limit] = []
        self._handler: Any = None

    @contextmanager
    def of(self, seconds: float, path: str) -> Iterator[None]:
        """Raise TimeoutError if what is done within takes longer than so many seconds; 0: it may."""
        if not seconds:
            yield
            return
        if not self._limits:
            self._handler = signal.signal(signal.SIGALRM, self._ring)
        self._limits.append(_Limit(time.monotonic() + seconds, seconds, path))
        self._set()
        try:
            yield
        finally:
            self._limits.pop()
            self._set()
            if not self._limits:
                signal.signal(signal.SIGALRM, self._handler)

    def _set(self) -> None:
        ends = [limit.end for limit in self._limits]
        signal.setitimer(signal.ITIMER_REAL, max(_SOON, min(ends) - time.monotonic()) if ends else 0)

    def _ring(self, *_: object) -> None:
        late = next((limit for limit in self._limits if limit.end <= time.monotonic()), None)
        if late is None:  # another's timer
            self._set()
            return
        raise TimeoutError(f"The notebook {late.path} took longer than {late.seconds:g} seconds")
