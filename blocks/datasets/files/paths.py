"""Paths as v1's users write them for datasets: addresses, references, pairs of a datastore and a path, lists of these."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepwell.blocks.datasets.files.web_addresses import is_web_address, shown_address
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.references import DataPath, DataReference
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import Place

_WAYS = "Pass `(datastore, 'folder/**/*.csv')`, a DataPath, an https address, or a list of these."


def places_of(path: Any) -> tuple[tuple[Place, ...], BaseWorkspace | None]:
    """Return the places that a path names, each once, and the workspace of its datastores, None without a datastore.

    Raises:
        UserErrorException: It names none, or datastores of several workspaces.
        DatastoreException: A path leads out of its datastore.
    """
    places: list[Place] = []
    owners: dict[str, BaseWorkspace] = {}
    for place, datastore in _each(path):
        places.append(place)
        if datastore is not None:
            owners[datastore.workspace.name] = datastore.workspace  # type: ignore[assignment]
    if not places:
        raise UserErrorException("A dataset needs a path", hint=_WAYS)
    if len(owners) > 1:
        raise UserErrorException(
            "A dataset can't have files of several workspaces",
            {"workspaces": ", ".join(owners)},
            "Take datastores of one workspace.",
        )
    return tuple(dict.fromkeys(places)), next(iter(owners.values()), None)


def query_of(query: Any) -> tuple[Place, BaseWorkspace]:
    """Return the place that a query is, its datastore and its text, and the workspace; UserErrorException if it is none."""
    pair: Any = (query.datastore, query.path_on_datastore) if isinstance(query, DataPath) else query
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], Datastore) and isinstance(pair[1], str)):
        raise UserErrorException(
            "A query must be a text on a datastore that holds tables", hint="Pass `(datastore, 'SELECT …')`."
        )
    datastore, text = pair
    return Place(datastore.name, text), datastore.workspace


def target_of(target: Any) -> tuple[Datastore, str]:
    """Return the datastore and folder that are to be written to; raise UserErrorException if it is none."""
    found = [
        (datastore, place.path)
        for place, datastore in ([] if isinstance(target, (str, list)) else _each(target))
        if datastore is not None
    ]
    if len(found) != 1:
        raise UserErrorException("A target must be a folder on a datastore", hint="Pass `(datastore, 'folder')`.")
    return found[0]


def _each(path: Any) -> Iterator[tuple[Place, Datastore | None]]:
    if isinstance(path, Datastore):
        yield Place(path.name, ""), path
    elif isinstance(path, (DataReference, DataPath)):
        yield _on_datastore(path.datastore, path.path_on_datastore)
    elif isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], Datastore):
        yield from (_on_datastore(path[0], one) for one in (path[1] if isinstance(path[1], list) else [path[1]]))
    elif isinstance(path, (list, tuple)):
        for one in path:
            yield from _each(one)
    elif isinstance(path, str) and is_web_address(path):
        yield Place("", shown_address(path)), None
    else:
        raise _refused(path)


def _on_datastore(datastore: Any, path: Any) -> tuple[Place, Datastore]:
    if not isinstance(datastore, Datastore) or not (path is None or isinstance(path, (str, Path))):
        raise UserErrorException("A path of a dataset is no text on a datastore", hint=_WAYS)
    return Place(datastore.name, datastore.readable(str(path or "").lstrip("/"))), datastore


def _refused(path: Any) -> UserErrorException:
    if isinstance(path, (str, Path)) and "://" not in str(path):
        return UserErrorException(
            "A dataset can't be made of local paths",
            {"path": path},
            "Upload them first: `Dataset.File.upload_directory(folder, (datastore, 'folder'))`.",
        )
    if isinstance(path, str):
        scheme = path.partition("://")[0]
        return UserErrorException(
            f"A dataset can't be made of an address that begins with {scheme}://",
            hint=f"Register a datastore, `Datastore.register(workspace, name, '{scheme}://…')`, and name paths on it.",
        )
    return UserErrorException(f"A dataset can't be made of a {type(path).__name__}", hint=_WAYS)
