"""What is new in a log file since the last look at it, while another process writes it."""

from __future__ import annotations

import os
from pathlib import Path

from stepwell.model.nofollow import open_file

_HEAD = 4096


class LogTail:
    """A log file `name` of a folder, which need not be there yet.

    Attributes:
        update: What a progress bar showed at the last look, '' if none is at work.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._at, self._file, self._head = 0, (0, 0), b""
        self.update = ""

    def lines(self, *, to_end: bool = False) -> list[str]:
        """Return the lines that are whole now and were not at the last look; `to_end`: the last one is, whatever ends it."""
        data = self._read()
        whole = len(data) if to_end else data.rfind(b"\n") + 1
        self._at += whole
        self._head = self._head or data[: min(whole, _HEAD)]
        rest = data[whole:]
        self.update = _shown(rest) if b"\r" in rest else ""
        return _lines(data[:whole])

    def _read(self) -> bytes:
        try:
            with open_file(self._folder, self._name) as stream:
                now = os.fstat(stream.fileno())
                if (now.st_dev, now.st_ino) != self._file:
                    self._file = (now.st_dev, now.st_ino)
                    if now.st_size < self._at or stream.read(len(self._head)) != self._head:  # of another attempt
                        self._at, self._head = 0, b""
                elif now.st_size < self._at:  # its middle was cut out
                    self._at = now.st_size
                stream.seek(self._at)
                return stream.read()
        except OSError:
            return b""


def _lines(data: bytes) -> list[str]:
    if not data:
        return []
    return [_shown(line) for line in data.split(b"\n")[: -1 if data.endswith(b"\n") else None]]


def _shown(line: bytes) -> str:
    """Return what a terminal shows of a line: what came after its last carriage return."""
    return line.rstrip(b"\r\n").rpartition(b"\r")[2].decode(errors="replace")
