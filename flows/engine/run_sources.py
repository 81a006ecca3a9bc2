"""The source directories of a run's steps, and modules that people work on elsewhere: looked at once, and kept as snapshots."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.source.snapshot import size_warning, source_tree
from stepwell.blocks.store.snapshots.snapshot import UNREAD, Snapshot
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import remove
from stepwell.errors import ComputeTargetException, SnapshotException, StoreException, UserErrorException
from stepwell.flows.keys.binding import find_own_code, relies
from stepwell.flows.keys.source_directory import EMPTY_SOURCE, Source
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import OwnModule, StepCall
from stepwell.model.tree import scan

_LOOKS = 3
_FROZEN = re.compile("module ([^ ]+) at (/.*)", re.DOTALL)


def frozen_name(module: str, place: str) -> str:
    """Return the name under which the snapshots of a run have a module that people work on, and its place."""
    return f"module {module} at {place}"


def frozen_places(snapshots: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the places of the modules among the names of snapshots."""
    found: dict[str, tuple[str, ...]] = {}
    for match in filter(None, map(_FROZEN.fullmatch, sorted(snapshots))):
        found[match[1]] = (*found.get(match[1], ()), match[2])
    return found


def fetch_snapshot(
    store: Store, remote_store: RemoteStore | None, directory: str, digest: str, damage: str = ""
) -> None:
    """Copy a snapshot that the store lacks, or has damaged, from the remote store; raise SnapshotException if it can't be."""
    if remote_store is None or not remote_store.has(digest):
        raise _lost(store, directory, digest, damage)
    scratch = store.scratch_folder()
    try:
        found = remote_store.get_tree(digest, scratch / "snapshot")
        store.add_snapshot(found, store.tree_at(found))
    finally:
        remove(scratch)


def _lost(store: Store, directory: str, digest: str, damage: str) -> SnapshotException:
    facts = {"source directory": directory, "snapshot": digest, "store": store.root, "reason": damage}
    return SnapshotException(
        "A snapshot is gone or damaged, so its steps can't run",
        {name: value for name, value in facts.items() if value},
        "Publish or submit the pipeline again; let machines share the store's folder, "
        "or make a remote datastore the workspace's default.",
    )


