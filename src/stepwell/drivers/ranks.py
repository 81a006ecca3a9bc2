"""Several processes of one script: their logs apart, shown together as they come, and which of them failed, and how.

Each process writes to `logs/70_driver_log_<rank>.txt`, which is kept with the run, as v1 names it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

LOG = "logs/70_driver_log_{}.txt"
"""The log of one process, in the working directory."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.3
_SHOWN_LINES, _SHOWN_BYTES = 9, 20_000


class Logs:
    """The logs of processes, by their names, such as their ranks; those of a single one are shown as they are."""

    def __init__(self, names: list[str], out: IO[str] | None = None) -> None:
        os.makedirs(os.path.dirname(LOG), exist_ok=True)
        for name in names:  # what the source directory had there
            with suppress(FileNotFoundError):
                os.unlink(LOG.format(name))
        self._out = out or sys.stdout
        self._read = dict.fromkeys(names, 0)
        self._rest = dict.fromkeys(names, b"")

    def follow(self, goes_on: Callable[[], bool]) -> None:
        """Show what the processes write, line by line, until they have ended."""
        pause = _SHORTEST_PAUSE
        while goes_on():
            pause = _SHORTEST_PAUSE if self._show() else min(2 * pause, _LONGEST_PAUSE)
            time.sleep(pause)
        self._show()
        for name, rest in self._rest.items():
            self._print(name, rest)

    def _show(self) -> bool:
        """Show whole lines that are new, and return whether there were any."""
        before = sum(self._read.values())
        for name, start in self._read.items():
            with suppress(FileNotFoundError), open(LOG.format(name), "rb") as stream:
                stream.seek(start)
                *lines, self._rest[name] = (self._rest[name] + stream.read()).split(b"\n")
                self._read[name] = stream.tell()
                for line in lines:
                    self._print(name, line + b"\n")
        self._out.flush()
        return sum(self._read.values()) > before

    def _print(self, name: str, line: bytes) -> None:
        if line:
            mark = f"[{name}] " if len(self._read) > 1 else ""
            text = line.decode(errors="replace").rstrip("\n")
            self._out.write(f"{mark}{text}\n")


def fail(name: str, count: int, code: int) -> None:
    """Say on standard error which of the processes failed, with its last lines, and end as it did."""
    what = f"The process {name} of {count}" if count > 1 else "The process"
    cause = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    sys.stderr.write(f"{what} {cause}{'; its last lines:' if last_lines(name) else ''}\n{last_lines(name)}\n")
    raise SystemExit(128 - code if code < 0 else code)


def last_lines(name: str) -> str:
    """Return the end of the log of one process."""
    try:
        with open(LOG.format(name), "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _SHOWN_BYTES))
            text = stream.read().decode(errors="replace").strip()
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_SHOWN_LINES:])


def command_of(script: str) -> list[str]:
    """Return what starts a process of the script, with the arguments that it was given."""
    return [sys.executable, script, *sys.argv[1:]]


def variables_for(script: str, more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process of the script: these, and what lets it import modules of the working directory."""
    variables = {**os.environ, **more, "PYTHONUNBUFFERED": "1"}
    if os.path.dirname(script):  # a script beside them finds them by itself
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [variables.get("PYTHONPATH", ""), os.getcwd()]))
    return variables
