"""Locks between processes, which the kernel frees when a holder dies: `flock`, one descriptor per holder.

Descriptors rather than processes own such a lock, so threads of one process exclude each other as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from stepwell.blocks.system.home import make_folder, open_or_make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST_WAIT_SECONDS = 0.001
LONGEST_WAIT_SECONDS = 0.05

T = TypeVar("T")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
NO_LOCKS_HERE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}
"""What says that a file there can't be locked."""


@contextlib.contextmanager
def exclusive(path: Path, blocking: bool = True) -> Iterator[bool]:
    """Lock the file for us alone while the block runs; yield False only if it is taken and we don't wait."""
    with _whole_file(path, fcntl.LOCK_EX, blocking) as taken:
        yield taken


@contextlib.contextmanager
def shared(path: Path, blocking: bool = True) -> Iterator[bool]:
    """Lock the file for us and others who share it meanwhile; yield False only if it is taken and we don't wait."""
    with _whole_file(path, fcntl.LOCK_SH, blocking) as taken:
        yield taken


@dataclass(frozen=True, slots=True)
class KeyLocks:
    """Locks by key, as files of one folder: what Prefect calls a lock manager.

    Where the folder can't be written there is no lock to be had and none needed: nobody writes results there.
    """

    folder: Path

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Return whether the holder has the lock, perhaps since before; wait for ever without `acquire_timeout`."""
        if self.is_lock_holder(key, holder):
            return True
        try:
            if acquire_timeout is None:
                descriptor = file_lock(self._path(key), fcntl.LOCK_EX)
            else:
                descriptor = _wait_until(acquire_timeout, lambda: self._try(key))
        except OSError as error:
            return self._without(key, holder, error)
        return self._hold(key, holder, descriptor, hold_timeout)

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Do as `acquire_lock`, without blocking the event loop.

        It asks again and again: a thread that waits for the kernel can't be cancelled.
        """
        if self.is_lock_holder(key, holder):
            return True
        try:
            for pause in _pauses(acquire_timeout):
                descriptor = self._try(key)
                if descriptor is not None or pause is None:
                    return self._hold(key, holder, descriptor, hold_timeout)
                await asyncio.sleep(pause)
        except OSError as error:
            return self._without(key, holder, error)
        return False

    def release_lock(self, key: str, holder: str) -> None:
        """Free the lock; raise ValueError if the holder doesn't have it."""
        with _guard:
            held = _held.get(self._name(key))
            if held is None or held.holder != holder:
                if (self._name(key), holder) not in _lockless:
                    raise ValueError(f"No lock held by {holder} for transaction with key {key}")
                _lockless.discard((self._name(key), holder))
                return
            del _held[self._name(key)]
        held.free()

    def is_locked(self, key: str) -> bool:
        """Return whether anybody holds the lock, in this process or another."""
        return self._name(key) in _held or not self._is_free(key)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Return whether this holder, in this process, has the lock."""
        held = _held.get(self._name(key))
        return (held is not None and held.holder == holder) or (self._name(key), holder) in _lockless

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Return whether the lock was free at some moment before the timeout."""
        if timeout is not None:
            return _wait_until(timeout, lambda: self._is_free(key) or None) is not None
        with contextlib.suppress(OSError), open(self._path(key), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ASYNC109  (Prefect's name)
        """Do as `wait_for_lock`, without blocking the event loop."""
        for pause in _pauses(timeout):
            if self._is_free(key):
                return True
            if pause is not None:
                await asyncio.sleep(pause)
        return False

    def _path(self, key: str) -> Path:
        plain = key if _PLAIN_KEY.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"{plain}.lock"

    def _name(self, key: str) -> str:
        return os.path.abspath(self._path(key))

    def _try(self, key: str) -> int | None:
        while (descriptor := file_lock(self._path(key), fcntl.LOCK_EX | fcntl.LOCK_NB)) is None and self._is_free(key):
            time.sleep(FIRST_WAIT_SECONDS)  # somebody was only looking, or has just freed it
        return descriptor

    def _is_free(self, key: str) -> bool:
        try:
            with open(self._path(key), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _hold(self, key: str, holder: str, descriptor: int | None, hold_timeout: float | None) -> bool:
        if descriptor is None:
            return False
        held = _Held(holder, descriptor, self._name(key))
        with _guard:
            _held[held.name] = held
        if hold_timeout is not None:
            timer = threading.Timer(hold_timeout, self._expire, (held,))
            timer.daemon = True
            held.timers.append(timer)
            timer.start()
        return True

    def _expire(self, held: _Held) -> None:
        with _guard:
            if _held.get(held.name) is not held:
                return
            del _held[held.name]
        held.free()

    def _without(self, key: str, holder: str, error: OSError) -> bool:
        if error.errno not in NO_LOCKS_HERE:
            raise error
        with _guard:
            _lockless.add((self._name(key), holder))
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    holder: str
    descriptor: int
    name: str
    timers: list[threading.Timer] = field(default_factory=list)

    def free(self) -> None:
        """Free the lock, but remove its file first: who waits for it sees that it is gone, and makes a new one."""
        for timer in self.timers:
            timer.cancel()
        with contextlib.suppress(OSError):
            os.unlink(self.name)
        with contextlib.suppress(OSError):
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # closing doesn't free it if a forked process has a copy
        os.close(self.descriptor)


# Copies of a KeyLocks must agree on who holds what, so this is kept per process and not per copy.
_guard = threading.Lock()
_held: dict[str, _Held] = {}
_lockless: set[tuple[str, str]] = set()


def _forked() -> None:
    """Forget what the parent holds; copies of descriptors must not keep what it frees."""
    global _guard  # noqa: PLW0603  (one that another thread held at the fork would never be freed)
    _guard = threading.Lock()
    for held in _held.values():
        with contextlib.suppress(OSError):
            os.close(held.descriptor)
    _held.clear()
    _lockless.clear()


os.register_at_fork(after_in_child=_forked)


def can_lock(path: Path) -> bool:
    """Return whether locks are to be had there: not on a file system without them, or where nothing can be written."""
    try:
        descriptor = file_lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            raise
        return False
    if descriptor is not None:
        os.close(descriptor)
    return True


def file_lock(path: Path, operation: int) -> int | None:
    """Return a descriptor that holds the lock of the file now at the path; None if it is taken and we don't wait."""
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, operation)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return open_or_make(path, os.O_RDWR)
    except FileNotFoundError:
        make_folder(path.parent)
        return open_or_make(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # somebody else's file can be locked as well


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _pauses(timeout: float | None) -> Iterator[float | None]:
    """Yield how long to wait after each attempt; None after the last."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_WAIT_SECONDS
    while deadline is None or (left := deadline - time.monotonic()) > 0:
        yield pause if deadline is None else min(pause, left)
        pause = min(pause * 2, LONGEST_WAIT_SECONDS)
    yield None


def _wait_until(timeout: float, attempt: Callable[[], T | None]) -> T | None:
    """Return what the first successful attempt gave; None when the time is over."""
    for pause in _pauses(timeout):
        result = attempt()
        if result is not None or pause is None:
            return result
        time.sleep(pause)
    return None


@contextlib.contextmanager
def _whole_file(path: Path, operation: int, blocking: bool) -> Iterator[bool]:
    try:
        descriptor = file_lock(path, operation if blocking else operation | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            raise
        yield True
        return
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
