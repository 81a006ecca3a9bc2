"""Which runs are kept: the newest, within limits of age, count and size, and those that are pinned, published or at work."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.store.maintenance import check_collectable
from stepwell.blocks.store.run_folder import ENDED, RunFolder
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.disk import owner_of
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import StoreException
from stepwell.model.records import StepRecord

PINNED, PUBLISHED = "pinned", "published"
"""Files in a run's folder that say that it stays."""

_DAY = 86_400
_GRACE_SECONDS, _UNFINISHED_SECONDS = 3_600, 7 * _DAY


@dataclass(frozen=True)
class Limits:
    """How old a run may be, how many there may be, and how many bytes they may have."""

    days: float = 90
    runs: int = 10_000
    bytes: int = 50 << 30


@dataclass(frozen=True)
class Removed:
    """How many runs were removed, how many bytes, and which run folders stay since they can't be read or understood."""

    runs: int
    bytes: int
    unreadable: tuple[Path, ...] = ()


def collect_runs(store: Store, limits: Limits, *, dry_run: bool = False) -> Removed:
    """Remove the oldest runs beyond the limits, and return how much that was.

    Those that are pinned or published, at work or not yet finished stay, and count; so do those that can't be read or
    understood: another user's, or another version's. Of a run that goes, the logs and
    metrics of results that the store still has stay too, since a step that reuses such a result shows them.
    """
    check_collectable(store, dry_run)
    trash = store.trash_folder()
    removed_runs = removed_bytes = count = size = 0
    unreadable = []
    try:
        with exclusive(store.lock_file):
            needed = _needed(store)
            folders = [path for path in (store.root / "runs").glob("*") if path.is_dir() and not path.is_symlink()]
            for path in sorted(folders, key=_last_change, reverse=True):
                if not RunFolder(path).is_legible():
                    unreadable.append(path)
                    count += 1
                    continue
                entries = _entries(path, needed)
                own = sum(map(_bytes, entries))
                count, size = count + 1, size + own
                old = _last_change(path) < time.time() - limits.days * _DAY
                if not entries or _stays(path) or not (old or count > limits.runs or size > limits.bytes):
                    continue
                if not dry_run and not _move(path, entries, trash / path.name):
                    unreadable.append(path)
                    continue
                count, size, removed_runs, removed_bytes = count - 1, size - own, removed_runs + 1, removed_bytes + own
    finally:
        remove(trash)
    return Removed(removed_runs, removed_bytes, tuple(unreadable))


def delete_run(store: Store, path: Path, *, dry_run: bool = False) -> int:
    """Remove one run's folder, but for logs and metrics of results that the store still has, and return its bytes.

    Whether the run may go is for the caller to know. Raise StoreException if this user may not remove it.
    """
    check_collectable(store, dry_run)
    trash = store.trash_folder()
    try:
        with exclusive(store.lock_file):
            entries = _entries(path, _needed(store))
            size = sum(map(_bytes, entries))
            if not dry_run and not _move(path, entries, trash / path.name):
                facts = {"folder": path, "owner": owner_of(path)}
                raise StoreException(
                    "The run's files can't be removed by this user", facts, "Delete it as their owner."
                )
    finally:
        remove(trash)
    return size


def _needed(store: Store) -> set[str] | None:
    """Return the step runs whose logs kept results need; None if that may be any, as a result can't be understood."""
    found = [record for _, record in store.records()]
    needed = {record.step_run_id for record in found if isinstance(record, StepRecord)}
    return needed if len(needed) == len(found) else None


def _stays(path: Path) -> bool:
    """Return whether the run is pinned or published, at work, or may yet go on."""
    if (path / PINNED).exists() or (path / PUBLISHED).exists():
        return True
    run, idle = RunFolder(path), time.time() - _last_change(path)
    ended = run.facts().get("kind") == "flow" or run.status().get("status") in ENDED
    return idle < _GRACE_SECONDS or run.is_alive() or (not ended and idle < _UNFINISHED_SECONDS)


def _last_change(path: Path) -> float:
    times = [0.0]
    for name in ("run.json", "journal.jsonl"):
        with suppress(OSError):
            times.append((path / name).lstat().st_mtime)
    return max(times) or path.lstat().st_mtime


def _entries(path: Path, needed: set[str] | None) -> list[Path]:
    """Return what goes of the run's folder, what lists it first; all but the steps whose results are kept (None: all)."""
    found = [path / name for name in os.listdir(path) if name != "steps"]
    with suppress(OSError):
        if needed is None:
            return sorted(found, key=lambda entry: entry.name != "run.json")
        found += [path / "steps" / name for name in os.listdir(path / "steps") if name not in needed]
    return sorted(found, key=lambda entry: entry.name != "run.json")


def _move(path: Path, entries: list[Path], target: Path) -> bool:
    """Move what goes away; return whether this user may."""
    make_folder(target)
    try:
        for number, entry in enumerate(entries):
            os.rename(entry, target / str(number))
    except PermissionError:
        return False
    for folder in (path / "steps", path):
        with suppress(OSError):  # something in it is still needed
            folder.rmdir()
    return True


def _bytes(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
