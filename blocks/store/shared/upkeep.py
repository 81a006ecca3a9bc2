"""What people ask of a shared store: what is shared and what waits, everything sent or fetched, every shared byte read again."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.store.maintenance import Verification
from stepwell.blocks.store.shared.envelope import Refused
from stepwell.blocks.store.shared.remote_results import Shared
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import LostBytes, Mode, SharingReport
from stepwell.blocks.store.store import Miss
from stepwell.errors import DatastoreException
from stepwell.model.records import StepRecord


@dataclass(frozen=True)
class Status:
    """How a store shares: where, whether this machine does, what the datastore guarantees, and how many results are there."""

    place: str
    mode: Mode
    guarantee: str
    trouble: str
    here: int
    shared: int
    from_others: int
    waiting: int


@dataclass(frozen=True)
class Pulled:
    """How many results were fetched, how many of them with bytes that can't be had, and how many are not believed."""

    results: int
    lost: int
    refused: tuple[str, ...]
    bytes: int


def status(store: SharedStore) -> Status:
    """Return how the store shares now; the datastore is asked."""
    guarantee = trouble = ""
    try:
        guarantee = store.remote.objects.guarantee
    except DatastoreException as error:
        trouble = str(error.facts.get("reason") or error.title)
    keys = [record.key for _, record in store.records() if isinstance(record, StepRecord)]
    known = [key for key in keys if store.ledger.is_shared(key)]
    theirs = sum(bool(store.origin(key)) for key in known)
    waiting = len(store.ledger.waiting())
    place = store.remote.objects.url
    return Status(place, store.mode, guarantee, trouble, len(keys), len(known), theirs, waiting)


def push(store: SharedStore) -> SharingReport:
    """Share every result of the store that is not, and return what became of them."""
    store.share_all()
    return store.finish_sharing()


def pull(store: SharedStore, *, data: bool = True) -> Pulled:
    """Fetch every result that others share and this store lacks; `data`: their bytes, too."""
    results, lost, refused, before = 0, 0, [], store.traffic.received
    for key in store.remote.known_keys():
        found: StepRecord | Miss | Shared | Refused | None = store.lookup_here(key)
        if isinstance(found, Miss):
            found = store.remote.read(key)
            if isinstance(found, Shared):
                found, results = store.adopt(found), results + 1
            elif isinstance(found, Refused):
                refused.append(f"{key[:12]} {found.reason}")
        if data and isinstance(found, StepRecord):
            try:
                for artifact in found.outputs.values():
                    store.bring(artifact.digest)
            except LostBytes:
                lost += 1
    return Pulled(results, lost, tuple(refused), store.traffic.received - before)


def verify_shared(store: SharedStore) -> Verification:
    """Read every shared record and byte again, and return what is damaged; change nothing."""
    damaged: list[str] = []
    checked, seen = 0, dict[str, str]()
    for key in store.remote.known_keys():
        checked += 1
        found = store.remote.read(key)
        if not isinstance(found, Shared):
            damaged.append(f"record {key[:12]}: it {found.reason if found else 'is gone'}")
            continue
        for name, artifact in found.record.outputs.items():
            if artifact.digest not in seen:
                seen[artifact.digest] = _damage(store, found, artifact.digest)
            if seen[artifact.digest]:
                step = found.record.step
                damaged.append(f"output {name!r} of {step!r} ({key[:12]}): {seen[artifact.digest]}")
    return Verification(checked, tuple(damaged))


def _damage(store: SharedStore, found: Shared, digest: str) -> str:
    tree = found.trees.get(digest) or store.remote.tree(digest)
    if tree is None:
        return "nobody tells what it consists of"
    with tempfile.TemporaryDirectory(prefix="stepwell-") as folder:
        try:
            store.remote.fetch(tree, Path(folder, "data"), check_only=True)
        except LostBytes as error:
            return str(error.facts["reason"])
    return ""
