"""The runs of a store, newest first: what lists and finds them without reading each one's folder.

What was read of a run's `run.json` is kept in one file, and believed for as long as that is the same file. The index can be lost,
and is never wrong: a folder that came, went or changed by whatever hand is seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.store.run_folder import RunFolder, names_of, readable_runs
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import write_atomically
from stepwell.model.regular_files import read_bytes

_FILE = "runs.index"
_FORMAT = 1


class RunEntry(NamedTuple):
    """What is known of a run without a look into its folder."""

    path: Path
    number: int
    created: float
    label: str
    name: str
    experiment: str
    kind: str
    parent: str
    published: str
    """The id of the published pipeline that it is a run of, '' if of none."""

    is_trial: bool
    machine: str
    """Whose machine has made it, as `user@machine`; '' if that was not noted."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.path)


class RunPlace(NamedTuple):
    """A folder with runs in `runs/` that is no store: what is told here of runs of a store that isn't."""

    root: Path

    @property
    def written(self) -> Path:
        """The same folder."""
        return self.root

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run, whether or not it is there."""
        return self.root / "runs" / run_id


def runs_of(store: Store | RunPlace) -> list[RunEntry]:
    """Return the runs of the store, the newest first."""
    index = store.written / _FILE
    known = _read(index)
    found: dict[Path, tuple[list[int], RunEntry]] = {}
    new: dict[Path, list[int]] = {}
    for path, state in _run_files(store):
        row = known.get(str(path))
        entry = _entry(path, row[1]) if row is not None and row[0] == state else None
        if entry is None:
            new[path] = state
        else:
            found[path] = state, entry
    found |= {path: (new[path], _look(path)) for path in readable_runs(sorted(new))}
    if new or len(found) != len(known):
        rows = {str(path): [state, list(entry[1:])] for path, (state, entry) in found.items()}
        with suppress(OSError):  # a full disk lists no fewer runs
            write_atomically(index, json.dumps({"format": _FORMAT, "runs": rows}, separators=(",", ":")).encode())
    return sorted((entry for _, entry in found.values()), key=lambda entry: (entry.number, entry.created), reverse=True)


def _run_files(store: Store | RunPlace) -> Iterator[tuple[Path, list[int]]]:
    """Yield the folder of each run, and what tells whether its `run.json` is still the same."""
    for root in dict.fromkeys((store.written, store.root)):
        folder = root / "runs"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        prefix = f"{folder}/"
        for name in names:
            state = [0, 0, 0]
            try:
                status = os.stat(f"{prefix}{name}/run.json")
                state = [status.st_ino, status.st_mtime_ns, status.st_size]
            except PermissionError:
                pass
            except OSError:
                continue
            yield folder / name, state


def _look(path: Path) -> RunEntry:
    facts = RunFolder(path).facts()
    texts = {name: facts.get(name) for name in ("name", "kind", "parent_run_id")}
    plain = {name: text if isinstance(text, str) else "" for name, text in texts.items()}
    published, machine = facts.get("published", {}).get("id"), facts.get("machine", {}).get("name")
    return RunEntry(
        path,
        facts.get("number", 0),
        float(facts.get("created", 0)),
        names_of(path.name, facts).label,
        plain["name"],
        str(facts.get("experiment", "flows")),
        plain["kind"],
        plain["parent_run_id"],
        published if isinstance(published, str) else "",
        bool(facts.get("trial")),
        machine if isinstance(machine, str) else "",
    )


def _read(index: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_bytes(index))
        if isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("runs"), dict):
            return {path: row for path, row in found["runs"].items() if isinstance(row, list) and len(row) == 2}
    return {}


_TYPES = (int, float, str, str, str, str, str, str, bool, str)


def _entry(path: Path, row: Any) -> RunEntry | None:
    if isinstance(row, list) and tuple(map(type, row)) == _TYPES:
        return RunEntry(path, *row)
    return None
