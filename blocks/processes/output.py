"""The output of a process: bytes of a pipe, redacted, on their way into log files and, as whole lines, to listeners."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import termios
import time
from collections.abc import Callable, Iterator
from io import FileIO
from typing import IO, TYPE_CHECKING, Any

from stepwell.errors import StepFailedException

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 64 * 1024
HELD = 64 * 1024  # bytes of an unfinished line that wait for redaction
OVERLAP = 8 * 1024  # a secret shorter than this is found even where a long line is cut
LONGEST = 1024 * 1024  # bytes of a line that are forwarded as one text
UPDATE_SECONDS = 0.1
_LONGEST_UPDATE = 4096
_NO_TEXT = re.compile(rb"[\x00-\x07\x0a-\x1a\x1c-\x1f]")  # but backspaces, tabs and escapes, which bars have
LOG_BYTES = "STEPWELL_LOG_BYTES"
"""The variable that says how many bytes a log keeps."""

_USUAL_BYTES, _LEAST_BYTES = 64 << 20, 4096


class Notice(str):
    """A piece of output that says what a step waits for, which people want to see before it has ended; empty: for nothing any more."""

    __slots__ = ()


OnOutput = Callable[[str], None]
"""Takes the output of a process as it comes."""

Redact = Callable[[str], str]


def unchanged(text: str) -> str:
    """Return the text itself."""
    return text


class Log(FileIO):
    """A log file of a bounded size: of what is longer, the beginning and the end stay, and between them stands how much went.

    At its end stands, until something is written, what progress bars show now: of all their updates it keeps the last.
    """

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path, "wb+")
        self._most = most
        self._size = self._head = self._tail = self._cut = 0
        self._updates: dict[int, bytes] = {}
        self._shows_updates = False

    def write(self, data: Any) -> int:
        """Write the bytes at the end, and cut the middle out if that is too much; return how many were written."""
        self._hide_updates()
        count = super().write(data)
        self._size += count
        if self._size > self._most:
            self._cut_middle()
        return count

    def show(self, whose: int, update: bytes) -> None:
        """Let the end of the file be what a progress bar shows now, b"" for nothing any more; `whose`: which bar it is."""
        if update != self._updates.get(whose, b""):
            self._hide_updates()
            self._updates[whose] = update
        shown = b"".join(self._updates.values())
        if shown and not self._shows_updates:
            self._shows_updates = True
            super().write(shown)

    def _hide_updates(self) -> None:
        if self._shows_updates:
            self._shows_updates = False
            self.seek(self._size)
            self.truncate(self._size)

    def _cut_middle(self) -> None:
        if not self._head:
            self.seek(0)
            head = _read(self, self._most // 2)
            self._head = self._tail = head.rfind(b"\n") + 1 or len(head)
        start = max(self._size - self._most // 4, self._tail)
        self.seek(start)
        rest = _read(self, self._size - start)
        begin = rest.find(b"\n") + 1
        rest = rest[begin:]
        self._cut += start + begin - self._tail
        words = (
            f"[stepwell: {self._cut} bytes were cut out here, as a log keeps {self._most}; {LOG_BYTES} says how many]\n"
        )
        kept = words.encode() + rest
        self.seek(self._head)
        while kept:
            kept = kept[super().write(kept) :]
        self._tail, self._size = self._head + len(words), self.tell()
        self.truncate(self._size)


def _read(file: FileIO, most: int) -> bytes:
    parts = []
    while most > 0 and (part := file.read(most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _most_bytes() -> int:
    text = os.environ.get(LOG_BYTES, "")
    return max(int(text), _LEAST_BYTES) if text.isdecimal() else _USUAL_BYTES


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[Log]:
    """Open a log file, empty at first and of a bounded size, for as long as the block runs."""
    try:
        file = Log(path, _most_bytes())
    except OSError as error:
        raise _no_log(path, error) from error
    with file:
        yield file


def _no_log(path: object, error: OSError) -> StepFailedException:
    return StepFailedException(
        "The log can't be written",
        {"file": path, "error": error.strerror},
        "Make room there, or check the permissions.",
    )


class Text:
    """One output of a process: bytes in, redacted lines out, on the way into its log files.

    A line that others took the place of, each after a carriage return, is kept as it was at last.
    """

    def __init__(self, logs: tuple[Log, ...], redact: Redact) -> None:
        self._redaction = _Redaction(redact)
        self._logs = logs
        self._lines = _Lines()
        self._update = b""

    def take(self, data: bytes) -> bytes:
        """Write the next bytes to the files, and return what to forward of them."""
        return self._lines.of(self._written(self._redaction.of(data)))

    def finish(self) -> bytes:
        """Return what to forward at last: a line without an end, or an update that none followed."""
        return self._lines.rest(self._written(self._redaction.rest(), at_end=True))

    def _written(self, data: bytes, *, at_end: bool = False) -> bytes:
        if not (data or at_end):
            return data
        kept, self._update = _kept((b"" if data else self._update) + data)
        if at_end and self._update:
            kept, self._update = kept + self._update[:-1] + b"\n", b""
        for log in self._logs:
            rest = memoryview(kept)
            try:
                while rest:
                    rest = rest[log.write(rest) :]
                log.show(id(self), self._update)
            except OSError as error:
                raise _no_log(log.name, error) from error
        return data


class Stream(Text):
    """The text that comes through a pipe."""

    def __init__(self, pipe: IO[bytes], logs: tuple[Log, ...], redact: Redact) -> None:
        super().__init__(logs, redact)
        self._pipe = pipe.fileno()
        os.set_blocking(self._pipe, False)
        self.at_end = False

    def fileno(self) -> int:
        """Return the pipe's descriptor."""
        return self._pipe

    def read(self, most: int = CHUNK) -> bytes:
        """Read the next bytes, write them to the files, and return what to forward of them."""
        try:
            data = os.read(self._pipe, most)
        except BlockingIOError:
            return b""
        self.at_end = not data
        return self.take(data) if data else b""

    def drain(self) -> bytes:
        """Do as `read` with all bytes that are there now; bounded even if somebody keeps writing."""
        (left,) = struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4)))
        parts = [self.read(min(CHUNK, left - done)) for done in range(0, left, CHUNK)]
        return b"".join(parts)


