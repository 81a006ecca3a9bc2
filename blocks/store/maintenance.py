"""Maintenance of the store: reads every byte again, removes what nobody needs, measures how much there is."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from stepwell.blocks.store.claims import claimed
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.living import is_owner_name, locks_travel, noticed_dead, owners
from stepwell.blocks.system.locks import can_lock, exclusive
from stepwell.errors import StoreException
from stepwell.model.digests import file_digest
from stepwell.model.regular_files import read_bytes, regular_only
from stepwell.model.tree import scan
from stepwell.model.trees.entries import Entry

_DAY = 86_400
_GRACE_SECONDS = 3_600
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Verification:
    """How many results were checked, a sentence for each damage, and how many files of snapshots were checked, too."""

    checked: int
    damaged: tuple[str, ...]
    files: int = 0


@dataclass(frozen=True)
class Amount:
    """Records, trees, files of snapshots and bytes: what there is, or what was removed.

    `unreadable` are records and runs that can't be read or understood. They stay, with all that they may need.
    """

    records: int
    trees: int
    bytes: int
    unreadable: tuple[Path, ...] = ()
    files: int = 0


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
                tree = store.tree_path(artifact.digest)
                expected = tree.exists() or not store.is_promised(artifact.digest)
                seen[artifact.digest] = _damage(tree, artifact.digest) if expected else ""
            if seen[artifact.digest]:
                damaged.append(f"output {name!r} of {record.step!r} ({path.stem[:12]}): {seen[artifact.digest]}")
    blobs = list(_blobs(store))
    wrong = {path.name: words for path in blobs if (words := _blob_damage(path))}
    damaged += _named(store, wrong) if wrong else ()
    try:
        damaged += (
            f"snapshot {d[:12]} of what is published: {words}"
            for d in sorted(claimed(store))
            if (words := _gone(store, d))
        )
    except StoreException as error:
        damaged.append(error.message)
    return Verification(count, tuple(damaged), len(blobs))


def _blob_damage(path: Path) -> str:
    try:
        with open(path, "rb", opener=regular_only) as stream:
            return "" if file_digest(stream) == path.name else "its bytes are not those that were kept"
    except FileNotFoundError:  # collected in between
        return ""
    except OSError as error:
        return f"it can't be read: {error}"


def _named(store: Store, wrong: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each damaged file, with the names that it has in snapshots."""
    names: dict[str, str] = {}
    for path in (store.root / "manifests").glob("*/*.json"):
        tree = store.manifest(path.stem)
        names |= {entry.digest: entry.path for entry in tree.entries if entry.digest in wrong} if tree else {}
    for content, words in sorted(wrong.items()):
        name = names.get(content, "").encode("utf-8", "backslashreplace").decode()
        yield f"file {name or 'of no known name'} of snapshots ({content[:12]}): {words}"


