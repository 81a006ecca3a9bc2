"""What tests draw: names, folders, rows, and every type of the shared vocabulary."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from stepwell.model import definitions, records as record_types
from stepwell.model.jsonable import Jsonable
from stepwell.model.fingerprint import Fingerprint, Row

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
    record_types.StepRecord,
    metrics=st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=2).map(tuple),
)
st.register_type_strategy(record_types.StepRecord, records)

JSONABLES = [
    kind
    for module in (definitions, record_types)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Jsonable) and kind is not Jsonable
]
jsonables = st.sampled_from(JSONABLES).flatmap(st.from_type)
"""Values of every type that turns into JSON."""

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_scalars = {"int": st.integers(), "float": numbers, "bool": st.booleans(), "str": texts}


@st.composite
def parameter_definitions(draw: st.DrawFn) -> definitions.ParameterDefinition:
    """Parameters of every kind but data: single or a list, nullable or not, free, with choices or with limits."""
    kind, many, nullable = draw(st.sampled_from(sorted(_scalars))), draw(st.booleans()), draw(st.booleans())
    bounds: dict[str, Any] = draw(
        st.just({})
        | st.lists(_scalars[kind], min_size=1, max_size=3, unique=True).map(lambda found: {"choices": tuple(found)})
        | (_limits(_scalars[kind]) if kind in ("int", "float") else st.nothing())
    )
    bare = definitions.ParameterDefinition(
        "p", "list" if many else kind, None, nullable=nullable, item_type=kind if many else "", **bounds
    )
    return replace(bare, default=draw(parameter_values(bare)))


def _limits(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    # -0.0 equals 0.0, and st.floats wants the lower limit to have the lower sign too.
    ordered = st.tuples(scalars, scalars).map(lambda pair: sorted(pair, key=lambda n: (n, math.copysign(1, n))))
    pairs = ordered.map(lambda pair: dict(zip(("minimum", "maximum"), pair, strict=True)))
    return pairs.flatmap(
        lambda pair: st.sampled_from([pair, {"minimum": pair["minimum"]}, {"maximum": pair["maximum"]}])
    )


def parameter_values(definition: definitions.ParameterDefinition) -> st.SearchStrategy[Any]:
    """Return the values that the parameter may have."""
    kind, low, high = definition.item_type or definition.type, definition.minimum, definition.maximum
    if definition.choices:
        found = st.sampled_from(definition.choices)
    elif kind == "int":
        found = st.integers(low, high)
    else:
        found = st.floats(low, high, allow_nan=False, allow_infinity=False) if kind == "float" else _scalars[kind]
    if definition.type == "list":
        found = st.lists(found, max_size=4).map(tuple)
    return found | st.none() if definition.nullable else found


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
    """Return what `write_folder` wrote."""
    if place.is_file():
        return place.read_bytes()
    return {child.name: read_folder(child) for child in place.iterdir()}
