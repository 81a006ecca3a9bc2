"""Keeps child processes running: starts them, starts those that die again, and ends all of them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import exclusive
from stepwell.deployments.serve import child
from stepwell.deployments.serve.child_output import ChildLog, Listener
from stepwell.errors import UserErrorException

_FIRST_PAUSE, _LONGEST_PAUSE, _GOOD_LIFE = 0.2, 10.0, 60.0
_LAST_WAIT = 2.0


@dataclass(frozen=True, slots=True)
class Child:
    """What is to be kept running.

    `environment` is asked for at every start. `patience`: seconds from the request to end until the kill; 0 kills at
    once. `sign` is what it says when it is ready for work.
    """

    name: str
    command: tuple[str, ...]
    environment: Callable[[], Mapping[str, str]] = lambda: os.environ
    patience: float = 5.0
    sign: str = ""


class Supervisor:
    """The children, and a folder for their logs. Not for several threads, but for `is_ready`."""

    def __init__(self, folder: Path, children: Iterable[Child]) -> None:
        self._charges = {one.name: _Charge(one, ChildLog(folder, one.name)) for one in children}

    def start(self) -> None:
        """Nothing; every child was started."""
        for charge in self._charges.values():
            charge.start()

    def check(self) -> None:
        """Nothing; who has died will be started again, or was, if its pause is over. To be called often."""
        for charge in self._charges.values():
            charge.check()

    def is_ready(self, name: str) -> bool:
        """Whether the child has said that it is ready, at its last start."""
        return self._charges[name].ready

    def pids(self) -> dict[str, int]:
        """The guards of the children that run, by name; each leads the group of its child."""
        return {name: charge.pid for name, charge in self._charges.items() if charge.pid}

    def restart(self) -> None:
        """Nothing; every child was ended and started anew, in the environment that is right now."""
        self.stop()
        self.start()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Nothing; no child is left, nor anybody of its group. `hurry`: whether to kill instead of waiting."""
        charges = list(self._charges.values())
        for charge in charges:
            charge.let_go()
        deadline = time.monotonic() + max((charge.child.patience for charge in charges), default=0) + _LAST_WAIT
        while any(charge.lives() for charge in charges) and time.monotonic() < deadline and not hurry():
            time.sleep(0.02)
        for charge in charges:
            charge.bury()


class _Charge:
    """One child: its guard while it runs, and when to start it again while it doesn't."""

    def __init__(self, one: Child, log: ChildLog) -> None:
        self.child = one
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = Listener(log, one.sign)
        self._began = self._due = 0.0
        self._pause = _FIRST_PAUSE

    @property
    def ready(self) -> bool:
        return self._listener.ready.is_set()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        guard = [sys.executable, "-I", "-S", child.__file__, str(self.child.patience), *self.child.command]
        self._began, self._listener = time.monotonic(), Listener(self._log, self.child.sign)
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
            self.bury()
            self._plan_restart(f"ended with code {code}")
        elif self._process is None and time.monotonic() >= self._due:
            self.start()

    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def let_go(self) -> None:
        """Closes what keeps the guard on guard."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def bury(self) -> None:
        """Kills who is left of the group."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.let_go()
        self._process = None

    def _plan_restart(self, reason: str) -> None:
        if time.monotonic() - self._began >= _GOOD_LIFE:
            self._pause = _FIRST_PAUSE
        self._log.tell(f"{reason}; starts again in {self._pause:g} s (log: {self._log.path})")
        self._due = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keeps others from supervising in this folder meanwhile; UserErrorException if somebody does so already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = folder / "pid"
    with exclusive(folder / "lock", blocking=False) as taken:
        if not taken:
            pid = number.read_text().strip() if number.exists() else "unknown"
            facts = {"pid": pid, "home": home()}
            raise UserErrorException("Stepwell is served from this home already", facts, f"End it first: kill {pid}")
        write_atomically(number, str(os.getpid()).encode())
        try:
            yield
        finally:
            number.unlink(missing_ok=True)
