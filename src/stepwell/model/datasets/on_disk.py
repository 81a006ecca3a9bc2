"""Values on disk, found again by where they are, in the order they came, or sorted: any number of them in little memory."""

from __future__ import annotations

import marshal
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_BUFFERED_BYTES, _FIRST_BYTES = 1 << 16, 1 << 11
_IN_A_BLOCK = 512
_IN_MEMORY, _MERGED_RUNS = 1 << 14, 16
"""How many values are sorted at once, and how many sorted runs of them are merged at once."""


class Records:
    """Plain values in a file without a name. Forked processes read what was there when they were forked, and `flush` was called."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed with this)
        weakref.finalize(self, self._file.close)
        self._buffer = bytearray()
        self._written = 0

    def put(self, value: Any) -> int:
        """Keep the value; return its place."""
        place = self._written + len(self._buffer)
        data = marshal.dumps(value)
        self._buffer += len(data).to_bytes(8, "little")
        self._buffer += data
        if len(self._buffer) > _BUFFERED_BYTES:
            self.flush()
        return place

    def flush(self) -> None:
        """Let other processes see all values."""
        while self._buffer:
            written = os.pwrite(self._file.fileno(), self._buffer, self._written)
            self._written += written
            del self._buffer[:written]

    def get(self, place: int) -> Any:
        """Return the value at the place."""
        if place >= self._written:
            self.flush()
        data = self._read(_FIRST_BYTES, place)
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 + size:
            data += self._read(8 + size - len(data), place + len(data))
        return marshal.loads(memoryview(data)[8:])  # noqa: S302  (nobody else can write there)

    def after(self, place: int) -> Iterator[tuple[int, Any]]:
        """Yield the values from this place on, each with its own; values may be put meanwhile."""
        data, start = b"", place
        while place < self._written + len(self._buffer):
            if place >= self._written:
                self.flush()
            begin = place - start + 8
            end = begin + int.from_bytes(data[begin - 8 : begin], "little")
            if begin > len(data) or end > len(data):
                data, start = self._read(max(end - begin + 8, _BUFFERED_BYTES), place), place
                continue
            yield place, marshal.loads(memoryview(data)[begin:end])  # noqa: S302
            place += end - begin + 8

    @property
    def end(self) -> int:
        """The place that the next value will have."""
        return self._written + len(self._buffer)

    def _read(self, size: int, place: int) -> bytes:
        data = os.pread(self._file.fileno(), size, place)
        while data and len(data) < size and place + len(data) < self._written:
            data += os.pread(self._file.fileno(), size - len(data), place + len(data))
        return data


class Spool(Generic[_T]):
    """Plain values in the order they were added; read as often as wanted."""

    def __init__(self, values: Iterable[_T] = ()) -> None:
        self._records: Records | None = None
        self._last: list[_T] = []
        self._count = 0
        for value in values:
            self.append(value)

    def append(self, value: _T) -> None:
        """Add a value."""
        self._last.append(value)
        if len(self._last) == _IN_A_BLOCK:
            if self._records is None:
                self._records = Records()
            self._records.put(self._last)
            self._count += _IN_A_BLOCK
            self._last = []

    def __len__(self) -> int:
        return self._count + len(self._last)

    def __iter__(self) -> Iterator[_T]:
        last = self._last
        if self._records:
            for _, block in self._records.after(0):
                yield from block
        yield from last


def in_order(values: Iterable[_T]) -> Iterator[_T]:
    """Return the plain values sorted; those that come in order cost little."""
    source = iter(values)
    run: list[Any] = sorted(islice(source, _IN_MEMORY))  # type: ignore[type-var]
    if len(run) < _IN_MEMORY:
        return iter(run)
    levels: list[list[Spool[Any]]] = [[]]
    highest: Any = None
    while run:
        if not levels[0] or run[0] < highest:
            _make_room(levels, 0)
            levels[0].append(Spool())
        for value in run:
            levels[0][-1].append(value)
        highest = run[-1]
        run = sorted(islice(source, _IN_MEMORY))  # type: ignore[type-var]
    runs = [run for level in levels for run in level]
    return merge(*runs) if len(runs) > 1 else iter(runs[0])


def _make_room(levels: list[list[Spool[Any]]], level: int) -> None:
    """Merge the runs of a level into one of the next if they are many, so that never many are open."""
    if len(levels[level]) < _MERGED_RUNS:
        return
    if level + 1 == len(levels):
        levels.append([])
    _make_room(levels, level + 1)
    levels[level + 1].append(Spool(merge(*levels[level])))
    levels[level].clear()
