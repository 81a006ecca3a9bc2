"""A command from its caller's side: what it is run with goes to the runner, signals too, and it ends as the other ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import suppress

from stepwell.deployments.resident import identity
from stepwell.deployments.resident.messages import receive, refuse_others, send

TYPE_CHECKING = False  # what type checkers take for true: every command waits for what is imported here
if TYPE_CHECKING:
    import subprocess
    from types import FrameType
    from typing import Any, NoReturn

_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
)
_LIMITS = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_START, _SECONDS_BETWEEN_LOOKS = 60.0, 0.02
_starting: dict[str, subprocess.Popen[bytes]] = {}


def run_there(name: str, connection: socket.socket | None = None) -> None:
    """Run this command in the runner of that name and end as it ends; return if it did not run."""
    try:
        connection = connection or _connected(name)
    except OSError:
        return
    with connection:
        passing = _Passing()
        others = identity.other_files()
        folder, (hear, say) = os.open(".", os.O_PATH | os.O_DIRECTORY), os.pipe()
        try:
            send(connection, {**_request(), "files": others}, (0, 1, 2, folder, hear, *others))
        except OSError:
            os.close(say)
            return
        finally:
            os.close(folder)
            os.close(hear)
        with passing:
            try:
                answer = receive(connection)
                passing.to(int(answer["pid"]))
                os.write(say, b"!")  # from here on it is run there, and nowhere else
            except (OSError, ValueError, EOFError, KeyError):
                return  # it has not begun, and does not without a word of ours
            finally:
                os.close(say)
            connection.settimeout(None)
            end = None
            try:
                end = int(receive(connection)["status"])
            except (OSError, ValueError, EOFError, KeyError):
                passing.wait()
    _end(end)


def start_one(name: str, program: str) -> None:
    """Start a runner of that name, by the module `program`, for the commands that follow, unless there is one that starts or is at work."""
    folder = identity.folder()
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    lock = os.open(os.path.join(folder, f"{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if identity.is_held(lock):
            return
    finally:
        os.close(lock)
    import subprocess

    new = not os.path.exists(os.path.join(os.path.dirname(folder), "server"))
    runner = subprocess.Popen(
        [sys.executable, "-m", program, name],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if new:
        _starting[name] = runner


def run_in_started() -> None:
    """Run this command in the runner that this process has started in a new home, as `run_there` does.

    The start of a server takes longer there than that of the runner, which imports what this process then need not.
    """
    import time

    deadline = time.monotonic() + _SECONDS_TO_START
    for name, runner in _starting.items():
        while runner.poll() is None and time.monotonic() < deadline:
            try:
                connection = _connected(name)
            except OSError:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            else:
                run_there(name, connection)
                break
    _starting.clear()


# ----------------------------------------------------------------------------------------------------------------------


def _connected(name: str) -> socket.socket:
    folder = identity.opened_folder()
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_SECONDS_TO_ANSWER)
        connection.connect(f"/proc/self/fd/{folder}/{name}")  # a path that is short enough for a socket
        refuse_others(connection)
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _request() -> dict[str, Any]:
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "path": sys.path,
        "main": [getattr(sys.modules["__main__"], name, None) for name in ("__file__", "__package__")],
        "environment": dict(os.environ),
        "umask": umask,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
        "processors": sorted(os.sched_getaffinity(0)),
        "ignored": [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }


class _Passing:
    """Passes signals on to the group of the process that runs the command, and stops when this one is stopped."""

    def __init__(self) -> None:
        self._pid = 0
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in _PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._pass)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def to(self, pid: int) -> None:
        """Pass on to that process what came until now, and from now on."""
        self._pid = pid
        while self._waiting:
            self._pass(self._waiting.pop(0), None)

    def wait(self) -> None:
        """Wait until the process has ended, which nobody tells any more."""
        import select

        with suppress(OSError):
            select.select([os.pidfd_open(self._pid)], [], [])

    def _pass(self, number: int, _: FrameType | None) -> None:
        if not self._pid:
            self._waiting.append(number)
            return
        with suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def _stop(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            if self._pid:
                os.killpg(self._pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        with suppress(ProcessLookupError):  # here it goes on
            if self._pid:
                os.killpg(self._pid, signal.SIGCONT)


def _end(status: int | None) -> NoReturn:
    """End this process as one of that status has ended; None is not known."""
    if status is None:
        print("Error: The process that ran this command was left alone, so how it ended is not known", file=sys.stderr)
        os._exit(1)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
