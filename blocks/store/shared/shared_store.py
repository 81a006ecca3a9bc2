"""A store of results that is shared: the local one is a working copy, and what is not there is looked for on a datastore."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from stepwell.blocks.remote.leases import Leases
from stepwell.blocks.remote.objects import SECONDS, RemoteObjects
from stepwell.blocks.remote.storage_drivers.driver import Traffic
from stepwell.blocks.store.claims import claimed
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.shared import single_flight
from stepwell.blocks.store.shared.bundles import Bundles, Payload
from stepwell.blocks.store.shared.collection import tell_use
from stepwell.blocks.store.shared.envelope import Keys, Refused
from stepwell.blocks.store.shared.layout import record_name
from stepwell.blocks.store.shared.ledger import Ledger
from stepwell.blocks.store.shared.questions import Questions
from stepwell.blocks.store.shared.remote_results import RemoteResults, Shared
from stepwell.blocks.store.shared.uploads import Patience, Uploads
from stepwell.blocks.store.shared.versions import SharedVersions
from stepwell.blocks.store.sharing import LostBytes, Mode, SharingReport
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.system.files import protect
from stepwell.blocks.system.living import machine
from stepwell.blocks.system.locks import exclusive, shared
from stepwell.errors import DatastoreException, StepwellError
from stepwell.model.fingerprint import Fingerprint, code_key, partial_key
from stepwell.model.records import StepRecord
from stepwell.model.tree import Tree, scan

_T = TypeVar("_T")

_SECONDS = 5.0
"""A look waits so long; after so many in vain, nothing is looked for so long."""

_UNKNOWN_SECONDS = 30.0
"""How long it is believed that nobody has a result."""

_NOTHING_TO_RUN = -1.0
"""The duration of a step whose result is there: no other machine is asked to let it run."""

Opened = Callable[..., RemoteObjects]
"""Opens the objects of the workspace's shared store: `opened(timeout=…, pauses=…, traffic=…, rests=…)`."""


@dataclass
class _Known:
    """What a process knows of the shared store beyond the ledger."""

    missing: dict[str, float] = field(default_factory=dict)
    others: dict[str, tuple[float, list[StepRecord]]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)


