"""Requests about datasets: registered ones, the files that a definition stands for now, and new versions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stepwell.blocks.datasets import registry
from stepwell.blocks.datasets.files.current_files import CurrentFiles, look
from stepwell.errors import UserErrorException
from stepwell.flows.step_requests.asking import Answer, Asker
from stepwell.model.datasets.definition import DatasetDefinition, addresses_of, datastores_of
from stepwell.model.digests import encode, file_digest
from stepwell.model.redaction import redacted

_SHOWN = ("name", "version", "definition", "description", "tags", "created")
Plain = dict[str, Any]


def get(asker: Asker, *, name: str | None = None, id: str | None = None, version: int | str | None = None) -> Answer:
    """Return the facts of a version of a dataset, by default of the latest, or of the one that has the id."""
    if (name is None) == (id is None):
        raise UserErrorException("A dataset is asked for by its name or by its id", hint="Pass one of them.")
    workspace = asker.host.workspace
    if id is not None:
        block = registry.find_by_id(workspace, id)
    else:
        assert name is not None
        block = registry.find(workspace, name, version)
    shown = _facts(block)
    return Answer(shown, words=f"version {block.version}" if block.version else "")


def list_all(asker: Asker) -> Answer:
    """Return the names of all datasets."""
    return Answer({"datasets": sorted(registry.latest_by_name(asker.host.workspace))})


def look_at(asker: Asker, *, definition: Plain, name: str | None = None) -> Answer:
    """Return the names of the files that a definition stands for now, in the order of reading, and what they lack."""
    found = _found(asker, definition, name)
    return Answer({"root": found.definition.root or "", "names": [file.name for file in found.files]})


def files(asker: Asker, *, definition: Plain, name: str | None = None) -> Answer:
    """Provide a folder of the files that a definition stands for now, or the file if it is one that was named."""
    found = _found(asker, definition, name)
    assert asker.folder
    folder = asker.folder() / "files"
    folder.mkdir()
    paths = found.put_into(folder, links=True)
    read = tuple(os.path.realpath(path) for path in paths if path.is_symlink())
    place = paths[0] if found.is_single_file else folder
    identity = [
        [name, known if path.is_symlink() else _digest(path)]
        for path, (name, known) in zip(paths, _identity(found), strict=True)
    ]
    return Answer(path=place, identity=identity, read_in_place=read)


def files_again(asker: Asker, *, definition: Plain, name: str | None = None) -> Answer:
    """Return what identifies the files that a definition stands for now, and copy none."""
    return Answer(identity=_identity(_found(asker, definition, name)))


def register(
    asker: Asker,
    *,
    definition: Plain,
    name: str,
    description: str | None = None,
    tags: dict[str, str] | None = None,
    create_new_version: bool = False,
) -> Answer:
    """Save a definition under a name, and return its facts."""
    workspace, made = asker.host.workspace, _definition(definition)
    _check_addresses(asker, made)
    description, tags = redacted(description, asker.host.redactor.redact), redacted(tags, asker.host.redactor.redact)
    for datastore in datastores_of(made):
        if datastore not in workspace.datastores:
            title = f"There is no datastore {datastore!r} in workspace {workspace.name!r}"
            raise UserErrorException(title, {"dataset": name}, "Make the dataset of datastores that are there.")
    if asker.rehearses:  # a repetition keeps nothing
        known = registry.versions_of(workspace, name)
        facts = {"name": name, "version": known[0].version + 1 if known else 1, "definition": made.to_json()}
        return Answer({**facts, "id": registry.made_up_id(made), "description": description or "", "tags": tags or {}})
    block = registry.add_version(workspace, name, made, description, tags, create_new_version=create_new_version)
    return Answer(_facts(block))


def update(
    asker: Asker,
    *,
    name: str,
    version: int | str | None = None,
    description: str | None = None,
    tags: dict[str, str] | None = None,
) -> Answer:
    """Change what was said of a version of a dataset, and return its facts."""
    block, redact = registry.find(asker.host.workspace, name, version), asker.host.redactor.redact
    block.description = block.description if description is None else redact(description)
    block.tags = block.tags if tags is None else redacted(tags, redact)
    if not asker.rehearses:
        registry.save(block)
    return Answer(_facts(block))


# ----------------------------------------------------------------------------------------------------------------------


def _facts(block: registry.DatasetBlock) -> dict[str, Any]:
    shown: dict[str, Any] = block.model_dump(mode="json", include=set(_SHOWN))
    return {**shown, "id": block.dataset_id}


def of_input(asker: Asker, *, name: str) -> Answer:
    """Provide the tree of an input of the step, as JSON, a line for each entry: the names of its files, with digests and sizes."""
    artifact = asker.call.inputs.get(name) if asker.call else None
    tree = asker.host.store.manifest(artifact.digest) if artifact else None
    if tree is None or asker.folder is None:
        raise UserErrorException(
            f"Nothing is known of the files of an input {name!r}", hint="Name an input of the step."
        )
    path = asker.folder() / "files.json"
    with path.open("wb") as stream:
        stream.write(b"[\n")
        stream.writelines(b",\n" * (number > 0) + encode(entry) for number, entry in enumerate(tree.entries))
        stream.write(b"\n]\n")
    return Answer(path=path)


def _found(asker: Asker, definition: Plain, name: str | None) -> CurrentFiles:
    workspace = asker.host.workspace
    for block in registry.versions_of(workspace, name) if name else ():
        if block.secrets:
            registry.definition_of(block)  # which knows its addresses on the web again, with what opens them
    made = _definition(definition)
    _check_addresses(asker, made)
    return look(workspace, made)


def _check_addresses(asker: Asker, made: DatasetDefinition) -> None:
    """Raise UserErrorException if a step that has no network lets the host fetch what no registered dataset has."""
    addresses = set(addresses_of(made))
    if not addresses or asker.call is None:
        return
    if asker.host.compute(asker.call.definition.compute_target).reaches_network:
        return
    for block in registry.versions_of(asker.host.workspace):
        addresses.difference_update(addresses_of(_definition(block.definition)))
    if addresses:
        raise UserErrorException(
            "A step without a network can't let its host fetch an address on the web",
            {"address": min(addresses)},
            "Register the dataset where the pipeline is submitted, and get it by its name.",
        )


def _definition(plain: Plain) -> DatasetDefinition:
    try:
        return DatasetDefinition.from_json(plain)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserErrorException("That is no definition of a dataset", {"reason": error}, "Ask by `Dataset`.") from None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream)


def _identity(found: CurrentFiles) -> list[Any]:
    return [[file.name, digest] for file, digest in zip(found.files, found.digests, strict=True)]
