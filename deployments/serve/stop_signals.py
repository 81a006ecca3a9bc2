"""Requests to stop: signals counted, so that the second one can hurry."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """A request to stop: whether, and how often, somebody sent it."""

    def __init__(self) -> None:
        self.count = 0
        self.interrupts = True
        """Whether the first request ends what is being done, since nobody looks for one soon."""
        self._requested = threading.Event()

    def ask(self, *_: object) -> None:
        """Note one more request."""
        self.count += 1
        self._requested.set()
        if self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt

    def wait(self, seconds: float) -> bool:
        """Return whether somebody asked, after waiting so long for it."""
        return self._requested.wait(seconds)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Ask a `Stop` when a signal comes while the block runs; put the handlers before back."""
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
