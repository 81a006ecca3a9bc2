"""The guard of one child: starts it, and ends it with its whole group once its standard input is closed.

Only the supervisor holds the other end, so the child ends with it, however the supervisor ended. It is run as a
program, by its path and apart from all installed packages, so that it starts soon; that is why it stands on the
standard library. Its arguments are the seconds between asking and killing (0: kill at once), and the child's command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

_SIGNALS_LEFT_TO_THE_CHILD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def guard(grace_seconds: float, command: list[str]) -> int:
    """Run the child and return how it ended: its exit code, or 128 plus the number of the signal."""
    for number in _SIGNALS_LEFT_TO_THE_CHILD:
        signal.signal(number, lambda *_: None)  # unlike one that is ignored, a child does not inherit this
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    closed = threading.Event()
    threading.Thread(target=_end_when_stdin_closes, args=(process, grace_seconds, closed), daemon=True).start()
    code = process.wait()
    if closed.is_set():
        _kill_group()
    return code if code >= 0 else 128 - code


def _end_when_stdin_closes(process: subprocess.Popen[bytes], grace_seconds: float, closed: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    closed.set()
    if grace_seconds > 0:
        os.killpg(0, signal.SIGTERM)
        os.killpg(0, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    _kill_group()


def _kill_group() -> None:
    """Kill the process group and do not return: this process is one of it."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(guard(float(sys.argv[1]), sys.argv[2:]))
