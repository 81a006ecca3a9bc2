"""Whether who made something still lives, told by a lock that the kernel frees, never by a process number.

A number means another process in another PID namespace (a second container on the same volume), on another machine, and
here too once it is given anew. A lock that is taken tells everywhere that its owner lives. One that is free tells that he
is dead to those who share a kernel with him; to others only if the file system takes locks along, which network file
systems do not for sure. There the last sign of life counts.
"""

from __future__ import annotations

import fcntl
import functools
import getpass
import hashlib
import json
import os
import re
import secrets
import socket
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import NO_LOCKS_HERE, file_lock
from stepwell.errors import StepwellError

NAME = "STEPWELL_MACHINE"
"""The variable that names this machine for people, where its host's name says nothing, as in a container."""

_LONGEST_NAME = 100
_SUFFIX = ".lock"
_NAME = re.compile("p[0-9a-f]{16}")
_LONGEST_SILENCE = 7 * 86_400
_OF_ONE_KERNEL = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "bcachefs",
        "f2fs",
        "jfs",
        "reiserfs",
        "zfs",
        "tmpfs",
        "ramfs",
        "overlay",
        "aufs",
        "vfat",
        "exfat",
        "ntfs3",
        "erofs",
        "squashfs",
        "iso9660",
        "udf",
    ]
)


class Machine(TypedDict):
    """Where a process is at work. `id` is that of processes that can judge one another: by their numbers, by any lock."""

    id: str
    kernel: str
    name: str


def machine() -> Machine:
    """Return the facts of this process's machine: its kernel since it started, its PID namespace, its home, its name."""
    try:
        return _machine(str(home()), os.environ.get(NAME, ""))
    except StepwellError:  # it can't be made
        return _machine("", os.environ.get(NAME, ""))


@functools.cache
def _machine(home_folder: str, named: str) -> Machine:
    kernel = _read_once("/proc/sys/kernel/random/boot_id") or socket.gethostname()
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    name = named[:_LONGEST_NAME] if named.isprintable() else ""
    try:
        name = name or f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError, ImportError):  # a user id without a name
        name = f"{os.getuid()}@{socket.gethostname()}"
    own = _short(f"{kernel}|{space}|{home_folder}")
    return Machine(id=own, kernel=_short(kernel), name=name)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _read_once(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(errors="replace").strip()
    return ""


def sign(descriptor: int) -> None:
    """Write into an open lock file which machine its owner is at work on."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(machine()).encode(), 0)


def signed_by(path: Path) -> Machine | None:
    """Return the machine of the owner of a lock file; None if that is not known."""
    try:
        found = json.loads(path.read_bytes())
        return Machine(id=str(found["id"]), kernel=str(found["kernel"]), name=str(found["name"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def free_means_dead(path: Path) -> bool:
    """Return whether the owner of a lock file is dead if its lock is free: he is of this kernel, or locks are seen from here."""
    signed = signed_by(path)
    return locks_travel(path) or (signed is not None and signed["kernel"] == machine()["kernel"])


def locks_travel(path: Path) -> bool:
    """Return whether everybody who reaches the file sees its lock: its file system is one that a single kernel mounts."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return True
    return _file_system(f"{os.major(device)}:{os.minor(device)}") in (*_OF_ONE_KERNEL, "")


@functools.lru_cache(maxsize=64)
def _file_system(device: str) -> str:
    """Return the kind of a mounted file system, '' if that is not known."""
    for line in _read_once("/proc/self/mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == device:
            return kind.split()[0]
    return ""


def silent_for(path: Path) -> float:
    """Return for how many seconds nobody has touched a file, by the clock of its file system as far as that is to be had."""
    now = time.time()
    with suppress(OSError):
        probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            probe.touch()
            now = probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


class Owner:
    """Somebody who lives as long as this object, or its process: known by the lock on a file of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = (0, "")

    def name(self) -> str:
        """Return this owner's name, which is another one in a forked process; raise OSError if nothing can be written."""
        process, name = self._known
        if process != os.getpid():
            name = self._begin()
            self._known = (os.getpid(), name)
        with suppress(OSError):
            os.utime(self._folder / f"{name}{_SUFFIX}")  # a sign of life to other machines
        return name

    def _begin(self) -> str:
        while True:
            name = f"p{secrets.token_hex(8)}"
            path = self._folder / f"{name}{_SUFFIX}"
            try:
                descriptor = file_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in NO_LOCKS_HERE or not path.exists():
                    raise
                return name  # without locks nobody can tell that it is dead
            if descriptor is not None:  # else a collector looked at the file first, and removes it
                sign(descriptor)
                weakref.finalize(self, _end, path, descriptor, os.getpid())
                return name


def _end(path: Path, descriptor: int, process: int) -> None:
    """Remove the file and free the lock; a forked process only closes its copy."""
    if os.getpid() == process:
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing doesn't free it if a forked process has a copy
    with suppress(OSError):
        os.close(descriptor)


def is_owner_name(text: str) -> bool:
    """Return whether the text may be an owner's name."""
    return _NAME.fullmatch(text) is not None


def owners(folder: Path) -> set[str]:
    """Return the names of the folder's owners, the living and those whose death nobody has noticed yet."""
    with suppress(OSError):
        return {name.removesuffix(_SUFFIX) for name in os.listdir(folder) if is_owner_name(name.removesuffix(_SUFFIX))}
    return set()


@contextmanager
def noticed_dead(folder: Path, name: str) -> Iterator[bool]:
    """Yield whether the owner is dead, in which case the folder forgets it after the block; what can't be told lives.

    Of another machine's owner, whose lock can't be seen from here, that is told by a week of silence.
    """
    path = folder / f"{name}{_SUFFIX}"
    if path.exists() and not free_means_dead(path) and silent_for(path) < _LONGEST_SILENCE:
        yield False
        return
    try:
        descriptor = file_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        descriptor = None
    if descriptor is None:
        yield False
        return
    try:
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
