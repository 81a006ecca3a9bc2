"""What this process is to the process trees that it runs: the reaper of their orphans, watched over by a watchdog.

A reaper ("child subreaper") is whom orphans among its descendants come back to. Orphans of the host's own other
children come to us too while a step runs; nobody touches them, and dead they stay zombies until this process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.blocks.processes import host_watchdog
from stepwell.blocks.processes.markers import MARKER, tag_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_GET_CHILD_SUBREAPER, _SET_CHILD_SUBREAPER = 37, 36
_libc = ctypes.CDLL(None)


class _Host:
    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_reaper = False
        self._watchdog: int | None = None

    @contextlib.contextmanager
    def running(self, marker: str, cgroup: Path | None = None, temporary: Path | None = None) -> Iterator[None]:
        """Adopt orphans while the block runs; if this process is killed, so is what bears the marker or is in the cgroup.

        Then the folder of temporary files is removed, too.
        """
        with self._lock:
            if self._count == 0:
                self._was_reaper = is_reaper()
                _become_reaper(True)
            self._count += 1
            if self._watchdog is None:
                self._watchdog = _start_watchdog()
        self._notify_watchdog(marker, cgroup, temporary)
        try:
            yield
        finally:
            self._notify_watchdog(marker, cgroup, temporary)
            with self._lock:
                self._count -= 1
                if self._count == 0:
                    _become_reaper(self._was_reaper)

    def forked(self) -> None:
        """Begin anew, in a forked process: the watchdog watches the one from which it was forked."""
        if self._watchdog is not None and self._watchdog >= 0:
            os.close(self._watchdog)
        self._begin()

    def _notify_watchdog(self, marker: str, *folders: Path | None) -> None:
        line = b"%s %d %s\n" % (os.fsencode(marker), tag_for(marker), b"\0".join(os.fsencode(f or "") for f in folders))
        with contextlib.suppress(OSError):
            os.write(-1 if self._watchdog is None else self._watchdog, line)


host = _Host()
os.register_at_fork(after_in_child=host.forked)


def is_reaper() -> bool:
    """Return whether orphans come to this process."""
    value = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.byref(value))
    return bool(value.value)


def _become_reaper(yes: bool) -> None:
    _prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(yes))


def _prctl(option: int, value: object) -> None:
    if sys.platform == "linux":
        _libc.prctl(option, value, *(ctypes.c_ulong(0) for _ in range(3)))


def _start_watchdog() -> int:
    """Start the watchdog, and return the descriptor on which it listens; -1 without one."""
    if not hasattr(os, "pidfd_open") or not Path(sys.executable or "").name.startswith("python"):
        return -1
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)  # an unlucky watchdog must not hold up a run
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", host_watchdog.__file__, str(os.getpid()), MARKER],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            start_new_session=True,
        )
    except OSError:
        os.close(writer)
        return -1
    finally:
        os.close(reader)
    process.returncode = 0  # it ends after this process, so nobody waits for it
    return writer
