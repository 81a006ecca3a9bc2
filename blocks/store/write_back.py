"""Write-back: whether the times of a file tell of every change to its bytes from now on.

The kernel stamps a file when a page of a shared memory map is written for the first time since the page was last written
back; further writes through the map leave the times alone until then. So times tell of every change if the file system
keeps them so, if the file was left alone for longer than write-back takes, and if nobody has it open for writing.

If the kernel itself says that nobody has, open or mapped, whoever writes next has to open the file anew: `write` stamps it,
and so does the first write to each page of a new map, though the page still waits for write-back. Then it is enough that the
file was left alone for longer than the steps in which times are kept.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

_LEAST_NS = 30_000_000_000
_MARGIN_NS = 5_000_000_000
_STEP_NS = 2_000_000_000
"""The longest step of times on `_DISKS`, a second where inodes are small, and a margin."""

_SCAN_SECONDS = 10.0
"""How old a look at everybody's maps may be: far less than `interval_ns`, so a map made since has left its mark."""

_OVERLAY = 0x794C7630
_DISKS = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0xCA451A4E,  # bcachefs
        _OVERLAY,  # of containers; it hands on the times of the disk below
    }
)
"""File systems that stamp a file at the first write through a map. tmpfs, NFS, FUSE, 9p, ZFS and FAT do not, or not at once."""

_WRITE_OUT_AND_WAIT = 7


def times_tell(descriptor: int, path: str, status: os.stat_result, now: int) -> bool:
    """Return whether any change from `now` on, in nanoseconds, will change the times of the open file."""
    age, disk = now - max(status.st_mtime_ns, status.st_ctime_ns), _file_system(descriptor)
    if age < _STEP_NS or disk not in _DISKS:
        return False
    if disk != _OVERLAY and (free := _lease(descriptor)) is not None:  # an overlay knows nothing of maps
        return free
    return age >= interval_ns() and not _maps.hold(path, status) and _written_out(descriptor)


def may_be_written(path: str) -> bool:
    """Return whether somebody has the file open, or mapped, for writing, as far as that can be seen."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _open_for_writing(descriptor, path, os.fstat(descriptor))
    finally:
        os.close(descriptor)


@cache
def interval_ns() -> int:
    """Return for how long written pages wait for write-back at most; without end if that isn't known."""
    try:
        names = ("dirty_expire_centisecs", "dirty_writeback_centisecs")
        expire, wake = (int(Path("/proc/sys/vm", name).read_text()) for name in names)
    except (OSError, ValueError):
        return sys.maxsize
    return max(10_000_000 * (expire + wake), _LEAST_NS) + _MARGIN_NS if wake else sys.maxsize


def _file_system(descriptor: int) -> int:
    """Return the kernel's number of the file system, 0 if it can't be told."""
    buffer = ctypes.create_string_buffer(512)  # struct statfs, whose first word is f_type
    try:
        failed = _libc().fstatfs(descriptor, buffer)
    except AttributeError:
        return 0
    return 0 if failed or not sys.platform.startswith("linux") else ctypes.c_ulong.from_buffer(buffer).value


def _written_out(descriptor: int) -> bool:
    """Write out the pages that wait although their time has come (the disk is slow); return whether none is left."""
    with suppress(AttributeError):
        nothing = ctypes.c_int64(0)
        return bool(_libc().sync_file_range(descriptor, nothing, nothing, ctypes.c_uint(_WRITE_OUT_AND_WAIT)) == 0)
    return False


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


# Who writes -------------------------------------------------------------------------------------------------------------


def _open_for_writing(descriptor: int, path: str, status: os.stat_result) -> bool:
    free = _lease(descriptor)
    if free is None or (free and _file_system(descriptor) == _OVERLAY):  # an overlay knows nothing of maps
        return _maps.hold(path, status)
    return not free


def _lease(descriptor: int) -> bool | None:
    """Return whether the kernel grants a read lease: it does if no process at all has the file open for writing.

    None: the file is not ours, or its file system knows no leases.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored, should a writer come in between
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    except AttributeError:
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


class _Maps:
    """What the processes that we may look at have mapped to write: inodes and paths, looked up every few seconds."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: frozenset[bytes] = frozenset()
        self._until = 0.0

    def hold(self, path: str, status: os.stat_result) -> bool:
        """Return whether the file, or another with its inode's number, is among them."""
        with self._guard:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + _SCAN_SECONDS
                self._seen = frozenset(_mapped())
            return b"%d" % status.st_ino in self._seen or os.fsencode(path) in self._seen

    def forget(self) -> None:
        """Look again when asked next."""
        self._guard, self._until = threading.Lock(), 0.0


_maps = _Maps()
os.register_at_fork(after_in_child=_maps.forget)


def _mapped() -> set[bytes]:
    found: set[bytes] = set()
    for process in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if process.isdecimal():
            with suppress(OSError):
                lines = Path("/proc", process, "maps").read_bytes().splitlines()
                writable = [line.split(None, 5) for line in lines if b"s " in line[:48]]
                found.update(part for parts in writable if parts[1][1:2] == b"w" for part in parts[4:])
    return found
