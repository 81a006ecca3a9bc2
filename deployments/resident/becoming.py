"""How a fork of the runner becomes a command: its caller's files, folder, environment, limits and signals, and no other's."""

from __future__ import annotations

import fcntl
import io
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from stepwell.deployments.resident.messages import send


def become(request: dict[str, Any], files: list[int], connection: socket.socket, run: Callable[[], None]) -> None:
    """Let `run` run the command of the request in this process, which nothing of the runner must reach."""
    try:
        connection, hear = _take_over(request, files, connection)
        send(connection, {"pid": os.getpid()})
        goes_on = bool(os.read(hear, 1))
    except BaseException:  # noqa: BLE001  (the caller runs it)
        goes_on = False
    if not goes_on:
        os._exit(1)
    os.close(hear)
    connection.close()
    run()


def _take_over(request: dict[str, Any], files: list[int], connection: socket.socket) -> tuple[socket.socket, int]:
    """Be as the caller is; return the connection and the file that says whether to go on."""
    os.setsid()
    connection, (folder, hear) = _files(request["files"], files, connection)
    os.fchdir(folder)
    os.close(folder)
    _limit(request)
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    _begin_anew()
    sys.modules["__main__"] = _main_module(*request["main"])
    sys.argv[:], sys.path[:] = request["argv"], request["path"]
    sys.orig_argv[:] = request["orig_argv"]
    _signals(request)
    return connection, hear


def _files(others: list[int], files: list[int], connection: socket.socket) -> tuple[socket.socket, list[int]]:
    """Give the caller's files their numbers; return the connection and the two files that are ours, out of their way."""
    numbers = [0, 1, 2, *others]
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    above = max(numbers) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, above) for file in (connection.fileno(), *files)]
    connection.close()
    for file in files:
        os.close(file)
    own, theirs = moved[4:6], [*moved[1:4], *moved[6:]]
    for file, number in zip(theirs, numbers, strict=True):
        os.dup2(file, number, inheritable=True)
        os.close(file)
    return socket.socket(fileno=moved[0]), own


def _limit(request: dict[str, Any]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(0, request["processors"])
    for name, (soft, hard) in request["limits"].items():
        number = getattr(resource, name)
        if resource.getrlimit(number) != (soft, hard):
            resource.setrlimit(number, (soft, hard))


def _begin_anew() -> None:
    """Let what Python has made when it started be as if it started now."""
    buffered = not getattr(sys.stdout, "write_through", False)
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _opened(place, name, buffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    tempfile.tempdir = None


def _main_module(path: str, package: str | None) -> ModuleType:
    module = ModuleType("__main__")
    module.__file__, module.__package__ = path, package
    return module


def _opened(place: int, name: str, buffered: bool) -> io.TextIOWrapper:
    """Return a standard stream as Python makes it when it starts."""
    before, mode = getattr(sys, name), "r" if name == "stdin" else "w"
    raw = io.FileIO(place, mode, closefd=False)
    raw.name = f"<{name}>"  # type: ignore[misc]
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw) if buffered else raw
    lines = buffered and (name == "stderr" or raw.isatty())
    stream = io.TextIOWrapper(buffer, before.encoding, before.errors, "\n", lines, not buffered)  # type: ignore[arg-type]
    stream.mode = mode  # type: ignore[misc]
    return stream


def _signals(request: dict[str, Any]) -> None:
    ignored = set(request["ignored"])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
