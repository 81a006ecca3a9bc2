"""Waiting for what other processes and threads do, as long as it takes, for only what hangs may end a wait; and their end."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

PATIENCE = 300.0
"""The seconds after which whatever is waited for has hung, even on a machine with much else to do."""

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], seconds: float = PATIENCE) -> Found:
    """Return what `look` returns soon after that is true; looking takes a small part of the time, however dear a look is."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := look():
            return found
        now = time.monotonic()
        assert now < deadline, "it did not come to pass"
        time.sleep(min(1.0, max(0.02, 4 * (now - began))))


def has_ended(pid: int) -> bool:
    """Return whether the process is no more, but for what its parent has yet to take; a signal takes a while to end one."""
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_time(attempt: Callable[[float], Found], came_far_enough: Callable[[Found], object]) -> Found:
    """Attempt it within a short time limit, then within longer ones until it came far enough; return the result."""
    for seconds in (0.5, 3.0, 20.0):
        found = attempt(seconds)
        if came_far_enough(found):
            return found
    return attempt(120.0)


@contextlib.contextmanager
def ended_with_us(group: int) -> Iterator[None]:
    """Let the group of processes end with this process, should it be killed while the block runs."""
    line = f"trap '' INT; cat > /dev/null; kill -TERM -{group} 2> /dev/null"
    watcher = subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