class SharedStore(Store):
    """The store of a workspace whose results others have, too. What can't be shared or looked up is local, and said once."""

    shares = True

    def __init__(
        self, root: Path, signing_key: str, digests: StatCache, opened: Opened, keys: Keys, mode: Mode = "on"
    ) -> None:
        super().__init__(root, signing_key, digests)
        self.ledger = Ledger(self.written / "shared.sqlite3")
        self.mode = mode
        self.traffic = Traffic()
        self._looks = RemoteResults(opened(timeout=_SECONDS, pauses=(), traffic=self.traffic), keys, self.ledger)
        self._moves = RemoteResults(opened(traffic=self.traffic, rests=SECONDS), keys, self.ledger)
        self._sends = RemoteResults(opened(traffic=self.traffic, rests=_SECONDS), keys, self.ledger)
        self._bundles = Bundles(self._looks.objects, keys)
        self._questions = Questions(self._looks, self._bundles)
        self._uploads = Uploads()
        self._known = _Known()
        self._patience = Patience(self._uploads.note_away)
        tell = partial(self._uploads.submit, counted=False) if mode == "on" else None
        self.versions = SharedVersions(self._looks.objects, keys, self._asked, tell)
        if mode == "on":
            leases = Leases(self._looks.objects, machine()["name"], pause=single_flight.pause)
            flights = single_flight.SingleFlight(leases, self._is_shared_now, self._known.seconds, lambda: self.is_away)
            self.locks = single_flight.LeasedLocks(self.written / "locks", flights)

    @property
    def remote(self) -> RemoteResults:
        """The results on the datastore."""
        return self._moves

    def lookup(self, key: str) -> StepRecord | Miss:
        """Return the checked record of a key, also one that others have; its bytes come when they are needed."""
        found, known = self.lookup_here(key), self._known
        theirs = None if isinstance(found, StepRecord) else self._asked(lambda: self._look_for(key), None)
        if isinstance(found, StepRecord) or isinstance(theirs, Shared):
            known.used.add(key)
            self._bundles.note(key)
            known.seconds[key] = _NOTHING_TO_RUN
            return found if isinstance(found, StepRecord) else self.adopt(theirs)  # type: ignore[arg-type]
        if known.seconds.get(key) == _NOTHING_TO_RUN:
            del known.seconds[key]
        return Miss(f"the shared record {theirs.reason}") if isinstance(theirs, Refused) and not found.reason else found

    def lookup_here(self, key: str) -> StepRecord | Miss:
        """Return the checked record of a key as far as this machine knows, without a question to others."""
        found, signed_by = super().lookup(key), self.ledger.origin(key)[2]
        refused = ""
        if isinstance(found, StepRecord) and signed_by:
            with suppress(StepwellError):  # without Prefect's server, what was believed is
                refused = self._looks.distrust(signed_by)
        return Miss(f"the shared record {refused}") if refused else found

    def _look_for(self, key: str) -> Shared | Refused | None:
        if time.monotonic() - self._known.missing.get(key, -_UNKNOWN_SECONDS) < _UNKNOWN_SECONDS:
            return None
        found = self._questions.record(key)
        if not isinstance(found, Shared):
            self._known.missing[key] = time.monotonic()
            return found
        trees = {artifact.digest for artifact in found.record.outputs.values()}
        gone = any(tree in self._known.lost and not self.tree_intact(tree) for tree in trees)
        return Refused("has bytes that are gone") if gone else found

    def adopt(self, found: Shared) -> StepRecord:
        """Keep a record that others have, and what it tells of its trees, as if it had been made here."""
        for tree in found.trees.values():
            self.note_tree(tree)
        with shared(self.lock_file):
            kept = self._keep(replace(found.record, sequence=0))  # what a power cut takes is read again
        trees = [artifact.digest for artifact in kept.outputs.values()]
        self.ledger.note_adopted(kept.key, found.by, found.run, found.key_id, trees)
        self._known.delivered.add(kept.key)
        return kept

    def _damage(self, tree: str) -> str:
        damage = super()._damage(tree)
        if damage and self.is_promised(tree):
            self.discard_tree(tree)
            return ""
        return "is gone from the shared store" if damage and tree in self._known.lost else damage

    def is_promised(self, tree: str) -> bool:
        """Return whether the bytes of the tree can be fetched, as far as is known."""
        return self.mode != "off" and tree not in self._known.lost and self.ledger.is_promised(tree)

    def is_delivered(self, key: str) -> bool:
        """Return whether who made the result has put it at its usual places: it was looked up just now."""
        return key in self._known.delivered

    def origin(self, key: str) -> str:
        """Return who made a result elsewhere."""
        return self.ledger.origin(key)[0]

    def label_of(self, record: StepRecord) -> str:
        """Return the name of the run elsewhere that made the result, and whose it is."""
        by, run, _ = self.ledger.origin(record.key)
        return f"{run or record.run_id} of {by}" if by else ""

    def nearest(self, step: str, fingerprint: Fingerprint) -> StepRecord | None:
        """Return the recent record of a step of that name whose rows differ least; of others, where here is none."""
        found = super().nearest(step, fingerprint)
        if found is None:
            others = self._others(f"nearest {step}", lambda: self._questions.nearest(step))
            found = min(others, key=lambda record: fingerprint.distance(record.fingerprint), default=None)
        if found is not None:
            self._known.seconds[fingerprint.key] = found.seconds
        return found

    def alike(self, fingerprint: Fingerprint) -> Iterator[StepRecord]:
        """Yield every record that differs in the content of inputs at most; those of others, where here is none."""
        fixed = partial_key(fingerprint)
        found = list(super().alike(fingerprint))
        yield from found or self._others(f"alike {fixed}", lambda: self._questions.alike(fixed))

    def _others(self, what: str, question: Callable[[], Iterable[Shared]]) -> list[StepRecord]:
        """Return records of others, as they were told a moment ago if the same was asked then."""
        at, told = self._known.others.get(what, (-_UNKNOWN_SECONDS, []))
        if time.monotonic() - at >= _UNKNOWN_SECONDS:
            told = self._asked(lambda: [theirs.record for theirs in question()], told)
            self._known.others[what] = time.monotonic(), told
        return told

    # Reads that no row declares -----------------------------------------------------------------------------------------

    def observe(self, fingerprint: Fingerprint, paths: Iterable[str]) -> None:
        """Save that a step with this code read these files, here and for others."""
        names = list(paths)
        super().observe(fingerprint, names)
        if self.mode == "on" and names:
            code = code_key(fingerprint)
            self._uploads.submit(f"{code} {names}", partial(self._tell_reads, code, names), counted=False)

    def _tell_reads(self, code: str, names: list[str]) -> str:
        self._sends.observe(code, names)
        return ""

    def observed(self, fingerprint: Fingerprint) -> tuple[str, ...]:
        """Return the files that steps with this code were seen to read, here or elsewhere."""
        found = set(super().observed(fingerprint))
        told = self._asked(lambda: self._questions.observed(code_key(fingerprint)), set[str]())
        return tuple(sorted(found | told))

    def bring(self, tree: str) -> Path:
        """Return where the bytes of a tree are, fetched and checked if they are not here; raise LostBytes if they can't be."""
        if self.mode == "off" or self.tree_intact(tree):
            return self.tree_path(tree)
        if tree in self._known.lost:
            raise LostBytes(tree, "they are gone from the shared store")
        promised = self.is_promised(tree)
        with exclusive(self.written / "locks" / f"bring-{tree[:2]}.lock"):
            if not self.tree_intact(tree):
                try:
                    self._fetch(tree)
                except LostBytes:
                    if promised:
                        raise
        return self.tree_path(tree)

    def bring_snapshot(self, digest: str) -> Snapshot | None:
        """Return a snapshot; one that is not here whole is fetched if it was shared; raise LostBytes if that can't be had."""
        if self.snapshot_damage(digest):
            self.bring(digest)
        return self.snapshot(digest)

    def manifest(self, tree: str) -> Tree | None:
        """Return what the tree consists of, as others tell it if that is not known here."""
        found = super().manifest(tree)
        if found is None and self.is_promised(tree):
            with suppress(LostBytes):
                return self._asked(lambda: self._told(tree), None)
        return found

    def _fetch(self, tree: str) -> None:
        known = super().manifest(tree)
        try:
            known = known or self._told(tree)
            self._keep_tree(tree, partial(self._fetched, known))
        except (DatastoreException, LostBytes) as error:
            raise self._lose(tree, known, error) from error
        place = self.tree_path(tree)
        self.ledger.note_held(
            (entry.digest, str(place / entry.path if entry.path else place))
            for entry in known.entries
            if entry.kind == "file" and entry.size
        )

    def _fetched(self, tree: Tree, place: Path) -> None:
        self._moves.fetch(tree, place)
        if scan(place).digest != tree.digest:
            raise LostBytes(tree.digest, "they were damaged in the shared store")
        protect(place)

    def _told(self, tree: str) -> Tree:
        told = self._moves.tree(tree)
        if told is None:
            raise LostBytes(tree, "nobody tells what they consist of")
        self.note_tree(told)
        return told

    def _lose(self, tree: str, known: Tree | None, error: DatastoreException | LostBytes) -> LostBytes:
        """Believe no longer that the bytes can be had, so that the step that made them runs again."""
        self._known.lost.add(tree)
        if isinstance(error, LostBytes):
            self.ledger.break_promise(tree)
            if known is not None and self.mode == "on":
                self._moves.forget(known)
            self._bundles.note_stale()
            return error
        return LostBytes(tree, str(error.facts.get("reason") or error.title))

    # Sharing ------------------------------------------------------------------------------------------------------------

    def commit(self, record: StepRecord, staged: Mapping[str, tuple[Path, Tree]]) -> StepRecord:
        """Keep the result here; whether others have one of its key, and the same, is to be seen."""
        self.ledger.forget_shared(record.key)
        return super().commit(record, staged)

    def share(self, record: StepRecord) -> None:
        """Let others have the result, in the background, unless they do."""
        if self.mode == "on" and not self.ledger.is_shared(record.key):
            self.ledger.note_waiting(record.key)
            self._uploads.submit(record.key, partial(self._share, record.key))

    def share_tree(self, tree: str) -> None:
        """Let others have the bytes of a kept tree, in the background."""
        if self.mode == "on":
            self._uploads.submit(f"tree {tree}", partial(self._share_tree, tree), counted=False)

    def _share_tree(self, tree: str) -> str:
        found = self.snapshot(tree)
        if found is not None and not self.snapshot_damage(tree):
            self._sends.write_tree(found.tree or self.tree_at(found.folders[0]), found.place_of)
        return ""

    def share_all(self) -> None:
        """Let others have every result of this store, and what models and published pipelines claim, in the background."""
        for _, record in self.records():
            if isinstance(record, StepRecord):
                self.share(record)
        for tree in claimed(self):
            self.share_tree(tree)

    def finish_sharing(self) -> SharingReport:
        """Wait until results are shared, those of earlier runs that wait too; or patience is at its end."""
        if self.mode == "on" and not self.is_away:
            for key in self.ledger.waiting():
                self._uploads.submit(key, partial(self._share, key))
            self._uploads.submit("use", self._tell_use, counted=False)
        report = self._uploads.finish(self._looks.objects.why_silent, soon=self.is_away)
        if self.mode == "on" and not self.is_away:
            self._uploads.submit("bundle", partial(self._bundles.tell, self._told_together), counted=False)
            self._uploads.finish()
        return replace(report, waiting=len(self.ledger.waiting()) if self.mode == "on" else 0)

    def foresee(self, name: str, steps: int) -> None:
        """Expect a run of so many steps under a name of earlier ones: what it may use again is asked for at once."""
        if self.mode != "off":
            self._questions.foresee(name, steps)

    def _told_together(self, keys: list[str]) -> Iterator[tuple[str, Payload]]:
        """Yield what others are told of those of the results that are shared."""
        origins = self.ledger.origins(keys)
        for key in keys:
            record = self.read_record(key) if key in origins else None
            if isinstance(record, StepRecord):
                _, run, key_id = origins[key]
                trees = {
                    artifact.digest: super(SharedStore, self).manifest(artifact.digest)
                    for artifact in record.outputs.values()
                }
                yield key, self._moves.payload(record, run or self._label(record), trees, key_id)

    def _tell_use(self) -> str:
        """Tell which shared results were used, once a day, so that no collection takes them for garbage."""
        used, self._known.used = self._known.used, set()
        tell_use(self._moves.objects, self.ledger, used)
        return ""

    def _is_shared_now(self, key: str) -> bool:
        """Return whether another machine has shared the result meanwhile."""
        if there := self._looks.objects.stat(record_name(key)) is not None:
            self._questions.note_arrived(key)
            self._known.missing.pop(key, None)
        return there

    def _share(self, key: str) -> str | None:
        record = self.read_record(key)
        if isinstance(record, Miss) or self.ledger.is_shared(key) or self._sends.distrust():
            self.ledger.forget_waiting(key)
            return None
        trees: dict[str, tuple[Path, Tree]] = {}
        for artifact in record.outputs.values():
            path = self.tree_path(artifact.digest)
            if self.tree_intact(artifact.digest):
                trees[artifact.digest] = path, self.tree_at(path)
            elif not self.is_promised(artifact.digest):
                self.ledger.forget_waiting(key)
                return None
        theirs = self._sends.write(record, self._label(record), trees)
        self.ledger.promise(trees)
        self.ledger.note_shared(key)
        self._bundles.note(key)
        return self._compared(record, theirs) if theirs else ""

    def _compared(self, ours: StepRecord, theirs: Shared) -> str:
        """Keep the result that was first, and return in words how ours differs; '' if it doesn't."""
        made, before = ours.outputs, theirs.record.outputs
        other = [
            name for name, artifact in made.items() if name not in before or before[name].digest != artifact.digest
        ]
        if not other and before.keys() == made.keys():
            return ""
        self.adopt(theirs)
        return (
            f"Not deterministic: {len(other)} of {len(made)} outputs of step {ours.step!r} ({', '.join(map(repr, other))}) differ "
            f"from those that {theirs.by} made of the same in {theirs.run or theirs.record.run_id}, which were first and are used "
            "from now on"
        )

    def _label(self, record: StepRecord) -> str:
        with suppress(OSError, ValueError):
            return RunFolder(self.run_folder(record.run_id)).label
        return record.run_id

    @property
    def is_away(self) -> bool:  # type: ignore[override]
        """Whether the datastore did not answer a moment ago."""
        return self._patience.is_over or self._sends.objects.rests

    def _asked(self, question: Callable[[], _T], otherwise: _T) -> _T:
        """Return the datastore's answer, or `otherwise` if there is none to be had."""
        return otherwise if self.mode == "off" else self._patience.ask(question, otherwise)