def _gone(store: Store, digest: str) -> str:
    """Return what a claimed snapshot lacks, '' if nothing; of one that is kept as a folder, whether its bytes are right."""
    found = store.snapshot(digest)
    if found is None or (found.tree is not None and store.is_promised(digest)):
        return "" if store.is_promised(digest) else "it is gone"
    if found.tree is None:
        return _damage(found.folders[0], digest)
    lost = [e.path for e in found.tree.entries if e.kind == "file" and not found.place_of(e).exists()]
    return f"{lost[0]} is gone" + (f", and {len(lost) - 1} more" if lost[1:] else "") if lost else ""


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
    living run began. So do the snapshots of runs that are no older than `days` and of published pipelines, and what can't
    be read or understood: another user's, or another version's. What another user made or used stays for a day at least.
    """
    check_collectable(store, dry_run)
    trash = store.trash_folder()
    with exclusive(store.lock_file):
        every = [*_runs(store)]
        living = [run for run in every if run.is_alive() or _is_starting(run)]
        cutoff = min([time.time() - days * _DAY, *(_began(run) for run in living)])
        unreadable = [*_closed(store), *(run.path for run in living if not run.is_legible())]
        needed = _Needed(set(claimed(store)), knows_all=not unreadable)
        kept = (run for run in every if run in living or _created(run) >= cutoff)
        needed.trees |= {digest for run in kept for digest in _snapshots(run)}
        expired: list[Path] = []
        for path, record in store.records():
            if isinstance(record, Miss):
                unreadable.append(path)
                needed.add_unknown(path)
            elif _is_expired(path, cutoff) and (dry_run or _moved(path, trash / f"record-{len(expired)}")):
                expired.append(path)
            else:
                needed.trees |= {artifact.digest for artifact in record.outputs.values()}
        newest = _newest_to_go(store, living)
        trees = {
            tree: _bytes(tree)
            for tree in _trees(store)
            if needed.lacks(tree.name) and (newest is None or tree.stat().st_mtime < newest)
        }
        files = _unneeded_files(store, needed, newest)
        if not dry_run:
            files = {path: size for path, size in files.items() if _moved(path, trash / path.name)}
            trees = {tree: size for tree, size in trees.items() if _moved(tree, trash / f"tree-{tree.name}")}
            for number, path in enumerate(_index(store, {path.stem for path in expired})):
                _moved(path, trash / f"index-{number}")
    inputs = _unused_inputs(store, cutoff)
    size = sum((*trees.values(), *files.values(), *inputs.values()))
    amount = Amount(len(expired), len(trees), size, tuple(unreadable), len(files))
    remove(trash)
    for leftover in () if dry_run else chain(inputs, _leftovers(store, idle=not living)):  # each while its lock is held
        with suppress(OSError):  # another user's
            remove(leftover)
    return amount


def check_collectable(store: Store, dry_run: bool) -> None:
    """Raise StoreException if nothing can be removed from the store, or nobody can tell what is in use."""
    if store.read_only and not dry_run:
        raise StoreException("The store of results can't be written", {"folder": store.root}, "Make it writable first.")
    if not store.read_only and not can_lock(store.lock_file):
        raise StoreException(
            "The store's file system has no locks, so nothing tells what is in use and what may be removed",
            {"folder": store.root},
            "Mount it with locks (NFS: without `nolock`), or move the store to another file system.",
        )


@dataclass
class _Needed:
    """The digests of trees that something needs, and whether that is all of them."""

    trees: set[str]
    knows_all: bool

    def lacks(self, tree: str) -> bool:
        """Return whether nothing can need the tree."""
        return self.knows_all and tree not in self.trees

    def add_unknown(self, record: Path) -> None:
        """Add whatever a record names that can't be understood; one that can't even be read may name anything."""
        try:
            outputs = json.loads(read_bytes(record))["record"]["outputs"]
            self.trees |= {artifact["digest"] for artifact in outputs.values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.knows_all = False


def _moved(path: Path, target: Path) -> bool:
    """Move it away; return whether this user may, and it was there."""
    try:
        os.rename(path, target)
    except (PermissionError, FileNotFoundError):
        return False
    return True


def measure(store: Store) -> Amount:
    """Return how much the store holds."""
    trees, files = list(_trees(store)), [path.lstat().st_size for path in _blobs(store)]
    return Amount(sum(1 for _ in store.records()), len(trees), sum(map(_bytes, trees)) + sum(files), files=len(files))


def _runs(store: Store) -> Iterator[RunFolder]:
    for path in sorted((store.root / "runs").glob("*")):
        yield RunFolder(path)


def _closed(store: Store) -> Iterator[Path]:
    """Yield what may hold records and runs that can't be seen: folders that can't be entered, and files of no known kind."""
    records = store.root / "records"
    for folder in (records, *records.glob("*"), *(store.root / "runs").glob("*")):
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            yield folder
    for path in records.glob("*/*"):
        if path.suffix != ".json" and not path.name.startswith("."):
            yield path


def _is_starting(run: RunFolder) -> bool:
    """Return whether the run was submitted a short while ago, and its process has yet to begin."""
    created = run.facts().get("created", 0)
    return not run.journal() and isinstance(created, float) and created > time.time() - _GRACE_SECONDS


def _snapshots(run: RunFolder) -> Iterator[str]:
    found = run.facts().get("snapshots")
    if isinstance(found, dict):
        yield from (digest for digest in found.values() if isinstance(digest, str) and digest)


def _created(run: RunFolder) -> float:
    created = run.facts().get("created", 0)
    return created if isinstance(created, float) else 0.0


def _began(run: RunFolder) -> float:
    mark = run.path / ("alive.lock" if (run.path / "alive.lock").exists() else "run.json")  # the first is written once
    return mark.stat().st_mtime - _GRACE_SECONDS


def _index(store: Store, keys: set[str]) -> list[Path]:
    return [path for path in (store.root / "index").glob("*/*/*") if path.name.rpartition("-")[2] in keys]


def _trees(store: Store) -> Iterator[Path]:
    """Yield the kept trees; what else stands among them is not ours to judge."""
    yield from sorted(path for path in (store.root / "trees").glob("*/*") if _DIGEST.fullmatch(path.name))


def _blobs(store: Store) -> Iterator[Path]:
    """Yield the files of snapshots, by content; what else stands among them is not ours to judge."""
    yield from sorted(path for path in (store.root / "blobs").glob("*/*") if _DIGEST.fullmatch(path.name))


def _unneeded_files(store: Store, needed: _Needed, newest: float | None) -> dict[Path, int]:
    """Return the files that no needed snapshot names, and are old enough, with their bytes."""
    if not needed.knows_all:
        return {}
    named = {entry.digest for digest in needed.trees for entry in _entries(store, digest)}
    found = {path: path.lstat() for path in _blobs(store) if path.name not in named}
    return {path: status.st_size for path, status in found.items() if newest is None or status.st_mtime < newest}


def _entries(store: Store, digest: str) -> Sequence[Entry]:
    tree = store.manifest(digest)
    return tree.entries if tree else ()


def _is_expired(record: Path, cutoff: float) -> bool:
    """Return whether nobody used the record since then; another user's has a day at least, whatever this one asks for."""
    status = record.stat()
    return status.st_mtime < (cutoff if status.st_uid == os.geteuid() else min(cutoff, time.time() - _DAY))


