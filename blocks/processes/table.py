"""The processes of this machine, as /proc shows them: who is whose child. Where there is no /proc there are none.

Numbers of processes mean something within one PID namespace only, and there until they are given anew.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
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


def started(pid: int) -> str | None:
    """Return when the process started, in words that no other process of this machine shares; None if it has ended."""
    if not sys.platform.startswith("linux"):
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    fields = read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")[2].split()
    # A zombie without further threads has ended; only its parent has not looked yet.
    if not fields or (fields[0] in "ZX" and int(fields[17]) <= 1):
        return None
    return f"{_boot()}:{fields[19]}"


def namespace() -> str:
    """Return what names the PID namespace of this process; '' where there are none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@functools.cache
def _boot() -> str:
    return read("/proc/sys/kernel/random/boot_id").decode().strip()


@functools.cache
def highest_number() -> int:
    """Return the number after which process numbers begin again; 0 if that isn't known."""
    return int(read("/proc/sys/kernel/pid_max") or 0)


def last_number() -> int:
    """Return the number that a process or thread was given last; 0 if that isn't known."""
    words = read("/proc/loadavg").split()
    return int(words[-1]) if words and words[-1].isdigit() else 0


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
