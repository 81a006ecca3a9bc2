"""Outputs that become datasets of the workspace: a version for bytes that are new, none for those that it has."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.blocks.datasets.registry import DatasetBlock, add_version, definition_of, save, versions_of
from stepwell.blocks.datasets.sources import at_place, definition_in
from stepwell.blocks.store import claims
from stepwell.blocks.system.locks import exclusive
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.model.definitions import DataSource, Registration
from stepwell.model.records import Artifact

DigestNow = Callable[[DataSource], str]
"""Data on a datastore in; the digest of what stands there now out, '' if there is nothing."""


def register_output(
    workspace: BaseWorkspace, wanted: Registration, artifact: Artifact, digest_now: DigestNow
) -> DatasetBlock:
    """Return the version of the dataset that an output is: one that has its bytes already, else a new one.

    Raises:
        UserErrorException: There is another dataset of the name, and no new version is wanted.
    """
    with exclusive(workspace.store.written / "registrations.lock"):
        return _register(workspace, wanted, artifact, digest_now)


def _register(
    workspace: BaseWorkspace, wanted: Registration, artifact: Artifact, digest_now: DigestNow
) -> DatasetBlock:
    definition = at_place(definition_in(wanted.reading), artifact.datastore, artifact.path)
    known = versions_of(workspace, wanted.name)
    for block in known:
        if block.content == artifact.digest and _is_there(block, artifact, digest_now):
            earlier = definition_of(block)
            if (earlier.kind, earlier.reading) == (definition.kind, definition.reading):
                return block
    if known and not wanted.new_version:
        raise UserErrorException(
            f"There is a dataset {wanted.name!r} already, with other bytes",
            {"workspace": workspace.name, "latest version": known[0].version},
            "Choose another name, or let it have versions: `register(name, create_new_version=True)`.",
        )
    block = add_version(
        workspace, wanted.name, definition, wanted.description, wanted.tags, create_new_version=True
    ).model_copy(update={"content": artifact.digest, "content_place": [artifact.datastore, artifact.path]})
    claims.claim(workspace.store, block.claim, {"snapshots": {wanted.name: artifact.digest}})
    save(block)
    return block


def _is_there(block: DatasetBlock, artifact: Artifact, digest_now: DigestNow) -> bool:
    """Return whether the place of a version still holds what it held when it was registered."""
    if block.content_place == [artifact.datastore, artifact.path]:
        return True
    return len(block.content_place) == 2 and digest_now(DataSource(*block.content_place)) == artifact.digest
