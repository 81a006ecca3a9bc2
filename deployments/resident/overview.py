"""The resident runners of this home: which there are, and their end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from stepwell.deployments.resident import identity

_SECONDS_TO_END = 10.0


def pids() -> list[int]:
    """Return the processes of the runners of this home, as far as they can be seen from here."""
    found = []
    try:
        folder = identity.opened_folder()
    except OSError:
        return []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".lock"):
            with suppress(OSError, ValueError):
                lock = os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
                try:
                    if identity.is_held(lock):
                        found.append(int(os.pread(lock, 20, 0)))
                finally:
                    os.close(lock)
    os.close(folder)
    return found


def words() -> str:
    """Return in words how the commands of this home start."""
    against, running = identity.reason_against(), pids()
    if against:
        return f"by themselves: {against}"
    if not running:
        return "by themselves, until one has started a resident runner"
    return f"from a resident runner (process {', '.join(map(str, running))})"


def stop() -> int:
    """End the runners of this home, each after the commands that it runs; return how many there were.

    The runner of this command itself is not waited for: it waits for this command.
    """
    told: set[int] = set()
    deadline = time.monotonic() + _SECONDS_TO_END
    while True:
        running = set(pids())
        for pid in running - told:  # one that has just begun may have come to stand for another
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)
        told |= running
        if not running - {os.getppid()} or time.monotonic() > deadline:
            return len(told)
        time.sleep(0.02)
