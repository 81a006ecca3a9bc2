"""A child's output: all of it goes to a log of its own, and what somebody should see to standard error too."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import suppress
from logging import DEBUG, Formatter, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import BinaryIO

_LARGEST_LOG = 20_000_000
_PROBLEM = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback |^\w*(Error|Exception): ")
_stderr_lock = threading.Lock()


def log_to_stderr(text: str) -> None:
    """Print the text to standard error, if anybody still listens there."""
    with _stderr_lock, suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class ChildLog:
    """`<name>.log` in the folder: begun anew with each object, the one before kept as `<name>.log.1`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path = folder / f"{name}.log"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = RotatingFileHandler(
            self.path, maxBytes=_LARGEST_LOG, backupCount=1, encoding="utf-8", errors="replace", delay=True
        )
        self._file.setFormatter(Formatter("%(message)s"))
        if self.path.exists():
            self._file.doRollover()

    def write(self, line: str) -> None:
        """Append the line to the log."""
        self._file.handle(LogRecord(self.name, DEBUG, "", 0, line, None, None))

    def emit(self, line: str) -> None:
        """Append the line to the log, and print it to standard error after the child's name."""
        self.write(line)
        log_to_stderr(f"{self.name} | {line}")


class Listener:
    """Reads a child's output until nobody of its group can write any more; `ready`: it has written the marker."""

    def __init__(self, log: ChildLog, ready_marker: str = "") -> None:
        self._log = log
        self._ready_marker = ready_marker
        self.ready = threading.Event()

    def listen(self, stream: BinaryIO) -> None:
        """Start a thread that reads the stream to its end."""
        threading.Thread(target=self._read, args=(stream,), name=f"{self._log.name} output", daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            for data in stream:
                line = data.decode(errors="replace").rstrip()
                if self._ready_marker and self._ready_marker in line:
                    self.ready.set()
                if _PROBLEM.search(line):
                    self._log.emit(line)
                else:
                    self._log.write(line)
