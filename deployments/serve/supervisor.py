"""Keeps child processes running: starts them, starts those that die again, and ends all of them together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.processes.table import namespace
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import exclusive
from stepwell.deployments.serve import child
from stepwell.deployments.serve.child_output import ChildLog, Listener
from stepwell.errors import UserErrorException

_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE_SECONDS = 0.2, 10.0, 60.0
_LAST_WAIT = 2.0


@dataclass(frozen=True, slots=True)
class Child:
    """What is to be kept running.

    `environment` is called at every start. `grace_seconds` lie between the request to end and the kill; 0 kills at
    once. `ready_marker` is what it prints when it is ready for work.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]] = lambda: os.environ
    grace_seconds: float = 5.0
    ready_marker: str = ""


class Supervisor:
    """The children, and a folder for their logs. Not for several threads, but for `is_ready`."""

    def __init__(self, folder: Path, children: Iterable[Child]) -> None:
        self._children = {one.name: _SupervisedChild(one, ChildLog(folder, one.name)) for one in children}

    def start(self) -> None:
        """Start every child."""
        for one in self._children.values():
            one.start()

    def check(self) -> None:
        """Plan a restart of every child that has died, and start those whose pause is over. Call it often."""
        for one in self._children.values():
            one.check()

    def is_ready(self, name: str) -> bool:
        """Return whether the child has printed that it is ready, at its last start."""
        return self._children[name].ready

    def pids(self) -> dict[str, int]:
        """Return the process ids of the guards of running children, by name; each leads the group of its child."""
        return {name: one.pid for name, one in self._children.items() if one.pid}

    def restart(self) -> None:
        """End every child and start it anew, in the environment that is right now."""
        self.stop()
        self.start()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End all children and everybody of their groups. `hurry`: whether to kill instead of waiting."""
        children = list(self._children.values())
        for one in children:
            one.close_stdin()
        grace_seconds = max((one.child.grace_seconds for one in children), default=0)
        deadline = time.monotonic() + grace_seconds + _LAST_WAIT
        while any(one.lives() for one in children) and time.monotonic() < deadline and not hurry():
            time.sleep(0.02)
        for one in children:
            one.kill()


class _SupervisedChild:
    """One child: its guard while it runs, and when to start it again while it doesn't."""

    def __init__(self, one: Child, log: ChildLog) -> None:
        self.child = one
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = Listener(log, one.ready_marker)
        self._began = self._due = 0.0
        self._pause = _FIRST_PAUSE

    @property
    def ready(self) -> bool:
        return self._listener.ready.is_set()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        guard = [sys.executable, "-I", "-S", child.__file__, str(self.child.grace_seconds), *self.child.command]
        self._began, self._listener = time.monotonic(), Listener(self._log, self.child.ready_marker)
        try:
            self._process = subprocess.Popen(
                guard, cwd=home(), env=dict(self.child.environment()), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            self._plan_restart(f"can't be started: {error}")
            return
        assert self._process.stdout is not None
        self._listener.listen(self._process.stdout)  # type: ignore[arg-type]

    def check(self) -> None:
        if self._process is not None and not self.lives():
            code = self._process.returncode
            self.kill()
            self._plan_restart(f"ended with code {code}")
        elif self._process is None and time.monotonic() >= self._due:
            self.start()

    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close_stdin(self) -> None:
        """Close the guard's standard input, upon which it ends the child."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """Kill who is left of the group."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.close_stdin()
        self._process = None

    def _plan_restart(self, reason: str) -> None:
        if time.monotonic() - self._began >= _STABLE_SECONDS:
            self._pause = _FIRST_PAUSE
        self._log.emit(f"{reason}; starts again in {self._pause:g} s (log: {self._log.path})")
        self._due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep others from supervising in this folder while the block runs; raise UserErrorException if somebody does."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pid_file, place_file = folder / "pid", folder / "place"
    with exclusive(folder / "lock", blocking=False) as taken:
        if not taken:
            raise _served_already(_read(pid_file), _read(place_file))
        write_atomically(place_file, _place().encode())
        write_atomically(pid_file, str(os.getpid()).encode())
        try:
            yield
        finally:
            pid_file.unlink(missing_ok=True)
            place_file.unlink(missing_ok=True)


def _served_already(pid: str, place: str) -> UserErrorException:
    facts = {"pid": pid or "unknown", "home": home()}
    hint = f"End it first: kill {pid}"
    if place not in ("", _place()):  # there the number means another process than here
        facts, hint = (
            {"host": place.split(maxsplit=1)[0], "home": home()},
            "End it first, in the container or on the machine it is on.",
        )
    return UserErrorException("Stepwell is served from this home already", facts, hint)


def _place() -> str:
    """Return what names this host and PID namespace."""
    return f"{socket.gethostname()} {namespace()}"


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text().strip()
    return ""
