"""Keys of files of parameters: named, left alone in a file, written in each of its kinds."""

from __future__ import annotations

from datetime import date
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.file_keys import at, is_below, leaves, only, written
from stepwell.flows.parameters.parameter_files import parsed

DATA = {
    "seed": 3,
    "train": {"rate": 0.1, "learning-steps": [1, 2], "layers": [{"size": 3}], "odd": {"a b": 1}, "none": {}},
    "other": {"a": {"b": "x"}},
}


def test_each_value_has_the_name_of_its_keys():
    assert dict(leaves(DATA)) == {
        "seed": 3, "train.rate": 0.1, "train.learning-steps": [1, 2], "train.layers": [{"size": 3}], "train.odd": {"a b": 1},
        "train.none": {}, "other.a.b": "x",
    }  # fmt: skip
    assert at(DATA, "other.a", PurePath("p.yaml")) == {"b": "x"} and at(DATA, "", PurePath("p.yaml")) is DATA
    for key in ("train.rat", "seed.x", "train.rate.x", "train.odd.a b"):
        with pytest.raises(UserErrorException, match="p.yaml has no key"):
            at(DATA, key, PurePath("p.yaml"))


def test_only_what_is_named_is_left_with_other_values():
    assert only(DATA, ["train.rate", "seed"], {"train.rate": 0.3}) == {"seed": 3, "train": {"rate": 0.3}}
    assert only(DATA, ["other"], {"seed": 4}) == {"other": {"a": {"b": "x"}}}
    assert only(DATA, [""], {}) == DATA and only(DATA, ["train.r"], {}) == {"train": {}}
    assert is_below("train.rate", ["train"]) and is_below("seed", [""]) and not is_below("trains", ["train"])


SCALARS = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\x7f\"'\\"))
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-. é", min_size=1), inner, max_size=3),
)


@pytest.mark.parametrize("name", ["p.yaml", "p.json", "p.toml"])
@given(data=st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=4))
def test_what_is_written_is_read_again(name, data):
    data = {**data, "since": date(2026, 1, 2)} if name != "p.json" else data
    assert (parsed(PurePath(name), written(PurePath(name), data).decode()) or {}) == data
