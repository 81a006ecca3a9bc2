"""Datasets as inputs of the steps of a run: found once, their files together at one place of this machine."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol
from uuid import UUID

from stepwell.blocks.datasets.files.current_files import CurrentFiles, look
from stepwell.blocks.datasets.files.web_addresses import addresses_with_secrets, lacks_secret
from stepwell.blocks.datasets.registry import definition_of, find, find_by_id, keep_unregistered, made_up_id
from stepwell.blocks.datasets.sources import definition_in, document_of
from stepwell.blocks.datastores.local_data import copy_without_links
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import remove
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import is_pattern
from stepwell.model.definitions import DatasetSource, DataSource
from stepwell.model.digests import digest
from stepwell.model.records import Artifact, StepCall
from stepwell.model.tree import Tree, scan_through


class RunData(Protocol):
    """What a run knows of data."""

    workspace: BaseWorkspace
    store: Store

    def datastore(self, name: str) -> Datastore:
        """Return the datastore of that name."""
        ...

    def artifact(self, data: DataSource) -> Artifact:
        """Return data on one datastore with their digest, taken once per run."""
        ...

    def digest_data(self, data: DataSource) -> Artifact:
        """Return data on one datastore with their digest as it is now."""
        ...

    def digest_as_read(self, data: DataSource) -> str:
        """Return the digest of data on one datastore as a step has them."""
        ...

    def is_one_file(self, data: DataSource) -> bool:
        """Return whether data on one datastore are a file."""
        ...

    def check_links(self, name: str, data: DataSource, *, follow: bool | None) -> None:
        """Warn of links that lead out of the datastore of an input."""
        ...


def pinned(workspace: BaseWorkspace, source: DatasetSource) -> DatasetSource:
    """Return the source with its definition, name, version and id, as the workspace has it now.

    Raises:
        UserErrorException: No such dataset is registered.
    """
    if source.document:
        definition = definition_in(source.document)
        known = source if source.id else replace(source, id=made_up_id(definition))
        if lacks_secret(definition):
            with suppress(UserErrorException):  # who reads the files is told
                definition_of(find_by_id(workspace, known.id))
        return known
    found = find_by_id(workspace, source.id) if source.id else find(workspace, source.name, source.version or "latest")
    return DatasetSource(document_of(definition_of(found)), found.name, found.version, found.dataset_id)


def keep_secret_addresses(workspace: BaseWorkspace, sources: Iterable[object]) -> None:
    """Keep the secrets of addresses on the web that these datasets have, for the processes in which they will be read."""
    for source in sources:
        if isinstance(source, DatasetSource) and source.document and not source.name:
            definition = definition_in(source.document)
            if addresses_with_secrets(definition):
                keep_unregistered(workspace, definition)


@dataclass(frozen=True)
class _Gathered:
    """Files of a dataset that stand at several places, together in one folder of this machine.

    `found`: the files as they were found; the folder is made once it is asked for, of links to those of this machine.
    """

    artifact: Artifact
    definition: DatasetDefinition
    root: str | None
    top: Path
    tree: Tree
    name: str = ""
    """That of its only file, if that is meant rather than the folder."""

    found: CurrentFiles | None = None

    @property
    def folder(self) -> Path:
        """Where they are, or will be."""
        return self.top / self.name

    def make(self) -> None:
        """Make the folder, unless it is there."""
        if self.found and not self.top.exists():
            draft = self.top.with_name("draft")
            remove(draft)  # what an attempt before this one left
            draft.mkdir(parents=True)
            self.found.put_into(draft, links=True)
            os.rename(draft, self.top)


class DatasetInputs:
    """The datasets that the steps of one run read; each is looked for once.

    Args:
        data: What the run knows of data.
        fetch: Whether files that stand elsewhere are fetched; else datasets that have some are known without a digest.
    """

    def __init__(self, data: RunData, *, fetch: bool = True) -> None:
        self._data = data
        self._fetch = fetch
        self._known: dict[DatasetSource, Artifact] = {}
        self._gathered: dict[str, _Gathered] = {}
        self._unregistered: dict[str, DatasetDefinition] = {}
        self._lock = threading.RLock()

    @cached_property
    def _folder(self) -> Path:
        return self._data.store.scratch_folder()

    def close(self, remove: Callable[[Path], object]) -> None:
        """Let the folder go in which files were put together."""
        if "_folder" in self.__dict__:
            remove(self.__dict__.pop("_folder"))

    def artifact(self, source: DatasetSource) -> Artifact:
        """Return the files of a dataset by content, taken once per run; its `dataset` says what is known of it.

        Raises:
            UserErrorException: No such dataset is registered, or it has no files.
        """
        with self._lock:
            if source not in self._known:
                self._known[source] = self._found(source)
            return self._known[source]

    def artifact_now(self, artifact: Artifact) -> Artifact:
        """Return the files of a dataset by content as a step finds them now; those that were fetched, as they were."""
        assert artifact.dataset is not None
        if artifact.datastore:
            return replace(artifact, digest=self._data.digest_as_read(DataSource(artifact.datastore, artifact.path)))
        found = self._gathered[artifact.path]
        if found.top.exists() and not (found.found and found.found.are_here):
            now, _ = scan_through(found.folder, self._data.store.digests.digest_file)
            return replace(artifact, digest=now.digest)
        files = look(self._data.workspace, found.definition)
        same = not found.top.exists() or (files.are_here and files.are_linked_in(found.top))
        return replace(artifact, digest=files.tree_here.digest if same else "")

    def output(self, artifact: Artifact, reading: str) -> Artifact:
        """Return what another step wrote as the dataset that it is to the step that reads it so."""
        return replace(artifact, dataset=DatasetSource(reading, id=str(UUID(digest("output", reading)[:32]))))

    def path(self, artifact: Artifact, *, follows: bool) -> Path:
        """Return where the files of a dataset with several places are on this machine; `follows`: perhaps as links."""
        found = self._gathered[artifact.path]
        with self._lock:
            found.make()
            if follows:
                return found.folder
            target = found.folder.parent / "copy" / found.folder.name
            return copy_without_links(self._data.store, found.folder, found.tree, target)

    def keep_ids(self, call: StepCall) -> None:
        """Let the ids that a step gets of datasets be found in the workspace while it runs, and after."""
        for facts in call.datasets.values():
            with self._lock:  # another step that reads it waits until it is kept
                if facts["mode"] == "direct" and facts["id"] in self._unregistered:
                    keep_unregistered(self._data.workspace, self._unregistered[facts["id"]])
                    del self._unregistered[facts["id"]]

    def check_links(self, name: str, artifact: Artifact) -> None:
        """Warn of links that lead out of the datastore of an input."""
        if artifact.datastore:
            self._data.check_links(name, DataSource(artifact.datastore, artifact.path), follow=None)

    # ----------------------------------------------------------------------------------------------------------------

    def _found(self, source: DatasetSource) -> Artifact:
        fixed = pinned(self._data.workspace, source)
        definition = definition_in(fixed.document)
        if not fixed.name:
            self._unregistered[fixed.id] = definition
        whole = _whole(definition)
        if whole is None:
            name = f"dataset {definition.digest}"
            if name not in self._gathered:
                self._gathered[name] = self._gather(name, definition)
            artifact, root = self._gathered[name].artifact, self._gathered[name].root
        else:
            self._data.datastore(whole.datastore)  # a dataset's files are on datastores alone, whoever made it
            artifact = self._data.artifact(whole)
            root = self._root(artifact)
        left = definition.operations if definition.kind == "tabular" else ()  # those on files are done
        known = replace(definition, root=root, operations=left)
        return replace(artifact, dataset=replace(fixed, document=document_of(known)))

    def _root(self, artifact: Artifact) -> str:
        """Return what comes before the names of the files of a file or folder."""
        root = self._data.datastore(artifact.datastore).local_root
        if root is None and not self._fetch:
            return artifact.path
        one = self._data.is_one_file(DataSource(artifact.datastore, artifact.path))
        return posixpath.dirname(artifact.path) if one else artifact.path

    def _gather(self, name: str, definition: DatasetDefinition) -> _Gathered:
        """Find the files of several places, which are put together when a step needs them."""
        store, found = self._data.store, look(self._data.workspace, definition)
        root = found.definition.root
        if not (found.are_here or self._fetch):
            artifact = Artifact("", name, "", 0, kept=False)
            return _Gathered(artifact, definition, root, Path(), Tree(()))
        top = self._folder / str(len(self._gathered)) / "files"
        tree = found.tree_here
        store.note_tree(tree)
        artifact = Artifact("", name, tree.digest, tree.size, kept=False)
        lone = found.files[0].name if found.is_single_file else ""
        return _Gathered(artifact, definition, root, top, tree, lone, found)


def _whole(definition: DatasetDefinition) -> DataSource | None:
    """Return the file or folder that a dataset is all of, None if it is not one as it stands."""
    places = definition.places
    if len(places) != 1 or not places[0].datastore or definition.operations_on_files or definition.is_made:
        return None
    return None if is_pattern(places[0].path) else DataSource(places[0].datastore, places[0].path)
