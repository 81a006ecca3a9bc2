"""How a fork of the runner becomes a command: its caller's files, folder, environment, limits and signals, and no other's."""

from __future__ import annotations

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
        _take_over(request, files)
        send(connection, {"pid": os.getpid()})
        goes_on = bool(os.read(files[4], 1))
    except BaseException:  # noqa: BLE001  (the caller runs it)
        goes_on = False
    if not goes_on:
        os._exit(1)
    os.close(files[4])
    connection.close()
    run()


def _take_over(request: dict[str, Any], files: list[int]) -> None:
    os.setsid()
    for place, file in enumerate(files[:3]):
        os.dup2(file, place, inheritable=True)
    os.fchdir(files[3])
    for file in files[:4]:
        os.close(file)
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
    ignored = {signal.SIGPIPE, signal.SIGXFSZ, *request["ignored"]}
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN if signal.SIGINT in ignored else signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