class _Redaction:
    """Bytes in, redacted bytes out, whole lines at a time, so that no secret comes in two unrecognizable halves."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._held = b""

    def of(self, data: bytes) -> bytes:
        """Return the part of all that came that is complete, redacted; the rest is held back."""
        data = self._held + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if not end and len(data) > HELD:
            end = self._cut(data)
        self._held = data[end:]
        return self._redacted(data[:end])

    def rest(self) -> bytes:
        """Return what was held back, redacted."""
        return self._redacted(self._held)

    def _cut(self, data: bytes) -> int:
        """Return where a line that is too long to wait for can be cut without cutting a secret."""
        whole = self._redacted(data)
        places = range(len(data) - OVERLAP, len(data) // 2, -OVERLAP // 2)
        safe = (at for at in places if self._redacted(data[:at]) + self._redacted(data[at:]) == whole)
        return next(safe, places[-1])

    def _redacted(self, data: bytes) -> bytes:
        if self._redact is unchanged or not data:
            return data
        return self._redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


class _Lines:
    """Bytes in, complete lines out, and of the updates of a progress bar the latest, now and then."""

    def __init__(self) -> None:
        self._line = b""
        self._update = b""  # forwarded unless a later one takes its place
        self._shown = 0.0

    def of(self, data: bytes) -> bytes:
        """Return the lines that are complete now, with at most one update of a progress bar, as the last line."""
        self._line += data
        if not data or not (data.endswith((b"\n", b"\r")) or len(self._line) > LONGEST):
            return b""
        lines, self._line = _latest(self._line), b""
        self._update = b""
        if not lines.endswith(b"\r"):
            return lines
        now = time.monotonic()
        if now - self._shown >= UPDATE_SECONDS:
            self._shown = now
            return lines
        start = lines.rfind(b"\n") + 1
        self._update = lines[start:]
        return lines[:start]

    def rest(self, data: bytes) -> bytes:
        """Return what to forward when the last data came."""
        return _latest(self._line + data) or self._update


def _latest(data: bytes) -> bytes:
    """Drop the lines that end with a carriage return, except the last one if nothing took its place."""
    if b"\r" not in data:
        return data
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines[:-1] if not line.endswith(b"\r")) + lines[-1]


def _kept(data: bytes) -> tuple[bytes, bytes]:
    """Return what a log keeps of the data, and the update of a progress bar at their end, which the next one replaces."""
    if b"\r" not in data:
        return data, b""
    lines = data.splitlines(keepends=True)
    update = lines.pop() if _is_update(lines[-1]) else b""
    return b"".join(line for line in lines if not _is_update(line)), update


def _is_update(line: bytes) -> bool:
    """Return whether a line ends in a carriage return and is one of text: what is no text is kept as it is."""
    return line.endswith(b"\r") and len(line) <= _LONGEST_UPDATE and not _NO_TEXT.search(line, 0, len(line) - 1)
