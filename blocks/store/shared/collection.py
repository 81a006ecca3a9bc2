"""Garbage of the shared store: what nobody used for long is removed, record first and bytes last, while others work on it.

There is no lock that all would hold. Bytes that nothing names are condemned by one collection and removed by a later one,
after every writer who could still believe in them has named them, or looks again. A reader who is hit all the same
runs the step that made them once more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stepwell.blocks.remote.leases import Holder, Leases
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.remote.storage_drivers.driver import Entry
from stepwell.blocks.store.shared.envelope import FORMAT
from stepwell.blocks.store.shared.layout import blob_name, found_by, index_folder, partial_folder
from stepwell.blocks.store.shared.ledger import Ledger
from stepwell.errors import StoreException
from stepwell.model.digests import encode
from stepwell.model.fingerprint import partial_key
from stepwell.model.records import StepRecord
from stepwell.model.tree import Tree

GRACE_SECONDS = 86_400.0
"""How long bytes stay that nothing names any more: far longer than a writer believes that they are there."""

_DAY = 86_400.0
_LEASE, _CONDEMNED, _TOUCHES = "leases/gc", "gc/condemned.json", "touch/"
_AGING = ("bundles/", "versions/")
"""What tells nothing that can't be found out anew."""

_AT_ONCE = 8
_DELETED_AT_ONCE = 500


@dataclass(frozen=True)
class Collected:
    """What was removed of the shared store, what is condemned and goes later, and how many objects nobody understands.

    `leftovers`: what writers that were killed had not put in its place. `held_back`: why bytes could not be judged, '' if they could.
    """

    records: int = 0
    trees: int = 0
    bytes: int = 0
    condemned: int = 0
    not_understood: int = 0
    held_back: str = ""
    leftovers: int = 0


@dataclass
class _Marks:
    """What is needed: trees by digest, and the names of objects."""

    trees: set[str]
    blobs: set[str] = field(default_factory=set)
    not_understood: int = 0
    newer: int = 0


def tell_use(objects: RemoteObjects, ledger: Ledger, keys: Collection[str]) -> None:
    """Tell which of these shared results were used today, by one object, unless this machine has told so before."""
    new = sorted(key for key in set(keys) - ledger.used_today() if ledger.is_shared(key))
    if new:
        touch(objects, new)
        ledger.note_used(new)


def touch(objects: RemoteObjects, names: list[str]) -> None:
    """Tell that these results, by their keys, or other objects, by their names, were used today."""
    day = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d")
    objects.put(f"{_TOUCHES}{day}/{time.time_ns():x}", encode(names))


def collect_shared(
    objects: RemoteObjects,
    holder: str,
    *,
    claimed: Collection[str] = (),
    days: float = 30,
    grace: float = GRACE_SECONDS,
    dry_run: bool = False,
) -> Collected:
    """Remove results that nobody made or used for `days`, and bytes that nothing has named for `grace` seconds.

    Times are those of the datastore's clock. Trees that are `claimed` stay. What can't be understood stays, and so do
    all bytes while there is a record of a newer format, which may name any of them.

    Raises:
        StoreException: Another machine is collecting.
    """
    leases = Leases(objects, holder, pause=lambda _: True)
    with_lease = objects.guarantee != "none" and not dry_run
    others: list[Holder] = []
    if with_lease and not leases.acquire(_LEASE, lambda: False, others.append):
        facts = {"by": others[0].name if others else "another machine"}
        raise StoreException("The shared store is being collected already", facts, "Try again later.")
    try:
        return _collect(objects, set(claimed), days, grace, dry_run)
    finally:
        if with_lease:
            leases.release(_LEASE)


def _collect(objects: RemoteObjects, claimed: set[str], days: float, grace: float, dry_run: bool) -> Collected:
    now, marks = objects.now(), _Marks(claimed)
    used, outdated = _touched(objects, now - days * _DAY)
    dead = _mark_records(
        objects, marks, lambda entry: entry.modified < now - days * _DAY and _key_of(entry) not in used
    )
    unused = (entry for kind in _AGING for entry in objects.list(kind) if entry.name not in used)
    outdated += [entry.name for entry in unused if entry.modified < now - days * _DAY]
    if not dry_run:
        _remove(objects, [*dead, *outdated])
    leftovers = objects.remove_leftovers(now - grace, dry_run=dry_run)
    if marks.newer:
        reason = f"{marks.newer} records have a format of a newer version, which may need any of the bytes"
        kept = marks.not_understood
        return Collected(len(_records(dead)), not_understood=kept, held_back=reason, leftovers=leftovers)
    going = {entry.name: entry for entry in _unnamed(objects, marks)}
    condemned = condemned_since(objects)
    since = {name: _since(entry, condemned.get(name), now) for name, entry in going.items()}
    gone = [name for name in going if now - since[name] >= grace]
    if not dry_run:
        _remove(objects, gone)
        waiting = {name: at for name, at in since.items() if name not in set(gone)}
        if waiting or condemned:
            objects.put(_CONDEMNED, encode(waiting))
    return Collected(
        records=len(_records(dead)),
        trees=sum(name.startswith("trees/") for name in gone),
        bytes=sum(going[name].size for name in gone),
        condemned=len(going) - len(gone),
        not_understood=marks.not_understood,
        leftovers=leftovers,
    )


