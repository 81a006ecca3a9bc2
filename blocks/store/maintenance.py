"""Maintenance of the store: reads every byte again, removes what nobody needs, measures how much there is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.store.claims import claimed
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import StoreException
from stepwell.model.tree import scan

_DAY = 86_400
_GRACE_SECONDS = 3_600


@dataclass(frozen=True)
class Verification:
    """How many results were checked, and a sentence for each damage."""

    checked: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Amount:
    """Records, trees and bytes: what there is, or what was removed."""

    records: int
    trees: int
    bytes: int


def verify(store: Store) -> Verification:
    """Check every kept byte anew, and return what is damaged; change nothing."""
    damaged, seen, count = [], dict[str, str](), 0
    for path, record in store.records():
        count += 1
        if isinstance(record, Miss):
            damaged.append(f"record {path.stem[:12]}: {record.reason}")
            continue
        for name, artifact in record.outputs.items():
            if artifact.digest not in seen:
                seen[artifact.digest] = _damage(store.tree_path(artifact.digest), artifact.digest)
            if seen[artifact.digest]:
                damaged.append(f"output {name!r} of {record.step!r} ({path.stem[:12]}): {seen[artifact.digest]}")
    return Verification(count, tuple(damaged))


def _damage(path: Path, digest: str) -> str:
    try:
        return "" if scan(path).digest == digest else "its bytes are not those that were kept"
    except FileNotFoundError:
        return "it is gone"
    except (OSError, StoreException) as error:
        return f"it can't be read: {error}"


def collect(store: Store, *, days: float = 30, dry_run: bool = False) -> Amount:
    """Remove results not made or used for `days`, trees that no result needs, and leftovers of dead processes.

    Returned is what was removed. What a living run uses stays: its snapshots, and every result touched since the first
    living run began. So do the snapshots of published pipelines.
    """
    if store.read_only and not dry_run:
        raise StoreException("The store of results can't be written", {"folder": store.root}, "Make it writable first.")
    trash = store.scratch_folder()
    with exclusive(store.lock_file):
        living = [run for run in _runs(store) if run.is_alive() or _is_starting(run)]
        cutoff = min([time.time() - days * _DAY, *(_began(run) for run in living)])
        expired, needed = [], {digest for run in living for digest in run.facts().get("snapshots", {}).values()}
        needed |= claimed(store)
        for path, record in store.records():
            if path.stat().st_mtime < cutoff or isinstance(record, Miss):
                expired.append(path)
            else:
                needed |= {artifact.digest for artifact in record.outputs.values()}
        trees = [tree for tree in _trees(store) if tree.name not in needed and _old(tree, living)]
        amount = Amount(len(expired), len(trees), sum(map(_bytes, trees)))
        if not dry_run:
            for number, path in enumerate((*expired, *_index(store, {path.stem for path in expired}), *trees)):
                os.rename(path, trash / str(number))
    for leftover in [trash, *(() if dry_run else _leftovers(store))]:
        remove(leftover)
    return amount


def measure(store: Store) -> Amount:
    """Return how much the store holds."""
    trees = list(_trees(store))
    return Amount(sum(1 for _ in store.records()), len(trees), sum(map(_bytes, trees)))


def _runs(store: Store) -> Iterator[RunFolder]:
    for path in sorted((store.root / "runs").glob("*")):
        yield RunFolder(path)


def _is_starting(run: RunFolder) -> bool:
    """Return whether the run was submitted a short while ago, and its process has yet to begin."""
    created = run.facts().get("created", 0)
    return not run.journal() and isinstance(created, float) and created > time.time() - _GRACE_SECONDS


def _began(run: RunFolder) -> float:
    mark = run.path / ("alive.lock" if (run.path / "alive.lock").exists() else "run.json")  # the first is written once
    return mark.stat().st_mtime - _GRACE_SECONDS


def _index(store: Store, keys: set[str]) -> list[Path]:
    return [path for path in (store.root / "index").glob("*/*/*") if path.name.rpartition("-")[2] in keys]


def _trees(store: Store) -> Iterator[Path]:
    yield from sorted((store.root / "trees").glob("*/*"))


def _old(tree: Path, living: list[RunFolder]) -> bool:
    """Return whether no run that lives can be about to name the tree in a record."""
    return not living or tree.stat().st_mtime < min(map(_began, living))


def _bytes(tree: Path) -> int:
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(tree) for name in names)


def _leftovers(store: Store) -> Iterator[Path]:
    """Yield scratch folders whose process is gone, and files whose writing was cut off."""
    for path in (store.root / "work").glob("*-*"):
        pid = path.name.partition("-")[0]
        if pid.isdecimal() and not _lives(int(pid)):
            yield path
    for path in store.root.glob("[mor]*/*/.*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _DAY:
                yield path


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
