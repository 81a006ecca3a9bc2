"""Values of any library become JSON and come back, and add up to v1's shapes."""

import json
import math
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.errors import UserErrorException
from stepwell.script.metrics import decoded, encoded, finite, metrics_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("$float") | st.just("$"), inner, max_size=3)
    ),
    max_leaves=8,
)


def logged(name, kind, value, scope="step"):
    """Return the event of a metric."""
    return {"type": "metric", "scope": scope, "name": name, "kind": kind, "value": encoded(value), "time": 1.5}


@settings(deadline=None)
@given(VALUES)
def test_values_survive_strict_json(value):
    assert repr(decoded(json.loads(json.dumps(encoded(value), allow_nan=False)))) == repr(value)


@given(VALUES)
def test_decoding_never_raises(value):
    decoded(value)


def test_values_of_other_libraries():
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    values = [
        *((numpy.float32(0.5), 0.5), (numpy.int64(7), 7), (numpy.bool_(True), True), (numpy.str_("a"), "a")),
        *((numpy.float64("nan"), math.nan), (numpy.longdouble(1.5), 1.5), (numpy.array(3), 3)),
        *((numpy.array([1.0, numpy.inf]), [1.0, math.inf]), (pandas.Series([1, 2]), [1, 2])),
        *((pandas.Timestamp("2024-01-02"), "2024-01-02T00:00:00"), (Decimal("0.25"), 0.25)),
        (IntEnum("Colour", "RED").RED, 1),
    ]
    assert repr([decoded(encoded(value)) for value, _ in values]) == repr([plain for _, plain in values])


class Loop:
    def tolist(self):
        return Loop()


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {1, 2}, 1j, LOOP, Loop(), [10**5000], [1, object()], len, Decimal("snan")]
)
def test_what_cannot_be_logged_is_refused_by_name(value):
    with pytest.raises(UserErrorException, match="accuracy"):
        encoded(value, "accuracy")


def test_repeated_tables_are_joined_and_the_last_kind_counts():
    events = [
        *(logged("t", "table", {"x": [1], "y": 2}), logged("t", "table", {"x": [3]})),
        *(logged("k", "scalar", 1), logged("k", "list", [2]), logged("k", "scalar", 3, "parent")),
    ]
    assert metrics_of(events) == {"t": {"x": [1, 3], "y": [2]}, "k": [2]}
    assert metrics_of(events, "parent") == {"k": 3}


@settings(deadline=None)
@given(VALUES)
def test_finite_values_are_json_that_any_reader_takes(value):
    json.dumps(finite(value), allow_nan=False)


def test_finite_values_name_the_numbers_that_json_lacks():
    assert finite({"a": [1.5, math.nan, (math.inf, -math.inf)], "b": None}) == {
        "a": [1.5, "NaN", ["Infinity", "-Infinity"]],
        "b": None,
    }
