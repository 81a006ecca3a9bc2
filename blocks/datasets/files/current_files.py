"""The files that a dataset stands for now: found, in order, by content, and together in a folder of this machine."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from stepwell.blocks.datasets.files import web_addresses
from stepwell.blocks.datasets.files.made_files import made_files
from stepwell.blocks.datasets.files.queries import asked
from stepwell.blocks.datasets.files.real_paths import RealPaths, paths_below
from stepwell.blocks.datastores.datastore_files import PRIVATE
from stepwell.blocks.datastores.datastore_places import place_of_address
from stepwell.blocks.datastores.datastore_urls import local_path
from stepwell.blocks.datastores.remote_data import RemoteData, time_of
from stepwell.blocks.datastores.remote_files import Facts
from stepwell.blocks.system.files import copy_file
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatasetExecutionError, DatasetValidationError
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.datasets.file_names import (
    LocalFile,
    common_root,
    fixed_part,
    is_pattern,
    matches,
    ordered,
    web_path,
)
from stepwell.model.digests import digest, file_digest
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry
from stepwell.script.tables.row_operations import chosen_files

MOST_LINKS = 20_000
"""How many links to folders are followed in one folder: folders that link each other have no end."""


@dataclass(frozen=True)
class FoundFile:
    """A file of a dataset: `name` among the dataset's, `path` on its datastore, or its address with '' for that."""

    name: str
    datastore: str
    path: str
    size: int
    changed: float = 0
    place: Path | None = None
    """Where it is on this machine, if it is here."""

    known_digest: str = ""
    facts: Facts = field(default_factory=dict, compare=False)

    @property
    def shown_facts(self) -> dict[str, Any]:
        """What `file_metadata` asks for."""
        return {
            "Size": self.size,
            "LastModifiedTime": datetime.fromtimestamp(self.changed, UTC),
            "CreationTime": datetime.fromtimestamp(self.changed, UTC),
            "Extension": posixpath.splitext(self.name)[1],
            "CanSeek": True,
        }