def _newest_to_go(store: Store, living: list[RunFolder]) -> float | None:
    """Return how new a tree may be that nothing needs; None: as new as can be, since nobody can be about to name it."""
    times = [_began(run) for run in living]
    if not locks_travel(store.written):  # others at work on the store don't wait for our lock
        times.append(time.time() - _GRACE_SECONDS)
    return min(times, default=None)


def _bytes(tree: Path) -> int:
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(tree) for name in names)


def _unused_inputs(store: Store, cutoff: float) -> dict[Path, int]:
    """Return the kept copies of files from elsewhere that no step got since then, with their bytes."""
    found = {path: path.lstat() for path in (store.root / "inputs").glob("*/*")}
    return {path: status.st_size for path, status in found.items() if status.st_mtime < cutoff}


def _leftovers(store: Store, *, idle: bool) -> Iterator[Path]:
    """Yield scratch folders whose owner is dead, and files whose writing was cut off. `idle`: no run lives."""
    scratch: dict[str, list[Path]] = {}
    for path in (store.root / "work").glob("*-*"):
        scratch.setdefault(path.name.partition("-")[0], []).append(path)
    for name in owners(store.owners_folder) | set(filter(is_owner_name, scratch)):
        with noticed_dead(store.owners_folder, name) as dead:
            if dead:
                yield from scratch.get(name, ())
    # Earlier releases named them after processes, which may live in another PID namespace or on another machine.
    earlier = [path for name, paths in scratch.items() if name.isdecimal() and not _lives(int(name)) for path in paths]
    unfinished = store.root.glob("[mor]*/*/.*")
    for path in (*(earlier if idle else ()), *unfinished):
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
