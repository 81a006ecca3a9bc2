"""Materialization of outputs at their places on datastores. What stood there and is no part of the output stays."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.system.files import copy_file, remove
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.errors import DatastoreException
from stepwell.flows.engine.run_context import RunContext
from stepwell.model.definitions import OutputPort, StepDefinition
from stepwell.model.nofollow import leads_out
from stepwell.model.records import Artifact, StepRecord
from stepwell.model.tree import Entry, Tree, scan


def output_path(port: OutputPort, step_run_id: str) -> str:
    """Return where users of Azure ML SDK v1 find an output on its datastore."""
    template = f"azureml/{step_run_id}/{port.name}" if port.destination is None else port.destination
    return template.replace("{run-id}", step_run_id).replace("{output-name}", port.name)


def check_destinations(context: RunContext, definition: StepDefinition) -> None:
    """Raise DatastoreException if an output's destination is not on its datastore, or has too long a name."""
    for port in definition.outputs:
        datastore = _datastore(context, port)
        path = datastore.inside(output_path(port, "0" * 36))
        if any(len(os.fsencode(part)) > 255 for part in path.split("/")):
            raise DatastoreException(
                f"The destination of output {port.name!r} has too long a name", {"path": path}, "Shorten it."
            )


def materialize(context: RunContext, definition: StepDefinition, record: StepRecord, *, fresh: bool) -> None:
    """Put every output, with the right bytes, at its place on its datastore. `fresh`: it was written just now."""
    for port in definition.outputs:
        artifact, datastore = record.outputs[port.name], _datastore(context, port)
        path, root = output_path(port, record.step_run_id), datastore.local_root
        if port.destination is None and root and context.store.root.is_relative_to(root):
            _link(context.store.tree_path(artifact.digest), root / path)
        else:
            _copy(context, datastore, path, artifact, fresh=fresh)


def _datastore(context: RunContext, port: OutputPort) -> Datastore:
    return context.datastore(port.datastore or context.workspace.default_datastore_name)


def _link(tree: Path, place: Path) -> None:
    with suppress(OSError):  # the link is a convenience for v1's readers; the store is the truth
        target = os.path.relpath(tree, place.parent)
        if os.path.islink(place) and os.readlink(place) == target:
            return
        make_folder(place.parent)
        remove(place)
        os.symlink(target, place)


def _copy(context: RunContext, datastore: Datastore, path: str, artifact: Artifact, *, fresh: bool) -> None:
    root = context.store.tree_path(artifact.digest)
    tree = context.store.manifest(artifact.digest) or scan(root)
    present = _entries_at(context, datastore, path)
    for entry in tree.entries:
        name = datastore.inside("/".join(filter(None, (path, entry.path))))
        source = root / entry.path if entry.path else root
        if datastore.local_root is None:
            if entry.kind == "file" and (fresh or datastore.size(name) != entry.size):
                datastore.put_file(source, name)
        elif present.get(entry.path) != entry:
            _write_entry(root if entry.path else root.parent, source, datastore.local_root / name, entry)


def _entries_at(context: RunContext, datastore: Datastore, path: str) -> dict[str, Entry]:
    """Return what stands at the place already, by path."""
    if datastore.local_root is None or datastore.inside(path) == "":
        return {}
    found = Tree(())
    with suppress(Exception):  # whatever can't be read there is simply written
        found = context.store.tree_at(datastore.local_root / datastore.inside(path))
    return {entry.path: entry for entry in found.entries}


def _write_entry(root: Path, source: Path, place: Path, entry: Entry) -> None:
    try:
        if entry.kind == "folder":
            make_folder(place)
            return
        make_folder(place.parent)
        scratch = Path(tempfile.mkdtemp(prefix=".materialize-", dir=place.parent))
        try:
            if entry.kind == "link":
                if leads_out(entry.path, entry.digest):
                    raise OSError(errno.ELOOP, "A link that leads out of its output", entry.digest)
                os.symlink(entry.digest, scratch / "x")
            else:
                copy_file(source, scratch / "x", below=root)
            os.replace(scratch / "x", place)
        finally:
            remove(scratch)
    except OSError as error:
        raise DatastoreException(
            "An output can't be copied to its destination",
            {"place": place, "reason": error.strerror or error},
            "Remove what stands there, or choose another destination.",
        ) from error