class CurrentFiles:
    """The files of a definition, whose `root` is now known, in the order of reading.

    Args:
        workspace: The workspace of its datastores; None if all of it is on the web.
        definition: The definition, with its root.
        files: The files that its operations on files leave.
    """

    def __init__(self, workspace: BaseWorkspace | None, definition: DatasetDefinition, files: list[FoundFile]) -> None:
        self._workspace = workspace
        self.definition = definition
        self.files = files

    @property
    def is_single_file(self) -> bool:
        """Whether it is one file that was named, so that its path is that of the file."""
        places = self.definition.places
        if len(places) != 1 or len(self.files) != 1 or is_pattern(places[0].path) or self.definition.is_made:
            return False
        return not places[0].datastore or self.files[0].path == places[0].path.strip("/")

    @property
    def are_here(self) -> bool:
        """Whether all of the files are on this machine."""
        return all(file.place is not None for file in self.files)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The SHA-256 of each file; those of unchanged files are known."""
        real, here = RealPaths(), [file for file in self.files if file.place and not file.known_digest]
        found, far = {entry.path: entry.digest for entry in self._read(here, real)}, self._far_digests
        return tuple(file.known_digest or found.get(file.name) or far[file.datastore][file.path] for file in self.files)

    @property
    def tree(self) -> Tree:
        """The files by name and content, as a folder; one single file as a file."""
        entries = [
            Entry("" if self.is_single_file else file.name, "file", content, file.size, False)
            for file, content in zip(self.files, self.digests, strict=True)
        ]
        return Tree(tuple(sorted(entries)))

    @cached_property
    def tree_here(self) -> Tree:
        """The files as what a folder of links to them, and of copies of those that stand elsewhere, leads to."""
        entries = self._read([file for file in self.files if file.place], RealPaths())
        far = [file for file in self.files if not file.place]
        entries += [
            Entry(file.name, "file", self._far_digests[file.datastore][file.path], file.size, False) for file in far
        ]
        return Tree(
            tuple(entry._replace(path="") for entry in entries) if self.is_single_file else tuple(sorted(entries))
        )

    @property
    def content(self) -> str:
        """64 hex digits that are the same as long as its files, or its table, are the same, whatever they are called."""
        if self.definition.kind == "file":
            return self.tree.digest
        shown = self.definition.shows_paths
        files = [[content, file.name if shown else ""] for file, content in zip(self.files, self.digests, strict=True)]
        return digest("dataset-content", [self.definition.reading, files])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def _read(self, files: list[FoundFile], real: RealPaths) -> list[Entry]:
        """Return files of this machine by name and content, read only if they are not known."""
        if not files:
            return []
        assert self._workspace is not None
        paths = [real.of(os.fspath(file.place or "")) for file in files]
        entries = []
        with self._workspace.store.digests.among(paths) as digest_file:
            for file, path in zip(files, paths, strict=True):
                status = os.stat(path)
                executable = bool(status.st_mode & 0o100)
                entries.append(Entry(file.name, "file", digest_file(path, status), status.st_size, executable))
        return entries

    @cached_property
    def _far_data(self) -> dict[str, RemoteData]:
        """What holds the files of each datastore that stands elsewhere."""
        names = dict.fromkeys(file.datastore for file in self.files if file.place is None)
        assert self._workspace is not None or not names
        return {name: RemoteData(self._workspace.store, self._datastore(name)) for name in names if self._workspace}

    @cached_property
    def _far_digests(self) -> dict[str, dict[str, str]]:
        def listed(name: str, files: Iterable[FoundFile]) -> dict[str, Facts]:
            return {file.path: file.facts for file in files if file.place is None and file.datastore == name}

        def again(name: str) -> dict[str, Facts]:
            return listed(name, look(self._workspace, self.definition).files)

        return {
            name: data.digests(listed(name, self.files), partial(again, name)) for name, data in self._far_data.items()
        }

    def _datastore(self, name: str) -> Datastore:
        assert self._workspace is not None
        return Datastore.get(self._workspace, name)

    def put_into(self, folder: Path, *, links: bool = False) -> list[Path]:
        """Put the files into a folder, under their names, and return their paths in the order of reading.

        `links`: files of this machine are linked rather than copied.
        """
        paths, made, real = list[Path](), set[Path](), RealPaths()
        for name, data in self._far_data.items():
            data.bring(
                {
                    file.path: (self._far_digests[name][file.path], folder / file.name)
                    for file in self.files
                    if file.place is None and file.datastore == name
                }
            )
        for file in self.files:
            target = folder / file.name
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            if file.place is None:
                pass
            elif links:
                os.symlink(real.of(os.fspath(file.place)), target)
            else:
                copy_file(real.of(os.fspath(file.place)), target)
            paths.append(target)
        return paths

    def are_linked_in(self, folder: Path) -> bool:
        """Return whether the folder holds links to the files, all of them on this machine, and nothing else."""
        real = RealPaths()
        left = {os.path.join(folder, file.name): real.of(os.fspath(file.place or "")) for file in self.files}
        try:
            return all(os.readlink(path) == left.pop(path, "") for path in paths_below(os.fspath(folder))) and not left
        except OSError:  # no link
            return False

    def here(self, scratch: Path) -> Iterator[LocalFile]:
        """Yield each file as one of this machine; those that stand elsewhere are fetched into a folder, when asked for."""
        for file in self.files:
            place = file.place
            if place is None:
                place = scratch / file.name
                make_folder(place.parent)
                self._datastore(file.datastore).get_file(file.path, place)
            yield LocalFile(file.name, str(place))


def look(workspace: BaseWorkspace | None, definition: DatasetDefinition) -> CurrentFiles:
    """Return the files that a definition of files, or of a table, stands for now.

    Raises:
        DatasetValidationError: There are none where it says.
        DatasetExecutionError: A file on the web can't be reached.
        DatastoreException: There is no such datastore, or it can't be listed.
    """
    if definition.written is not None:
        return _made(workspace, definition)
    if definition.format == "sql":
        return _answered(workspace, definition)
    several = len({place.datastore for place in definition.places}) > 1
    found: dict[str, FoundFile] = {}
    roots: list[str] = []
    for place in definition.places:
        start = f"{place.datastore or 'web'}/" if several else ""
        there, root = _of_place(workspace, place)
        if there:
            roots.append(f"{start}{root}".rstrip("/"))
        elif not is_pattern(place.path):
            raise _no_data(workspace, place)
        for path, file in there.items():
            found.setdefault(start + path, file)
    if not found:
        raise _no_data(workspace, *definition.places[:1])
    root = common_root(roots)
    definition = replace(definition, root=root)
    named = {path[len(root) :].lstrip("/"): file for path, file in found.items()}
    files = [replace(named[name], name=name) for name in ordered(definition, named)]
    if definition.kind == "file":
        files = list(chosen_files(definition.operations_on_files, [(file, file.shown_facts) for file in files]))
    return CurrentFiles(workspace, definition, files)


def _of_place(workspace: BaseWorkspace | None, place: Place) -> tuple[dict[str, FoundFile], str]:
    """Return the files at a place by their paths, and the folder that their names leave out."""
    if not place.datastore:
        path = web_path(place.path)
        return {path: _of_web(workspace, place.path)}, posixpath.dirname(path)
    if workspace is None:
        raise _no_workspace(place)
    datastore = Datastore.get(workspace, place.datastore)
    pattern = datastore.readable(place.path)
    start = fixed_part(pattern)
    if datastore.local_root is not None:
        datastore.require_here()
        paths = _here(datastore.local_root, start)
        files = {path: _local(datastore, path, status) for path, status in paths if matches(pattern, path)}
    else:
        listed = datastore.listed(start)
        files = {path: _far(datastore.name, path, facts) for path, facts in listed.items() if matches(pattern, path)}
    root = posixpath.dirname(pattern) if not is_pattern(pattern) and pattern in files else start
    return files, root


def _of_web(workspace: BaseWorkspace | None, address: str) -> FoundFile:
    """Return the file at an address on the web, which a table outside the code may have laid on a folder of this machine."""
    laid = local_path(place_of_address(address, workspace.datastore_places if workspace else {}))
    if not laid:
        found = web_addresses.look(address)
        return FoundFile("", "", address, found.size, found.changed_seconds, found.path, found.digest)
    try:
        with open(os.path.realpath(laid), "rb") as stream:
            known = "" if workspace else file_digest(stream)
            status = os.fstat(stream.fileno())
    except OSError as error:
        raise DatasetExecutionError(
            "A file of the web is not where it was laid",
            {"address": address, "path": laid, "reason": error.strerror},
            "Put it there, or take its address out of the table.",
        ) from error
    return FoundFile("", "", address, status.st_size, status.st_mtime, Path(laid), known)


def _here(root: Path, start: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the paths of the files of a local datastore at or below a path of it, links followed wherever they lead."""
    top = os.path.join(root, start)
    if status := _status(top):
        yield start, status
        return
    links = 0
    for folder, folders, names in os.walk(top, followlinks=True):
        below = "" if folder == top else os.path.relpath(folder, top)
        path = "/".join(filter(None, (start, below)))
        if not path and PRIVATE in folders:
            folders.remove(PRIVATE)
        for name in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            links += 1
            real = os.path.realpath(os.path.join(folder, name))
            if f"{os.path.realpath(folder)}/".startswith(f"{real}/") or links > MOST_LINKS:
                folders.remove(name)
        for name in names:
            if status := _status(os.path.join(folder, name)):
                yield "/".join(filter(None, (path, name))), status


