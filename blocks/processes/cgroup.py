"""A cgroup of its own for a process tree, where the kernel lets us make one: no member leaves it by what it does to itself.

Only version 2 is used, below the cgroup of this process. That is possible for root, for services and scopes of systemd
with `Delegate=yes`, and so for whatever is started by `systemd-run --user --scope`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from stepwell.blocks.processes.table import read

_PREFIX = "stepwell."
_PAUSE_SECONDS = 0.005


class Cgroup:
    """A cgroup that was made for one process tree, by its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pid: int) -> bool:
        """Put a process into the cgroup, where its later children will be too; return whether it is there."""
        try:
            with open(self.folder / "cgroup.procs", "wb", buffering=0) as procs:
                procs.write(str(pid).encode())
        except OSError:  # it has ended already, perhaps
            return False
        return True

    def members(self) -> set[int]:
        """Return the processes in the cgroup and in those below it; without those of other PID namespaces, shown as 0."""
        return {int(line) for folder in self._folders() for line in read(f"{folder}/cgroup.procs").split()} - {0}

    def populated(self) -> bool:
        """Return whether a member lives."""
        return b"populated 1" in read(f"{self.folder}/cgroup.events")

    def kill(self) -> None:
        """Kill every member, at once where the kernel can."""
        try:
            with open(self.folder / "cgroup.kill", "wb", buffering=0) as switch:
                switch.write(b"1")
        except OSError:
            for pid in self.members():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def remove(self, seconds: float) -> None:
        """Kill what is left, and remove the cgroup; give up after so many seconds."""
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # nobody is left, as a rule
            return
        deadline = time.monotonic() + seconds
        while self.folder.exists():
            self.kill()
            for folder in self._folders():
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            if time.monotonic() > deadline:
                return
            if self.folder.exists():
                time.sleep(_PAUSE_SECONDS)

    def _folders(self) -> Iterator[str]:
        """Yield the folders of the cgroups below this one, and its own last."""
        for folder, _, _ in os.walk(self.folder, topdown=False):
            yield folder


def new_cgroup(marker: str) -> Cgroup | None:
    """Make a cgroup named after a marker, below that of this process; return None where that is not possible."""
    own = _own()
    if own is None or "/" in marker or "\n" in str(own):
        return None
    folder = own / f"{_PREFIX}{marker}"
    try:
        folder.mkdir()
        if not os.access(folder / "cgroup.procs", os.W_OK) or not os.access(own / "cgroup.procs", os.W_OK):
            folder.rmdir()
            return None
    except OSError:
        return None
    return Cgroup(folder)


def find_cgroups(marker_prefix: str) -> list[Cgroup]:
    """Return the cgroups that were made for markers that begin so, whichever process of this machine made them."""
    mount = _mount()
    if mount is None:
        return []
    start = f"{_PREFIX}{marker_prefix}"
    return [
        Cgroup(Path(folder, name)) for folder, names, _ in os.walk(mount) for name in names if name.startswith(start)
    ]


def _own() -> Path | None:
    mount = _mount()
    for line in read("/proc/self/cgroup").splitlines():
        if mount is not None and line.startswith(b"0::/"):
            path = os.fsdecode(line[4:])
            return None if ".." in path.split("/") else mount / path
    return None


@cache
def _mount() -> Path | None:
    """Return where the hierarchy of version 2 is mounted from its root on."""
    for line in read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(b" - ")
        if after.startswith(b"cgroup2 "):
            root, place = before.split()[3:5]
            if root == b"/":
                return Path(os.fsdecode(place))
    return None
