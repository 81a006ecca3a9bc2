"""What users wait for: whole commands of `stepwell`, with the server and a resident runner up, each with its budget."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import peers
from peers_report import budget_rows
from place import CLI, Place, new_salt
from rows import Row


def waits(place: Place) -> Iterator[Row]:
    """Yield what `make bench-peers` measures of Stepwell with its resident runner, beside the budgets."""
    folder = place.folder / "waits"
    folder.mkdir()
    place.settle()
    found = peers.figures_of(peers.Stepwell(resident=True), folder, quick=False)
    shutil.rmtree(folder)
    yield from budget_rows(found)


def thousand_reused(place: Place) -> Iterator[Row]:
    """Yield `stepwell run` of a thousand steps that are all reused."""
    salt = new_salt()
    place.run(1000, salt)
    again = [place.run(1000, salt) for _ in range(place.repeat)]
    seconds = median(one.seconds for one in again)
    yield Row("1,000 steps, all reused", seconds, 1.5, "s", f"{_each(seconds, 1000)} ms each")


def growing_memory(place: Place) -> Iterator[Row]:
    """Yield the most memory of `stepwell run`, in a process of its own, of very many steps: new, and all reused."""
    count, salt = 1000 if place.quick else 5000, new_salt()
    for word in ("new", "reused"):
        taken = place.run(count, salt, STEPWELL_RESIDENT="0")
        detail = f"{taken.seconds:.1f} s, CPU {taken.cpu:.1f} s"
        yield Row(f"most memory, {count:,} steps, {word}", taken.megabytes, 400, "MB", detail)


def runs_listed(place: Place) -> Iterator[Row]:
    """Yield `stepwell runs` where there are two thousand runs, and where their index is lost."""
    count = 2000
    place.run(2, new_salt())
    runs = next(place.folder.glob("home/**/runs/counter")).parent
    _multiply(runs, count)
    for word, lost in (("its index lost", True), ("listed", False)):
        taken = []
        for _ in range(place.repeat):
            if lost:
                (runs.parent / "runs.index").unlink(missing_ok=True)
            taken.append(place.command(*CLI, "runs").seconds)
        yield Row(f"stepwell runs of {count:,} runs, {word}", median(taken), 0.3, "s")


def _multiply(runs: Path, count: int) -> None:
    """Make as many runs as there are to be, each like the one that is there, and older."""
    model = max(runs.glob("*/run.json"), key=os.path.getmtime).parent
    facts, journal = json.loads((model / "run.json").read_text()), (model / "journal.jsonl").read_bytes()
    for number in range(count):
        folder = runs / str(uuid.uuid4())
        folder.mkdir()
        told = {**facts, "id": folder.name, "number": -number, "created": time.time() - 3600}
        (folder / "run.json").write_text(json.dumps(told))
        (folder / "journal.jsonl").write_bytes(journal)


def _each(seconds: float, count: int) -> str:
    return f"{1000 * seconds / count:.2f}"
