"""What mini-batches returned, kept in one file while they come, and with their identities for later executions.

`mini-batches/` of an execution has `index.jsonl`, a line for each mini-batch of which no item failed: its identity, how many
rows it has, and where in the step's file of rows they are, with their digest; and `state.json`, which says whether they may
be used again. Nothing in there is believed that the digest does not confirm.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, NamedTuple

from stepwell.drivers.parallel_run.batches import Identity, MiniBatch

INDEX, STATE = "index.jsonl", "state.json"
FORMAT = 1
_CHUNK = 1 << 20


class Rows(NamedTuple):
    """Where the rows of a mini-batch are in a file, how many, and the digest of these bytes."""

    start: int
    length: int
    count: int
    digest: str


def read_index(folder: str) -> tuple[dict[Identity, Rows], str]:
    """Return what an earlier execution has of its mini-batches, and why it may not be used, '' if it may."""
    try:
        with open(os.path.join(folder, STATE), encoding="utf-8") as stream:
            state = json.load(stream)
        if state["format"] != FORMAT:
            return {}, ""
        if state["why_not"]:
            return {}, str(state["why_not"])
        with open(os.path.join(folder, INDEX), encoding="utf-8") as stream:
            return dict(_entry(line) for line in stream), ""
    except (OSError, ValueError, KeyError, TypeError):
        return {}, ""


def _entry(line: str) -> tuple[Identity, Rows]:
    (name, files, part, parts), rows = json.loads(line)
    return (name, tuple((file, digest) for file, digest in files), part, parts), Rows(*rows)


class Results:
    """The rows of mini-batches by their number: new ones as they come, those of an earlier execution where they are."""

    def __init__(self, earlier: Mapping[Identity, Rows], earlier_file: str) -> None:
        self._earlier = earlier
        self._file = earlier_file
        self._from: IO[bytes] | None = None
        self._new: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this)
        self._end = 0
        self._known: dict[int, tuple[MiniBatch, Rows, bool, bool]] = {}

    def close(self) -> None:
        """Forget the rows."""
        self._new.close()
        if self._from:
            self._from.close()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(rows.count for _, rows, _, _ in self._known.values())

    def stands(self, number: int, batch: MiniBatch) -> bool:
        """Take the rows of a mini-batch from the earlier execution, and return whether they are there, unharmed."""
        rows = self._earlier.get(batch.identity)
        if rows is None:
            return False
        with suppress(OSError, ValueError):
            if self._from is None:
                self._from = open(self._file, "rb")  # noqa: SIM115  (closed by `close`)
            data = os.pread(self._from.fileno(), rows.length, rows.start)
            if hashlib.sha256(data).hexdigest() == rows.digest:
                self._known[number] = batch, rows, True, True
                return True
        return False

    def add(self, number: int, batch: MiniBatch, data: bytes, count: int, *, whole: bool) -> None:
        """Take new rows; `whole`: no item of the mini-batch failed, so that they may be used again."""
        self._new.write(data)
        rows = Rows(self._end, len(data), count, hashlib.sha256(data).hexdigest())
        self._known[number] = batch, rows, False, whole
        self._end += len(data)

    def write(self, target: str, folder: str, why_not: str) -> None:
        """Write all rows to the target, in the order of the mini-batches, and what later executions need to the folder.

        `folder` is '' if nothing is to be kept; `why_not` says why it may not be used again.
        """
        self._new.flush()
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream, _index(folder) as index:
            place = 0
            for number in sorted(self._known):
                batch, rows, stood, whole = self._known[number]
                self._copy(rows, stood, stream)
                if whole and batch.identity is not None and not why_not:
                    moved = rows._replace(start=place)
                    index.write(json.dumps([batch.identity, moved], separators=(",", ":")) + "\n")
                place += rows.length
        if folder:
            with open(os.path.join(folder, STATE), "w", encoding="utf-8") as stream:
                json.dump({"format": FORMAT, "why_not": why_not}, stream)

    def _copy(self, rows: Rows, stood: bool, stream: IO[bytes]) -> None:
        source = self._from if stood else self._new
        assert source is not None
        place, end = rows.start, rows.start + rows.length
        while place < end:
            data = os.pread(source.fileno(), min(_CHUNK, end - place), place)
            if not data:
                raise OSError(f"{self._file or 'the file of new rows'} ends too early")
            stream.write(data)
            place += len(data)


def _index(folder: str) -> IO[str]:
    if not folder:
        return open(os.devnull, "w", encoding="utf-8")
    os.makedirs(folder, exist_ok=True)
    return open(os.path.join(folder, INDEX), "w", encoding="utf-8")
