"""What mini-batches returned, kept in one file while they come, and with their identities for later executions.

What an execution keeps has `index.jsonl`, a line for each mini-batch of which no item failed: its identity, how many rows
it has, and where in the step's file of rows they are, with their digest; and `state.json`, which says whether they may be used
again. Nothing in there is believed that the digest does not confirm.

Rows stand in the order of the items, if there is one for each: so the file is the same whichever mini-batches ran, and
whichever they were. Of a mini-batch that has more or fewer, nobody can tell which row is which item's, and they stay together:
then the file is the same only if the mini-batches are those of an execution that knows of no earlier one.

All of it is on disk; in memory are the rows of the mini-batches between whose items others stand, while they are written.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, NamedTuple

from stepwell.drivers.parallel_run.batches import MiniBatch
from stepwell.model.datasets.on_disk import Records, in_order

INDEX, STATE = "index.jsonl", "state.json"
FORMAT = 1


class Rows(NamedTuple):
    """Where the rows of a mini-batch are in a file, by begin and length, how many they are, and the digest of these bytes."""

    places: tuple[tuple[int, int], ...]
    number: int
    digest: str


class Earlier:
    """What an earlier execution has of its mini-batches, by numbers, or why that may not be used.

    `in_order`: there is a row for each item, so that the mini-batches may be others than those of a first execution.
    """

    def __init__(
        self, entries: Iterable[tuple[MiniBatch, Rows]] = (), why_not: str = "", *, in_order: bool = True
    ) -> None:
        self.why_not, self.in_order = why_not, in_order
        self._entries = Records()
        self._places = array("Q", (self._entries.put((tuple(batch), tuple(rows))) for batch, rows in entries))
        self._hashes: array[int] | None = None
        self._numbers = array("Q")

    def __len__(self) -> int:
        return len(self._places)

    def batches(self) -> Iterator[tuple[int, MiniBatch]]:
        """Yield all mini-batches with their numbers."""
        for number, (_, (batch, _)) in enumerate(self._entries.after(0)):
            yield number, MiniBatch(*batch)

    def batch(self, number: int) -> MiniBatch:
        """Return the mini-batch of that number."""
        return MiniBatch(*self._entries.get(self._places[number])[0])

    def rows(self, number: int) -> Rows:
        """Return where its rows are."""
        return Rows(*self._entries.get(self._places[number])[1])

    def find(self, batch: MiniBatch) -> int | None:
        """Return the number of the mini-batch with the same files, of the same content; None if there is none."""
        if not self._places or not batch.is_known:
            return None
        if self._hashes is None:
            self._hashes = array("q")
            for hashed, number in in_order((hash(one), number) for number, one in self.batches()):
                self._hashes.append(hashed)
                self._numbers.append(number)
        at = bisect_left(self._hashes, hash(batch))
        while at < len(self._hashes) and self._hashes[at] == hash(batch):
            if self.batch(self._numbers[at]) == batch:
                return self._numbers[at]
            at += 1
        return None


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
            return Earlier(map(_entry, stream), in_order=bool(state.get("in_order", True)))
    except (OSError, ValueError, KeyError, TypeError):
        return Earlier()


def _entry(line: str) -> tuple[MiniBatch, Rows]:
    (name, files, part, parts), (places, number, digest) = json.loads(line)
    names, digests = zip(*files, strict=True)
    rows = Rows(tuple((int(start), int(length)) for start, length in places), int(number), str(digest))
    return MiniBatch(str(name), tuple(map(str, names)), tuple(map(str, digests)), int(part), int(parts)), rows


class _Known(NamedTuple):
    """The rows of a mini-batch: whence they are, the mini-batch's place there, where and how many they are, their digest.

    `whole`: no item failed; `by_item`: one each.
    """

    kind: int
    place: int
    items: int
    number: int
    begin: int
    length: int
    digest: bytes
    whole: bool
    by_item: bool


_NEW, _AGAIN, _EARLIER = 1, 2, 3
_KNOWN = struct.Struct("<BQQQQQ32s??")


class Results:
    """The rows of mini-batches by their number: new ones as they come, those of an earlier execution where they are.

    `jobs` has the new mini-batches, each after its number.
    """

    def __init__(self, earlier: Earlier, earlier_file: str, jobs: Records) -> None:
        self._earlier, self._file, self._jobs = earlier, earlier_file, jobs
        self._from: IO[bytes] | None = None
        self._new = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed with this)
        self._table = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed with this)
        self._end = 0
        self._again = Earlier()
        self.count = 0
        self.in_order = True

    def close(self) -> None:
        """Forget the rows."""
        for file in (self._new, self._table, self._from):
            if file:
                file.close()

    def begin_anew(self) -> None:
        """Forget which mini-batches there are; those with the same files as one that has run stand."""
        self._again = Earlier(self._that_ran())
        os.ftruncate(self._table.fileno(), 0)
        self.count, self.in_order = 0, True

    def _that_ran(self) -> Iterator[tuple[MiniBatch, Rows]]:
        for _, (number, *batch) in self._jobs.after(0):
            known = self._known(number)
            if known is not None and known.whole and all(batch[2]):
                yield MiniBatch(*batch), Rows(((known.begin, known.length),), known.number, known.digest.hex())

    def stands(self, number: int, batch: MiniBatch, earlier: int | None) -> bool:
        """Take the rows of a mini-batch that has run, or ran in an earlier execution; return whether they are unharmed.

        `earlier` is its number there, None if it is none of these.
        """
        with suppress(OSError, ValueError):
            again = self._again.find(batch)
            if again is not None:
                self._take(number, batch, self._again.rows(again), _AGAIN, again, self._new)
                return True
            if earlier is not None:
                if self._from is None:
                    self._from = open(self._file, "rb")  # noqa: SIM115  (closed by `close`)
                self._take(number, batch, self._earlier.rows(earlier), _EARLIER, earlier, self._from)
                return True
        return False

    def _take(self, number: int, batch: MiniBatch, rows: Rows, kind: int, place: int, source: IO[bytes]) -> None:
        data = _read(source, rows.places)
        digest = hashlib.sha256(data)
        if digest.hexdigest() != rows.digest:
            raise ValueError("they were changed")
        begin, length = rows.places[0] if kind == _AGAIN else (0, len(data))
        self._put(number, kind, place, batch, data, rows.number, begin, length, whole=True)

    def add(self, number: int, place: int, batch: MiniBatch, data: bytes, count: int, *, whole: bool) -> None:
        """Take new rows of what is at this place of the jobs; `whole`: no item failed, so that they may be used again."""
        left = memoryview(data)
        while left:
            left = left[os.pwrite(self._new.fileno(), left, self._end + len(data) - len(left)) :]
        self._put(number, _NEW, place, batch, data, count, self._end, len(data), whole=whole)
        self._end += len(data)

    def _put(
        self, number: int, kind: int, place: int, batch: MiniBatch, data: bytes, count: int, begin: int, length: int, *, whole: bool
    ) -> None:  # fmt: skip
        items = len(batch.names)
        by_item = count == items == data.count(b"\n")
        digest = hashlib.sha256(data).digest()
        known = _KNOWN.pack(kind, place, items, count, begin, length, digest, whole, by_item)
        os.pwrite(self._table.fileno(), known, number * _KNOWN.size)
        self.count += count
        self.in_order &= by_item

    def _known(self, number: int) -> _Known | None:
        found = os.pread(self._table.fileno(), _KNOWN.size, number * _KNOWN.size)
        known = _Known(*_KNOWN.unpack(found)) if len(found) == _KNOWN.size else None
        return known if known and known.kind else None

    def write(
        self, target: str, folder: str, why_not: str, layout: Iterable[tuple[int, int, int]], *, failed: bool = False
    ) -> None:
        """Write all rows to the target, and what later executions need to the folder.

        `folder` is '' if nothing is to be kept; `why_not` says why it may not be used again. `layout` tells in the order of
        items which are in which mini-batch, from which place on, and how many. `failed`: there are items without a row.
        """
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not folder:
            with open(target, "wb") as stream:
                self._write(stream, layout, None)
            return
        os.makedirs(folder, exist_ok=True)
        with open(target, "wb") as stream, open(os.path.join(folder, INDEX), "w", encoding="utf-8") as index:
            self._write(stream, layout, None if why_not else index)
        state = {"format": FORMAT, "why_not": why_not, "in_order": self.in_order and not failed}
        with open(os.path.join(folder, STATE), "w", encoding="utf-8") as stream:
            json.dump(state, stream)

    def _write(self, stream: IO[bytes], layout: Iterable[tuple[int, int, int]], index: IO[str] | None) -> None:
        """Write the rows, and to the index which mini-batch has which of them."""
        end = 0
        torn: dict[int, _Torn] = {}
        for number, place, items in layout:
            found = torn.get(number)
            known = found.known if found else self._known(number)
            if known is None or (place and not known.by_item):
                continue
            if not known.by_item or items == known.items:
                data = self._rows(known)
                places, left = [(end, len(data))], 0
            else:
                if found is None:
                    found = torn[number] = _Torn(known, self._rows(known).split(b"\n"))
                data = b"\n".join((*found.lines[place : place + items], b""))
                found.put(end, len(data), items)
                places, left = found.places, found.left
                if not left:
                    del torn[number]
            stream.write(data)
            end += len(data)
            if index and known.whole and not left:
                name, names, digests, part, parts = batch = self._batch(known)
                if batch.is_known:
                    entry = [[name, list(zip(names, digests, strict=True)), part, parts]]
                    entry.append([places, known.number, known.digest.hex()])
                    index.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def _rows(self, known: _Known) -> bytes:
        if known.kind == _EARLIER:
            assert self._from is not None
            return _read(self._from, self._earlier.rows(known.place).places)
        return _read(self._new, ((known.begin, known.length),))

    def _batch(self, known: _Known) -> MiniBatch:
        if known.kind == _NEW:
            return MiniBatch(*self._jobs.get(known.place)[1:])
        return (self._again if known.kind == _AGAIN else self._earlier).batch(known.place)


class _Torn:
    """The rows of a mini-batch between whose items others stand, where they were written so far, how many are left."""

    def __init__(self, known: _Known, lines: list[bytes]) -> None:
        self.known, self.lines = known, lines
        self.places: list[tuple[int, int]] = []
        self.left = known.items

    def put(self, place: int, length: int, items: int) -> None:
        """Note that the rows of so many items were written at the place."""
        self.left -= items
        if self.places and sum(self.places[-1]) == place:
            self.places[-1] = self.places[-1][0], self.places[-1][1] + length
        else:
            self.places.append((place, length))


def _read(stream: IO[bytes], places: Iterable[tuple[int, int]]) -> bytes:
    data = [os.pread(stream.fileno(), length, start) for start, length in places]
    if any(len(found) != length for found, (_, length) in zip(data, places, strict=True)):
        raise OSError("a file of rows ends too early")
    return b"".join(data)