# Records ----------------------------------------------------------------------------------------------------------------


def _mark_records(objects: RemoteObjects, marks: _Marks, is_dead: Callable[[Entry], bool]) -> list[str]:
    """Mark what living records need, and return the names of dead ones and of what finds them."""
    dead: list[str] = []
    entries = [entry for entry in objects.list("records/") if entry.name.endswith(".json")]
    for entry, data in zip(entries, _read(objects, entries), strict=True):
        if data is None:
            continue
        told = _told(data)
        if told is None:
            marks.not_understood += 1
            marks.newer += _is_newer(data)
            continue
        record, trees = told
        if is_dead(entry):
            earlier = index_folder(record.step), partial_folder(partial_key(record.fingerprint))
            dead += [entry.name, *found_by(record), *(folder + _key_of(entry) for folder in earlier)]
        else:
            marks.trees |= {artifact.digest for artifact in record.outputs.values()}
            marks.blobs |= {blob for tree in trees for blob in _blobs_of(tree)}
    return dead


def _told(data: bytes) -> tuple[StepRecord, list[Tree]] | None:
    """Return what a record tells and the trees in it, whoever signed it; None if it can't be understood."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found = json.loads(data)
        payload = found["payload"]
        trees = [Tree.from_json(entries) for entries in payload["trees"].values()]
        if found["format"] == FORMAT:
            return StepRecord.from_json(payload["record"]), trees
    return None


def _is_newer(data: bytes) -> bool:
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        return bool(json.loads(data)["format"] > FORMAT)
    return False


def _records(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("records/")]


def _key_of(entry: Entry) -> str:
    return entry.name.rpartition("/")[2].removesuffix(".json")


def _touched(objects: RemoteObjects, since: float) -> tuple[set[str], list[str]]:
    """Return the keys and names of what was used since then, and the names of what tells of earlier uses."""
    recent: list[Entry] = []
    outdated: list[str] = []
    for entry in objects.list(_TOUCHES):
        if entry.modified < since:
            outdated.append(entry.name)
        else:
            recent.append(entry)
    used: set[str] = set()
    for data in _read(objects, recent):
        with suppress(ValueError, TypeError, RecursionError):
            used |= {key for key in json.loads(data or b"[]") if isinstance(key, str)}
    return used, outdated


# Bytes ------------------------------------------------------------------------------------------------------------------


def _unnamed(objects: RemoteObjects, marks: _Marks) -> Iterator[Entry]:
    """Yield what tells of trees that nothing needs, and bytes that no needed tree has."""
    trees = [entry for entry in objects.list("trees/") if entry.name.endswith(".json")]
    needed = [entry for entry in trees if _key_of(entry) in marks.trees]
    for data in _read(objects, needed):
        marks.blobs |= set(_blobs_in(data))
    yield from (entry for entry in trees if _key_of(entry) not in marks.trees)
    yield from (entry for entry in objects.list("blobs/") if entry.name not in marks.blobs)
    for entry in objects.list("packs/"):
        if entry.name.rpartition("/")[2].removesuffix(".tar") not in marks.trees:
            yield entry


def _blobs_in(data: bytes | None) -> Iterator[str]:
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        yield from _blobs_of(Tree.from_json(json.loads(data or b"")["entries"]))


def _blobs_of(tree: Tree) -> Iterator[str]:
    yield from (blob_name(entry.digest) for entry in tree.entries if entry.kind == "file")


def _since(entry: Entry, condemned: float | None, now: float) -> float:
    """Return since when the object is condemned: anew, if it was written after it had been."""
    return now if condemned is None or entry.modified > condemned else condemned


def condemned_since(objects: RemoteObjects) -> dict[str, float]:
    """Return which objects are condemned, and since when. Who needs one of them has to write it again."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):
        found = json.loads(objects.get(_CONDEMNED) or b"{}")
        return {str(name): float(since) for name, since in found.items()}
    return {}


def _read(objects: RemoteObjects, entries: list[Entry]) -> Iterator[bytes | None]:
    """Yield what the objects hold, several of them read at once."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stepwell-gc") as pool:
        for start in range(0, len(entries), 1000):
            yield from pool.map(lambda entry: objects.get(entry.name), entries[start : start + 1000])


def _remove(objects: RemoteObjects, names: list[str]) -> None:
    """Remove records before the bytes that they name."""
    ordered = sorted(names, key=lambda name: (not name.startswith("records/"), not name.startswith("trees/")))
    for start in range(0, len(ordered), _DELETED_AT_ONCE):
        objects.delete(ordered[start : start + _DELETED_AT_ONCE])
