"""What a child says: all of it goes to a log of its own, and what somebody should see is passed on."""

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
_TROUBLE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback |^\w*(Error|Exception): ")
_print = threading.Lock()


def say(text: str) -> None:
    """Nothing; the text stands on standard error, if anybody still listens there."""
    with _print, suppress(OSError):
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
        """Nothing; the log ends with the line."""
        self._file.handle(LogRecord(self.name, DEBUG, "", 0, line, None, None))

    def tell(self, line: str) -> None:
        """Nothing; the log ends with the line, and standard error shows it behind the child's name."""
        self.write(line)
        say(f"{self.name} | {line}")


class Listener:
    """Listens to a child until nobody of its group can say anything any more; `ready`: it has said the `sign`."""

    def __init__(self, log: ChildLog, sign: str = "") -> None:
        self._log = log
        self._sign = sign
        self.ready = threading.Event()

    def listen(self, stream: BinaryIO) -> None:
        """Nothing; a thread of its own reads the stream to its end."""
        threading.Thread(target=self._read, args=(stream,), name=f"{self._log.name} output", daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            for data in stream:
                line = data.decode(errors="replace").rstrip()
                if self._sign and self._sign in line:
                    self.ready.set()
                if _TROUBLE.search(line):
                    self._log.tell(line)
                else:
                    self._log.write(line)
