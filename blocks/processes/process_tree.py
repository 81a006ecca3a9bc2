"""A process and its descendants, the *process tree*: to be asked to end, and to be killed to the last member.

A member is known by three things, and has to lose all of them to get away: the process group, the words of the variable
`STEPWELL_MARKER`, and a tag that every child inherits even if its environment is cleared. Once the main process is
dead, members are looked for among the children of this process, its reaper, killed and reaped. Children of this process
that have none of the three are left alone. Where the kernel gives the tree a cgroup of its own, a member is in it whatever
it does to group, environment and limits, and is killed with it.

What can't be found: processes that another one starts on request (`docker run`, `systemd-run`, `at`, `ssh`), without a
cgroup processes of another user (`sudo`) and those that took off all three marks, and a daemon that lost its parent and
its environment in the first millisecond of the step, or its tag too in the first few. Where there is no /proc, only the
process group is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from stepwell.blocks.processes.cgroup import Cgroup, find_cgroups
from stepwell.blocks.processes.markers import markers_of, put_tag, tag_for, tag_of
from stepwell.blocks.processes.table import (
    Process,
    descendants,
    highest_number,
    last_number,
    line_of_ancestors,
    list_processes,
)
from stepwell.errors import UserErrorException

if TYPE_CHECKING:
    import subprocess

_LAST_WAIT_SECONDS = 5.0
_FORKS_PER_SECOND = 200_000  # more than any kernel manages; bounds how far process numbers can have come around

_mains: set[int] = set()  # the main processes of all trees that this process runs
os.register_at_fork(after_in_child=_mains.clear)


class ProcessTree:
    """A running process and its descendants."""

    def __init__(
        self, process: subprocess.Popen[bytes], marker: str, started: float, cgroup: Cgroup | None = None
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._marker = marker
        self._tag = tag_for(marker)
        self._known: set[int] = set()
        self._started = started
        self._cgroup: Cgroup | None = None
        _mains.add(self.pid)
        put_tag(self.pid, self._tag)  # at once: what it starts from now on inherits it
        if cgroup is not None and cgroup.add(self.pid):  # takes the kernel up to 20 ms
            self._cgroup = cgroup
        self._put_tags()
        self._descriptor = -1
        with contextlib.suppress(AttributeError, OSError):
            self._descriptor = os.pidfd_open(self.pid)

    @property
    def guard(self) -> str:
        """What holds the members together: a `cgroup`, or the `marks` that they bear."""
        return "cgroup" if self._cgroup else "marks"

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the main process ends; -1 where there is none."""
        return self._descriptor

    def ended(self) -> bool:
        """Return whether the main process is dead; it stays a zombie, so that its number isn't given to another."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def terminate(self) -> None:
        """Ask the group to end, even if it is suspended."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def lingers(self) -> bool:
        """Return whether others of the group outlive the dead main process."""
        table = list_processes(self._first())
        return any(entry.group == self.pid and entry.state != "Z" for pid, entry in table.items() if pid != self.pid)

    def end(self) -> int | None:
        """Kill and reap all, and return the exit code (None: unknown)."""
        self._signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError, AttributeError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # the orphans are ours from here on
        self._kill_descendants()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        _mains.discard(self.pid)
        return self._code()

    def _put_tags(self) -> None:
        """Tag the process and its descendants, which a fast program has by the time that it can be tagged."""
        done, found = set[int](), {self.pid}
        while found:
            for pid in found:
                put_tag(pid, self._tag)
                if self._cgroup and pid != self.pid:
                    self._cgroup.add(pid)
            done |= found
            table = self._later_ones()
            roots = {self.pid, *self._orphans(table)}
            found = (roots | descendants(roots, table)) - done

    def _orphans(self, table: dict[int, Process]) -> set[int]:
        """Return the members that lost their parents and have become our children."""
        reaper = os.getpid()
        return {pid for pid, entry in table.items() if entry.parent == reaper and self._owns(pid, entry)}

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _kill_descendants(self) -> None:
        """Kill and reap the members that have become our children, one generation after the other.

        Nobody else can reap a child of ours, so its number can't have become another process's in between. Children of
        the killed ones come to us and are next.
        """
        deadline = time.monotonic() + _LAST_WAIT_SECONDS
        while time.monotonic() < deadline:
            held = self._kill_cgroup()
            table = self._later_ones()
            strays = self._orphans(table)
            if not strays:
                if not held:
                    return
                time.sleep(0.001)
            for pid in strays:
                _kill(pid)
            dying = {pid for pid in strays if not _reaped(pid)}  # a zombie shows no environment
            self._known |= dying | descendants(strays, table)
            if dying:
                time.sleep(0.001)

    def _kill_cgroup(self) -> bool:
        """Kill the members of the cgroup, and return whether any live."""
        if self._cgroup is None or not self._cgroup.populated():
            return False
        self._known |= self._cgroup.members()
        self._cgroup.kill()
        return self._cgroup.populated()

    def _owns(self, pid: int, entry: Process) -> bool:
        if pid in _mains:
            return False
        return (
            entry.group == self.pid or pid in self._known or tag_of(pid) == self._tag or self._marker in markers_of(pid)
        )

    def _later_ones(self) -> dict[int, Process]:
        """Return the processes among which descendants are; none if nothing has started since the main process."""
        return {} if last_number() == self.pid else list_processes(self._first())

    def _first(self) -> int:
        """Return the lowest number of a descendant: numbers rise, and come around only after many forks."""
        newest = self.pid + _FORKS_PER_SECOND * (time.monotonic() - self._started)
        return self.pid if newest < highest_number() else 0

    def _code(self) -> int | None:
        if not hasattr(os, "waitid"):
            return self._process.wait()
        try:
            result = os.waitid(os.P_PID, self.pid, os.WEXITED)
        except ChildProcessError:
            result = None
        self._process.returncode = -1  # reaped here; Popen learns that there is nothing to wait for
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def kill_stray(marker_prefix: str) -> int:
    """Kill the processes of this user with a marker that begins so, and their descendants; return how many.

    This process and its ancestors are spared. For runs whose host is dead and, against all odds, its watchdog as well.
    """
    if not marker_prefix:
        raise UserErrorException("A marker's prefix is empty", hint="Name the run whose processes are meant.")
    killed: set[int] = set()
    deadline = time.monotonic() + _LAST_WAIT_SECONDS
    for cgroup in find_cgroups(marker_prefix):
        killed |= cgroup.members()
        cgroup.remove(_LAST_WAIT_SECONDS)
    while time.monotonic() < deadline and (found := _strays(marker_prefix)):
        for pid in found:
            _kill(pid)
        killed |= found
        time.sleep(0.005)
    return len(killed)


def _strays(marker_prefix: str) -> set[int]:
    table = list_processes()
    spared = line_of_ancestors(os.getpid(), table)
    found = {pid for pid in table.keys() - spared if any(word.startswith(marker_prefix) for word in markers_of(pid))}
    return (found | descendants(found, table)) - spared


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _reaped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return True
