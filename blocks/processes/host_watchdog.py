"""The watchdog: a process that sleeps until its host is gone, and then kills the steps that the host can't end now.

It is run as a program, by its path and apart from all installed packages, so that it starts soon and nothing of the
user's is in it; that is why it stands on the standard library, and reads markers of processes by itself.

Its arguments are the host's number and the name of the variable that holds markers. On its standard input come lines
of a marker, a tag, the folder of a cgroup, if there is one, and behind a zero byte that of temporary files: the first time
when such a process tree begins, the second time when it has ended.
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
    """The marker, tag, cgroup and temporary folder of each process tree that runs, as far as the host reported."""

    def __init__(self) -> None:
        self.running: set[tuple[bytes, int, bytes, bytes]] = set()
        self._rest = b""

    def listen(self) -> bool:
        """Read what the host reports; return whether it may have more."""
        data = os.read(0, _CHUNK)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for marker, tag, *more in (line.split(maxsplit=2) for line in lines):
            cgroup, _, temporary = b"".join(more).partition(b"\0")
            self.running ^= {(marker, int(tag), cgroup, temporary)}
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
    markers, tags = {tree[0] for tree in process_trees.running}, {tree[1] for tree in process_trees.running}
    cgroups = {cgroup for _, _, cgroup, _ in process_trees.running if cgroup}
    for _ in range(_ROUNDS if markers else 0):
        found = [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_one(pid, variable, markers, tags)
        ]
        cgroups = {cgroup for cgroup in cgroups if not _remove(cgroup)}
        if not found and not cgroups:
            break
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
        time.sleep(_PAUSE_SECONDS)
    for folder in {temporary for *_, temporary in process_trees.running if temporary}:
        import shutil  # most watchdogs need none

        shutil.rmtree(folder, ignore_errors=True)


def _remove(cgroup: bytes) -> bool:
    """Kill the members of a cgroup and remove it; return whether it is gone."""
    with contextlib.suppress(OSError), open(cgroup + b"/cgroup.kill", "wb", buffering=0) as switch:
        switch.write(b"1")
    for folder, _, names in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError), open(folder + b"/cgroup.procs", "rb") as procs:
            pids = set(procs.read().split()) - {b"0"}  # so are processes of other PID namespaces shown
            for pid in pids if b"cgroup.kill" not in names else ():
                os.kill(int(pid), 9)
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not os.path.exists(cgroup)


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
