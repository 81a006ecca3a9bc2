"""The resident runner: one thread that listens, and a fork of it for each command.

It ends by itself an hour after the last command, when its socket or home is gone, and when the code that it has imported
is no longer what stands on the disk.
"""

from __future__ import annotations

import fcntl
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from stepwell.deployments.resident import identity
from stepwell.deployments.resident.becoming import become
from stepwell.deployments.resident.messages import Incoming, refuse_others, send

_SECONDS_IDLE = 3600.0
_SECONDS_BETWEEN_LOOKS = 30.0
_SECONDS_TO_ASK = 5.0
_SECONDS_OF_A_LOOK = 0.001
_LEAST_FILES = 5
Command = Callable[[Callable[[], None]], None]
"""Makes a fork the command that was asked for, which the function runs."""


class Runner:
    """The runner of one name: its socket, and the processes that run commands, each with the connection of its caller."""

    def __init__(self, name: str, lock: int) -> None:
        self._lock = lock
        self._path = os.path.join(identity.folder(), name)
        self._listener = socket.socket(socket.AF_UNIX)
        self._selector = selectors.DefaultSelector()
        self._asking: dict[socket.socket, _Asking] = {}
        self._callers: dict[int, socket.socket] = {}
        self._last = time.monotonic()
        self._ending = False
        self._code: dict[str, int] = {}

    def serve(self) -> Command | None:
        """Serve until there is a reason to end; in each fork, return what makes it the command that was asked for."""
        self._code = _own_code()
        gc.collect()
        gc.freeze()  # forks share these pages until they write
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._selector.register(woken, selectors.EVENT_READ, "woken")
        self._listen()
        while self._callers or not self._ending:
            for key, _ in self._selector.select(_SECONDS_TO_ASK if self._asking else _SECONDS_BETWEEN_LOOKS):
                if key.data == "woken":
                    with suppress(BlockingIOError):
                        woken.recv(4096)
                elif key.data == "listener":
                    self._accept()
                elif key.data == "asking":
                    command = self._hear(key.fileobj, (woken, waker))  # type: ignore[arg-type]
                    if command is not None:
                        return command
                else:
                    self._left(int(key.data))
            self._reap()
            self._look()
        return None

    # ------------------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
        mask = os.umask(0o177)
        try:
            self._listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(self._path)}")
        finally:
            os.umask(mask)
            os.close(folder)
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._inode = os.stat(self._path).st_ino
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")

    def _accept(self) -> None:
        """Let those ask who have come; nobody is waited for."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                refuse_others(connection)
                connection.setblocking(False)
            except OSError:
                connection.close()
                continue
            self._asking[connection] = _Asking(Incoming(connection), time.monotonic() + _SECONDS_TO_ASK)
            self._selector.register(connection, selectors.EVENT_READ, "asking")

    def _hear(self, connection: socket.socket, own: tuple[socket.socket, ...]) -> Command | None:
        """Take what a caller says; in a fork, return what makes it the command that was asked for."""
        if connection not in self._asking:
            return None
        incoming = self._asking[connection].incoming
        try:
            request = incoming.read()
            if request is None:
                return None
            pid = os.fork() if self._may_serve(request, incoming.files) else None
        except (OSError, ValueError, EOFError, KeyError, TypeError):
            pid = None
        if pid is None:
            self._refuse(connection)
            return None
        del self._asking[connection]
        if pid:
            _close(incoming.files)
            connection.setblocking(True)
            self._last = time.monotonic()
            self._callers[pid] = connection
            self._selector.modify(connection, selectors.EVENT_READ, pid)
            return None
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for inherited in (self._listener, *own, *self._callers.values()):
            inherited.close()
        for other in self._asking.values():
            other.incoming.close()
        connection.setblocking(True)
        return lambda run: become(request, incoming.files, connection, run)

    def _refuse(self, connection: socket.socket) -> None:
        """Let a caller go, who runs the command then."""
        self._selector.unregister(connection)
        self._asking.pop(connection).incoming.close()

    def _may_serve(self, request: Any, files: list[int]) -> bool:
        if self._code != _stamps(self._code):
            self._end()
        return not self._ending and len(files) == _LEAST_FILES + len(request["files"])

    def _left(self, pid: int) -> None:
        """End the command of a caller that is gone, as it would have been ended itself."""
        connection = self._callers[pid]
        with suppress(OSError):
            if connection.recv(1):
                return
        self._selector.unregister(connection)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, connection in list(self._callers.items()):
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                found, status = pid, 1 << 8
            if not found:
                continue
            with suppress(OSError):
                send(connection, {"status": status})
            with suppress(KeyError):
                self._selector.unregister(connection)
            connection.close()
            del self._callers[pid]
            self._last = time.monotonic()

    def _look(self) -> None:
        """End if nothing has come for long, or if nothing could come any more; let those go who are silent."""
        now = time.monotonic()
        for connection in [connection for connection, asking in self._asking.items() if asking.end < now]:
            self._refuse(connection)
        try:
            there = os.stat(self._path).st_ino == self._inode
        except OSError:
            there = False
        if not there or (not self._callers and time.monotonic() - self._last > _SECONDS_IDLE):
            self._end()

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        with suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        with suppress(KeyError, ValueError):
            self._selector.unregister(self._listener)
        self._listener.close()
        if not self._callers:  # the caller that is refused may start the next one at once
            fcntl.flock(self._lock, fcntl.LOCK_UN)


class _Asking(NamedTuple):
    """What comes of a caller, and until when it has to be whole."""

    incoming: Incoming
    end: float


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def _own_code() -> dict[str, int]:
    """Return the files of modules that people may work on, with the times of their last change."""
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    return _stamps(
        {file for file in files if file and not {"site-packages", "dist-packages"} & set(file.split(os.sep))}
    )


def _stamps(files: Any) -> dict[str, int]:
    found = {}
    for file in files:
        try:
            found[file] = os.stat(file).st_mtime_ns
        except OSError:
            found[file] = -1
    return found


def _is_alone() -> bool:
    """Return whether this process has one thread, as what forks must."""
    return threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1


def _taken(lock: int) -> bool:
    """Take the lock, and return whether no runner had it; who only looks whether one has it shares it for a moment."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if identity.is_held(lock):
                return False
            time.sleep(_SECONDS_OF_A_LOOK)
        else:
            return True


def main(name: str, prepare: Callable[[], None]) -> Command | None:
    """Be the runner of that name, unless there is one; return what makes a fork the command that was asked for.

    `prepare` is called first: what it imports and makes, every command has.
    """
    folder = identity.opened_folder()
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)
    os.close(folder)
    if not _taken(lock):
        return None
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    prepare()
    if not _is_alone():
        return None
    command = Runner(name, lock).serve()
    os.close(lock)  # of a fork: its own copy
    return command
