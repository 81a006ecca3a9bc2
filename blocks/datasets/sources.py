"""Datasets as sources of inputs and values of parameters, and the texts that name them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.definitions import OUTPUT, DatasetSource
from stepwell.model.digests import encode
from stepwell.script.tables.lazy_datasets import LazyDataset

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VERSION = re.compile(r"(.+):(\d{1,9}|latest)", re.DOTALL)


def dataset_source(value: Any) -> DatasetSource | None:
    """Return the source that a dataset is, None for anything else."""
    if isinstance(value, DatasetSource):
        return value
    if not isinstance(value, LazyDataset):
        return None
    dataset: Any = value
    document, name = document_of(dataset.definition), dataset.name
    return DatasetSource(document, name, dataset.version or 0, dataset.id) if name else DatasetSource(document)


def document_of(definition: DatasetDefinition) -> str:
    """Return a definition as the one JSON text of it."""
    return encode(definition.to_json()).decode()


def definition_in(document: str) -> DatasetDefinition:
    """Return the definition that a document holds; raise ValueError if it holds none."""
    try:
        found = DatasetDefinition.from_json(json.loads(document))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if found.kind not in ("file", "tabular"):
        raise ValueError("it is neither files nor a table")
    return found


def patterns_of(definition: DatasetDefinition) -> tuple[str, ...]:
    """Return the patterns of the files of an output that a definition takes; () for all."""
    return tuple(place.path for place in definition.places if place.datastore == OUTPUT and place.path)


def at_place(definition: DatasetDefinition, datastore: str, path: str) -> DatasetDefinition:
    """Return the definition of an output's dataset, the output now at this place."""
    patterns = patterns_of(definition) or ("",)
    places = tuple(Place(datastore, "/".join(filter(None, (path.strip("/"), pattern)))) for pattern in patterns)
    return replace(definition, places=places)


def source_text(source: DatasetSource) -> str:
    """Return a text that names the dataset: `<name>:<version>` or the id of a registered one, else its definition."""
    if source.name:
        return f"{source.name}:{source.version}" if source.version else source.name
    return source.document or source.id


def text_source(text: str) -> DatasetSource:
    """Return the source that a text names; raise ValueError if it names none."""
    if text.startswith("{"):
        return DatasetSource(document_of(definition_in(text)))
    if not text.strip() or not text.isprintable():
        raise ValueError("a dataset has a name")
    if _ID.fullmatch(text):
        return DatasetSource(id=text.lower())
    found = _VERSION.fullmatch(text)
    version = "0" if found is None or found[2] == "latest" else found[2]
    return DatasetSource(name=found[1] if found else text, version=int(version))
