"""What tests draw: names, folders, rows, and every type of the shared vocabulary."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

from stepwell import vocabulary
from stepwell.fingerprint import Fingerprint, Row

numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
st.register_type_strategy(float, numbers)

file_names = (
    st.binary(min_size=1, max_size=30)
    .filter(lambda name: name not in (b".", b"..") and not {0, ord("/")} & set(name))
    .map(os.fsdecode)
)
"""Anything that Linux allows, also what is no UTF-8."""

Folder = dict[str, "bytes | Folder"]
folders = st.recursive(
    st.dictionaries(file_names, st.binary(max_size=20), max_size=4),
    lambda inner: st.dictionaries(file_names, inner | st.binary(max_size=20), max_size=4),
    max_leaves=6,
)

_kinds = st.sampled_from(["recipe", "script", "module", "file", "argument", "parameter", "input", "read"])
rows = st.builds(Row, _kinds, st.text(max_size=10), st.text(max_size=80) | st.just("sha256:" + 64 * "a"))
fingerprints = st.builds(
    Fingerprint, st.lists(rows, min_size=1, max_size=8, unique_by=lambda row: (row.kind, row.name)).map(tuple)
)
st.register_type_strategy(Fingerprint, fingerprints)

records = st.builds(
    vocabulary.StepRecord,
    metrics=st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=2).map(tuple),
)
st.register_type_strategy(vocabulary.StepRecord, records)

JSONABLES = [
    kind
    for kind in vars(vocabulary).values()
    if isinstance(kind, type) and issubclass(kind, vocabulary.Jsonable) and kind is not vocabulary.Jsonable
]
jsonables = st.sampled_from(JSONABLES).flatmap(st.from_type)
"""Values of every type that turns into JSON."""


def write_folder(place: Path, folder: Folder) -> Path:
    """`place`, which holds the folder now."""
    place.mkdir()
    for name, content in folder.items():
        if isinstance(content, bytes):
            (place / name).write_bytes(content)
        else:
            write_folder(place / name, content)
    return place


def read_folder(place: Path) -> Folder | bytes:
    """What `write_folder` wrote."""
    if place.is_file():
        return place.read_bytes()
    return {child.name: read_folder(child) for child in place.iterdir()}
