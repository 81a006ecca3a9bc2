"""The processes of this machine, as /proc shows them: who is whose child. Where there is no /proc there are none."""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

_CHUNK = 64 * 1024


class Process(NamedTuple):
    """What is known of a process; the state of a dead one that nobody has waited for is 'Z'."""

    parent: int
    group: int
    state: str


def list_processes(first: int = 0) -> dict[int, Process]:
    """Return the processes with numbers from `first` on."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = {}
    for pid in (int(name) for name in names if name.isdigit()):
        stat = read(f"/proc/{pid}/stat") if pid >= first else b""
        if stat:  # the name in it may contain anything, even parentheses
            state, parent, group = stat[stat.rindex(b")") + 2 :].split(maxsplit=3)[:3]
            found[pid] = Process(int(parent), int(group), state.decode())
    return found


def descendants(pids: set[int], table: dict[int, Process]) -> set[int]:
    """Return the children of the processes, their children, and so on."""
    found, wave = set[int](), pids
    while wave:
        wave = {pid for pid, entry in table.items() if entry.parent in wave} - found
        found |= wave
    return found


def line_of_ancestors(pid: int, table: dict[int, Process]) -> set[int]:
    """Return the process itself, its parent, and so on."""
    line = {pid}
    while pid in table and table[pid].parent not in line:
        pid = table[pid].parent
        line.add(pid)
    return line


@functools.cache
def highest_number() -> int:
    """Return the number after which process numbers begin again; 0 if that isn't known."""
    return int(read("/proc/sys/kernel/pid_max") or 0)


def read(path: str) -> bytes:
    """Return the content of a file of /proc; b'' if there is none, or none for us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = [os.read(descriptor, _CHUNK)]
        while len(parts[-1]) == _CHUNK or (len(parts) > 1 and parts[-1]):
            parts.append(os.read(descriptor, _CHUNK))
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