class RunSources:
    """What a run knows of the code of its steps.

    Args:
        store: Where snapshots are kept.
        snapshots: Digests of snapshots that the run has already, by source directory.
    """

    def __init__(self, store: Store, snapshots: Mapping[str, str]) -> None:
        self.store = store
        self._frozen = dict(snapshots)
        self._modules: dict[tuple[str, str], str] = {}
        self._sources: dict[str, Source] = {"": EMPTY_SOURCE}
        self._snapshots: dict[str, Snapshot] = {}
        self._relied: dict[str, set[str]] = {}
        self._lock = threading.RLock()

    def warn(self, text: str) -> None:
        """Warn the run's users."""
        raise NotImplementedError

    @property
    def remote_store(self) -> RemoteStore | None:
        """The store through which data reach other machines."""
        raise NotImplementedError

    def packages_for(self, step: StepDefinition) -> Packages:
        """Return the packages that a step finds where it runs."""
        raise NotImplementedError

    def where_it_runs(self, definition: StepDefinition) -> StepDefinition:
        """Return the step with the environment that it has where it runs."""
        raise NotImplementedError

    def source(self, directory: str) -> Source:
        """Return the source directory as it was when the run first looked, or as the run's snapshot of it has it."""
        with self._lock:
            if directory not in self._sources:
                self._sources[directory] = self._frozen_source(directory) or self._live_source(directory)
            return self._sources[directory]

    def take_sources(self, steps: Iterable[StepDefinition]) -> None:
        """Look at the source directories of steps, and at modules elsewhere that they import and people work on."""
        for step in steps:
            source = self.source(step.source_directory)
            with suppress(UserErrorException, ComputeTargetException):  # told when the step is bound
                where = self.where_it_runs(step)
                self._take(
                    find_own_code(where, source, self.packages_for(where), partial(self._keep_module, where)), source
                )

    def _take(self, own_code: Iterable[OwnModule], source: Source) -> None:
        self._modules |= {(module.name, module.place): module.digest or source.digest for module in own_code}

    def snapshots(self) -> dict[str, str]:
        """Put every snapshot in the store, and return the digest of each by source directory.

        Among them, under names of their own, are modules that steps import from where people work on them.
        """
        for directory, source in list(self._sources.items()):
            if source is not EMPTY_SOURCE and directory not in self._frozen:
                self._frozen[directory] = kept = self._keep(directory, source)
                self._modules |= {module: kept for module, digest in self._modules.items() if digest == source.digest}
        self._frozen |= {frozen_name(*module): digest for module, digest in self._modules.items()}
        return dict(self._frozen)

    def _keep(self, directory: str, source: Source) -> str:
        """Put a source in the store, as it is now if files changed on which no call relies, and return the digest."""
        for left in reversed(range(_LOOKS)):
            try:
                for damage in self.store.add_snapshot(source.root, source.tree):
                    self.warn(f"Of the kept snapshot of {directory}, {damage}: it was kept anew")
                break
            except (FileNotFoundError, StoreException):
                now = self._live_source(directory)
                changed = {entry.path for entry in set(source.tree.entries) ^ set(now.tree.entries)}
                if not left or any(relies(self._relied.get(directory, set()), path) for path in changed):
                    raise
                source = self._sources[directory] = now
        return source.digest

    def with_snapshot(self, call: StepCall) -> StepCall:
        """Return the call with the snapshot that was kept, which may lack files on which no call relies."""
        self.snapshot(call)
        return replace(call, snapshot=self._frozen.get(call.definition.source_directory, call.snapshot))

    def own_code(self, call: StepCall) -> dict[str, Snapshot]:
        """Return the kept copies of modules that the call imports from outside of its source, by their places."""
        kept = {module.place: module.digest for module in call.own_code if module.digest}
        with self._lock:
            if any(map(self.store.snapshot_damage, kept.values())):
                self.snapshots()
        return {place: self._kept(place, digest) for place, digest in kept.items()}

    def _keep_module(self, step: StepDefinition, path: str) -> str:
        """Return the digest of a module outside of the step's source; '' if it can't be kept, which is warned of."""
        try:
            with self._lock:
                self.store.note_tree(self.source(path).tree)  # for explanations
                self._relied.setdefault(path, set()).add("")  # every file of it counts
                return self.source(path).digest
        except SnapshotException as error:
            self.warn(f"Step {step.name!r} imports {path}, which can't be kept with the run: {error.title}")
            return ""

    def snapshot(self, call: StepCall) -> Snapshot | None:
        """Return the call's snapshot as the store keeps it, None if the step needs no source."""
        directory = call.definition.source_directory
        if not directory:
            return None
        with self._lock:
            self.snapshots()
        return self._kept(directory, self._frozen.get(directory, call.snapshot))

    def _kept(self, directory: str, digest: str) -> Snapshot:
        """Return a snapshot that was kept; of large files, which are copied unread, it is checked that they still are right."""
        with self._lock:
            found = self._snapshots.get(digest) or self.store.snapshot(digest)
            damage = self.store.damage_of(found, UNREAD) if found else "it is gone"
            if found is None or damage:
                raise _lost(self.store, directory, digest, damage)
            self._snapshots[digest] = found
            return found

    def _frozen_source(self, directory: str) -> Source | None:
        digest = self._frozen.get(directory)
        if digest is None:
            return None
        if damage := self.store.snapshot_damage(digest):
            fetch_snapshot(self.store, self.remote_store, directory, digest, damage)
        found = self.store.snapshot(digest)
        assert found
        return Source(found.folders[0], found.tree or self.store.tree_at(found.folders[0]), directory, found)

    def _live_source(self, directory: str) -> Source:
        root = Path(directory)
        with self.store.digests.under(root) as digest_file:
            tree = scan(root, digest_file) if root.is_file() else source_tree(root, digest_file)
        warning = size_warning(root, tree)
        if warning:
            self.warn(warning)
        return Source(root, tree, directory)
