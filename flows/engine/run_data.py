"""What a run knows of the data that its steps read: by content, each taken once, and where their bytes are for a step."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from stepwell.blocks.compute.base import Compute
from stepwell.blocks.datasets.inputs import DatasetInputs
from stepwell.blocks.datastores.datastore_files import DatastoreFiles
from stepwell.blocks.datastores.local_data import LocatedData, check_outward, copy_without_links, look, this_machine
from stepwell.blocks.datastores.remote_data import RemoteData
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.locks import shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatastoreException
from stepwell.flows.engine.run_sources import RunSources
from stepwell.flows.keys.missing_data import NoData
from stepwell.model.definitions import THIS_MACHINE, DataSource
from stepwell.model.records import Artifact, StepCall
from stepwell.model.tree import Tree, part_of, scan
from stepwell.model.trees.entries import Entries, Entry


class RunData(RunSources):
    """The data of one run.

    Args:
        workspace: The workspace of its datastores.
        store: Where it keeps results, and what it fetches.
        snapshots: Digests of snapshots that the run has already, by source directory.
    """

    fetches: ClassVar[bool] = True
    """Whether data that stand elsewhere are fetched when somebody asks for their digest."""

    def __init__(self, workspace: BaseWorkspace, store: Store, snapshots: Mapping[str, str]) -> None:
        super().__init__(store, snapshots)
        self.workspace = workspace
        self._data: dict[DataSource, Artifact] = {}
        self._links: dict[tuple[str, str], LocatedData] = {}
        self._far: dict[tuple[str, str], dict[str, str]] = {}
        self._parts: dict[str, str] = {}
        self._fetching: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

    def datastore(self, name: str) -> Datastore:
        """Return the datastore of that name."""
        raise NotImplementedError

    def storage(self, name: str) -> DatastoreFiles:
        """Return what data are read from: the datastore of that name, or this machine's own file system."""
        return self._here if name == THIS_MACHINE else self.datastore(name)

    @cached_property
    def _here(self) -> DatastoreFiles:
        return this_machine()

    def compute(self, name: str) -> Compute:
        """Return the compute target of that name."""
        raise NotImplementedError

    @cached_property
    def downloads(self) -> Path:
        """The folder of what is fetched for the run."""
        return self.store.scratch_folder()

    @cached_property
    def datasets(self) -> DatasetInputs:
        """The datasets that the run's steps read."""
        return DatasetInputs(self, fetch=self.fetches)

    def artifact(self, data: DataSource) -> Artifact:
        """Return the data with its content's digest, taken once per run; raise DatastoreException if there are none."""
        with self._lock:
            if data not in self._data:
                self._data[data] = self.digest_data(data)
            return self._data[data]

    def digest_data(self, data: DataSource) -> Artifact:
        """Return the data with its content's digest as it is now."""
        datastore = self.storage(data.datastore)
        path = datastore.readable(data.path)
        if datastore.local_root is None:
            path = datastore.inside(data.path)
            tree = self._look_far_away(datastore, data, path)
        else:
            try:
                if not (datastore.local_root / path).exists():
                    raise self.missing(data)
                tree, self._links[data.datastore, path] = look(self.store, datastore, path)
            except OSError as error:
                facts = {"path": error.filename or datastore.local_root / path, "reason": error.strerror}
                raise DatastoreException(
                    "Data that a step reads can't be read", facts, "Make them readable, or correct the path."
                ) from error
        self.store.note_tree(tree)
        return Artifact(data.datastore, path, tree.digest, tree.size, kept=False)

    def digest_as_read(self, data: DataSource) -> str:
        """Return the digest of the data as a step has them: on this machine's datastores as they are now, others as fetched."""
        datastore = self.storage(data.datastore)
        if datastore.local_root is not None:
            return self.digest_data(data).digest
        return self.store.tree_at(self._place_of(datastore, datastore.inside(data.path))).digest

    def is_one_file(self, data: DataSource) -> bool:
        """Return whether the data are a file, not a folder; their digest was taken."""
        datastore = self.storage(data.datastore)
        if datastore.local_root is not None:
            return (datastore.local_root / data.path).is_file()
        path = datastore.inside(data.path)
        return list(self._far.get((datastore.name, path), ())) == [path]

    def fetched(self, data: DataSource) -> Path:
        """Return the path of a local copy, made once per run, of data on a datastore that is not local."""
        datastore = self.storage(data.datastore)
        path = datastore.inside(data.path)
        with self._lock:
            if (datastore.name, path) not in self._far:
                self.artifact(data)
            files, place = self._far[datastore.name, path], self._place_of(datastore, path)
            fetching = self._fetching[place]
        with fetching:
            if not place.exists():
                draft = place.parent / "draft"
                wanted = {
                    name: (digest, draft / name[len(path) :].lstrip("/") if name != path else draft)
                    for name, digest in files.items()
                }
                RemoteData(self.store, datastore).bring(wanted)
                os.rename(draft, place)
        return place

    def _place_of(self, datastore: DatastoreFiles, path: str) -> Path:
        """Return where a copy of data is, or will be; its last part is that of their path."""
        folder = self.store.keyed("place", [datastore.name, path])[:16]
        return self.downloads / folder / (path.rpartition("/")[2] or datastore.name)

    def _look_far_away(self, datastore: DatastoreFiles, data: DataSource, path: str) -> Tree:
        """Return what stands at a path elsewhere; the datastore is asked for one listing, and for what is not known of it."""
        listed = datastore.listed(path)
        if not listed:
            raise self.missing(data)
        files = RemoteData(self.store, datastore).digests(listed, lambda: datastore.listed(path))
        self._far[datastore.name, path] = files
        entries = (
            Entry(name[len(path) :].lstrip("/"), "file", content, int(listed[name]["size"]), False)
            for name, content in files.items()
        )
        return Tree(Entries(entries).in_order())

    def at_hand(self, call: StepCall) -> bool:
        """Return whether the bytes of all inputs stand on this machine, so that none has to be fetched or made."""
        return all(
            artifact.digest not in self._parts and self.store.tree_path(artifact.digest).exists()
            if artifact.kept
            else artifact.datastore and self.storage(artifact.datastore).local_root is not None
            for artifact in call.inputs.values()
        )

    def input_path(self, call: StepCall, name: str) -> Path:
        """Return where the bytes of an input are on this machine; behind no link, if its step can't follow any."""
        artifact = call.inputs[name]
        if artifact.kept:
            if artifact.digest in self._parts:
                self._keep_part(artifact.digest)
            return self.store.bring(artifact.digest)
        copied = any(port.name == name and port.mode == "download" for port in call.definition.inputs)
        follows = self.compute(call.definition.compute_target).follows_links and not copied
        if not artifact.datastore:
            return self.datasets.path(artifact, follows=follows)
        root = self.storage(artifact.datastore).local_root
        found = self._links.get((artifact.datastore, artifact.path))
        if root is None:
            return self.fetched(DataSource(artifact.datastore, artifact.path))
        if found is None or found.as_it_is or follows:
            return root / artifact.path
        target = self.downloads / "without links" / artifact.digest / (root / artifact.path).name
        with self._lock:
            tree = (
                self.store.manifest(artifact.digest)
                or look(self.store, self.storage(artifact.datastore), artifact.path)[0]
            )
            return copy_without_links(self.store, root / artifact.path, tree, target)

    def part(self, artifact: Artifact, entry: str) -> Artifact:
        """Return the folder that has this one entry of what a step wrote, and nothing else; its bytes are kept once needed."""
        whole = self.store.manifest(artifact.digest) or scan(self.store.bring(artifact.digest))
        tree = part_of(whole, entry)
        self.store.note_tree(tree)
        self._parts[tree.digest] = artifact.digest
        return replace(artifact, path=f"{artifact.path}/{entry}", digest=tree.digest, size=tree.size)

    def _keep_part(self, digest: str) -> None:
        tree = self.store.manifest(digest)
        if tree is not None and not self.store.tree_intact(digest):
            whole = self.store.bring(self._parts[digest])
            with shared(self.store.lock_file):
                self.store.add_tree(whole, tree, move=False)
        with suppress(OSError):  # so that it counts as new for those who look for what nobody needs
            os.utime(self.store.tree_path(digest).parent)

    def check_links(self, name: str, data: DataSource, *, follow: bool | None) -> None:
        """Warn of links that lead out of the datastore of an input, or raise DatastoreException, if nobody chose that."""
        found = self._links.get((data.datastore, self.storage(data.datastore).readable(data.path)))
        if found is not None and not follow:
            check_outward(found, name, data.datastore, refuse=follow is False, warn=self.warn)

    def missing(self, data: DataSource) -> NoData:
        """Return the error for a path at which there are no data."""
        return NoData.at(data, self.workspace.name, self.storage(data.datastore))
