"""What mini-batches returned, kept in one file while they come, and with their identities for later executions.

What an execution keeps has `index.jsonl`, a line for each mini-batch of which no item failed: its identity, how many rows
it has, and where in the step's file of rows they are, with their digest; and `state.json`, which says whether they may be used
again. Nothing in there is believed that the digest does not confirm.

Rows stand in the order of the items, if there is one for each: so the file is the same whichever mini-batches ran, and
whichever they were. Of a mini-batch that has more or fewer, nobody can tell which row is which item's, and they stay together:
then the file is the same only if the mini-batches are those of an execution that knows of no earlier one.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import IO, Any, NamedTuple

from stepwell.drivers.parallel_run.batches import Identity, MiniBatch

INDEX, STATE = "index.jsonl", "state.json"
FORMAT = 1
_MASK = (1 << 40) - 1


class Rows(NamedTuple):
    """Where the rows of a mini-batch are in a file, by begin and length, how many they are, and the digest of these bytes."""

    places: tuple[tuple[int, int], ...]
    number: int
    digest: str


class Earlier(NamedTuple):
    """What an earlier execution has of its mini-batches, or why that may not be used.

    `in_order`: there is a row for each item, so that the mini-batches may be others than those of a first execution.
    """

    rows: Mapping[Identity, Rows] = MappingProxyType({})
    why_not: str = ""
    in_order: bool = True

    @property
    def moved(self) -> tuple[Identity, ...]:
        """The mini-batches that may stand although a first execution would have others."""
        return tuple(self.rows) if self.in_order else ()


def read_index(folder: str) -> Earlier:
    """Return what an earlier execution has of its mini-batches, and why it may not be used, '' if it may."""
    try:
        with open(os.path.join(folder, STATE), encoding="utf-8") as stream:
            state = json.load(stream)
        if state["format"] != FORMAT:
            return Earlier()
        if state["why_not"]:
            return Earlier(why_not=str(state["why_not"]))
        with open(os.path.join(folder, INDEX), encoding="utf-8") as stream:
            return Earlier(dict(_entry(line) for line in stream), in_order=bool(state.get("in_order", True)))
    except (OSError, ValueError, KeyError, TypeError):
        return Earlier()


def _entry(line: str) -> tuple[Identity, Rows]:
    (name, files, part, parts), (places, number, digest) = json.loads(line)
    known = tuple((int(start), int(length)) for start, length in places)
    return (name, tuple((file, digest) for file, digest in files), part, parts), Rows(known, int(number), str(digest))


class _Known(NamedTuple):
    """The rows of a mini-batch in the file of new ones, or in the earlier one. `whole`: no item failed; `by_item`: one each."""

    batch: MiniBatch
    rows: Rows
    source: IO[bytes]
    whole: bool
    by_item: bool


class Results:
    """The rows of mini-batches by their number: new ones as they come, those of an earlier execution where they are."""

    def __init__(self, earlier: Mapping[Identity, Rows], earlier_file: str) -> None:
        self._earlier = earlier
        self._file = earlier_file
        self._from: IO[bytes] | None = None
        self._new: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this)
        self._end = 0
        self._known: dict[int, _Known] = {}
        self._found: dict[Identity, _Known] = {}

    def close(self) -> None:
        """Forget the rows."""
        self._new.close()
        if self._from:
            self._from.close()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(known.rows.number for known in self._known.values())

    @property
    def in_order(self) -> bool:
        """Whether the mini-batches that there are have a row for each item."""
        return all(known.by_item for known in self._known.values())

    def begin_anew(self) -> None:
        """Forget which mini-batches there are; those with the same files stand."""
        self._found |= {known.batch.identity: known for known in self._known.values() if known.whole}
        self._known.clear()

    def stands(self, number: int, batch: MiniBatch) -> bool:
        """Take the rows of a mini-batch from the earlier execution, and return whether they are there, unharmed."""
        if batch.identity in self._found and batch.identity is not None:
            self._known[number] = self._found[batch.identity]._replace(batch=batch)
            return True
        rows = self._earlier.get(batch.identity)
        if rows is None:
            return False
        with suppress(OSError, ValueError):
            if self._from is None:
                self._from = open(self._file, "rb")  # noqa: SIM115  (closed by `close`)
            data = _read(self._from, rows)
            if hashlib.sha256(data).hexdigest() == rows.digest:
                by_item = rows.number == len(batch.items) == data.count(b"\n")
                self._known[number] = _Known(batch, rows, self._from, whole=True, by_item=by_item)
                return True
        return False

    def add(self, number: int, batch: MiniBatch, data: bytes, count: int, *, whole: bool) -> None:
        """Take new rows; `whole`: no item of the mini-batch failed, so that they may be used again."""
        self._new.write(data)
        self._new.flush()  # or a process that is forked later would write what is left, too
        rows = Rows(((self._end, len(data)),), count, hashlib.sha256(data).hexdigest())
        by_item = count == len(batch.items) == data.count(b"\n")
        self._known[number] = _Known(batch, rows, self._new, whole, by_item)
        self._end += len(data)

    def write(
        self, target: str, folder: str, why_not: str, order: Mapping[str, Mapping[str, int]], *, failed: bool = False
    ) -> None:
        """Write all rows to the target, and what later executions need to the folder.

        `folder` is '' if nothing is to be kept; `why_not` says why it may not be used again. `order` has the position of
        each file, by the names of its input and its own. `failed`: there are items without a row.
        """
        os.makedirs(os.path.dirname(target), exist_ok=True)
        places: dict[int, list[tuple[int, int]]] = {number: [] for number in self._known}
        with open(target, "wb") as stream:
            place = 0
            for number, piece in self._pieces(order):
                stream.write(piece)
                found = places[number]
                if found and sum(found[-1]) == place:
                    found[-1] = found[-1][0], found[-1][1] + len(piece)
                else:
                    found.append((place, len(piece)))
                place += len(piece)
        if folder:
            self._keep(folder, places, {"why_not": why_not, "in_order": self.in_order and not failed})

    def _keep(self, folder: str, places: Mapping[int, list[tuple[int, int]]], state: Mapping[str, Any]) -> None:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, INDEX), "w", encoding="utf-8") as index:
            for number, known in sorted(self._known.items()) if not state["why_not"] else ():
                identity = known.batch.identity
                if known.whole and identity is not None:
                    entry = [identity, known.rows._replace(places=tuple(places[number]))]
                    index.write(json.dumps(entry, separators=(",", ":")) + "\n")
        with open(os.path.join(folder, STATE), "w", encoding="utf-8") as stream:
            json.dump({"format": FORMAT, **state}, stream)

    def _pieces(self, order: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[int, bytes]]:
        """Yield rows, or all rows of a mini-batch, with its number: in the order of the items, or of its first."""
        wanted: list[int] = []  # a number each, since there may be many: position, mini-batch, and its item or none
        for number, known in self._known.items():
            positions = [order[known.batch.input][item.name] for item in known.batch.items]
            if known.by_item:
                wanted += [position << 80 | number << 40 | place + 1 for place, position in enumerate(positions)]
            else:
                wanted.append(positions[0] << 80 | number << 40)
        wanted.sort()
        lines: dict[int, list[bytes]] = {}
        left = {number: len(known.batch.items) for number, known in self._known.items()}
        for packed in wanted:
            number, place = packed >> 40 & _MASK, (packed & _MASK) - 1
            known = self._known[number]
            if place < 0:
                yield number, _read(known.source, known.rows)
                continue
            if number not in lines:
                lines[number] = _read(known.source, known.rows).split(b"\n")
            yield number, lines[number][place] + b"\n"
            left[number] -= 1
            if not left[number]:
                del lines[number]


def _read(stream: IO[bytes], rows: Rows) -> bytes:
    data = b"".join(os.pread(stream.fileno(), length, start) for start, length in rows.places)
    if len(data) != sum(length for _, length in rows.places):
        raise OSError("a file of rows ends too early")
    return data