def _status(path: str) -> os.stat_result | None:
    """Return what is known of a file, None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _local(datastore: Datastore, path: str, status: os.stat_result) -> FoundFile:
    assert datastore.local_root is not None
    place = datastore.local_root / path
    return FoundFile("", datastore.name, path, status.st_size, status.st_mtime, place)


def _far(datastore: str, path: str, facts: Facts) -> FoundFile:
    return FoundFile("", datastore, path, int(facts.get("size") or 0), time_of(facts), facts=facts)


def _made(workspace: BaseWorkspace | None, definition: DatasetDefinition) -> CurrentFiles:
    """Return the files that are made of the table of a definition."""
    source = look(workspace, definition.table)
    folder, tree = made_files(
        workspace.store if workspace else None,
        source.definition,
        definition,
        source.content,
        lambda: look(workspace, definition.table).content,
        source.here,
    )
    made = _files_in(folder, tree)
    files = list(chosen_files(definition.operations_on_files, [(file, file.shown_facts) for file in made]))
    return CurrentFiles(workspace, replace(definition, root=""), files)


def _answered(workspace: BaseWorkspace | None, definition: DatasetDefinition) -> CurrentFiles:
    """Return the file that holds what the query of a definition answers now."""
    if workspace is None:
        raise _no_workspace(definition.places[0])
    return CurrentFiles(workspace, replace(definition, root=""), _files_in(*asked(workspace, definition.places[0])))


def _files_in(folder: Path, tree: Tree) -> list[FoundFile]:
    return [
        FoundFile(entry.path, "", entry.path, entry.size, place=folder / entry.path, known_digest=entry.digest)
        for entry in tree.entries
    ]


def _no_workspace(place: Place) -> DatasetExecutionError:
    return DatasetExecutionError(
        "The workspace of a dataset's files is not known here",
        {"datastore": place.datastore, "path": place.path},
        "Make the dataset from datastores, or get it with `Dataset.get_by_name(workspace, name)`.",
    )


def _no_data(workspace: BaseWorkspace | None, *places: Place) -> DatasetValidationError:
    facts = {"datastore": places[0].datastore or "the web", "path": places[0].path or "/"} if places else {}
    told: tuple[dict[str, object], str] = (
        dict(facts),
        "Upload the data first, correct the path, or pass `validate=False` if they come later.",
    )
    if workspace is not None and places and places[0].datastore:
        told = Datastore.get(workspace, places[0].datastore).told_missing(*told)
    return DatasetValidationError(
        "There is no data where a dataset says" if places else "A dataset names no files", *told
    )
