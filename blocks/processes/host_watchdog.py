"""The watchdog: a process that sleeps until its host is gone, and then kills the steps that the host can't end now.

It is run as a program, by its path and apart from all installed packages, so that it starts soon and nothing of the
user's is in it; that is why it stands on the standard library, and reads markers of processes by itself.

Its arguments are the host's number and the name of the variable that holds markers. On its standard input come lines
of a marker and a tag: the first time when such a process tree begins, the second time when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import sys
import time

_CHUNK = 64 * 1024
_ROUNDS, _PAUSE_SECONDS = 500, 0.01


class _ProcessTrees:
    """The marker and tag of each process tree that runs, as far as the host reported."""

    def __init__(self) -> None:
        self.running: set[tuple[bytes, int]] = set()
        self._rest = b""

    def listen(self) -> bool:
        """Read what the host reports; return whether it may have more."""
        data = os.read(0, _CHUNK)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for marker, tag in (line.split() for line in lines):
            self.running ^= {(marker, int(tag))}
        return bool(data)


def watch(host: int, variable: str) -> None:
    """Wait until the host is gone, and then kill all its process trees."""
    process_trees = _ProcessTrees()
    os.set_blocking(0, False)
    with contextlib.suppress(OSError):
        _sleep(host, process_trees)
    with contextlib.suppress(OSError):
        while process_trees.listen():
            pass
    markers, tags = {marker for marker, _ in process_trees.running}, {tag for _, tag in process_trees.running}
    for _ in range(_ROUNDS if markers else 0):
        found = [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_one(pid, variable, markers, tags)
        ]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
        time.sleep(_PAUSE_SECONDS)


def _sleep(host: int, process_trees: _ProcessTrees) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(os.pidfd_open(host), select.POLLIN)
    while os.getppid() == host:
        if 0 in dict(poll.poll()) and not process_trees.listen():
            poll.unregister(0)


def _is_one(pid: int, variable: str, markers: set[bytes], tags: set[int]) -> bool:
    name = f"{variable}=".encode()
    try:
        if resource.prlimit(pid, resource.RLIMIT_RTTIME)[0] in tags:
            return True
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return False
    return any(entry.startswith(name) and markers & set(entry[len(name) :].split()) for entry in entries)


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
