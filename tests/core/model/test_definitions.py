"""What a pipeline's definition says of its steps."""

from __future__ import annotations

import time
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from stepwell.model.definitions import PipelineDefinition


def circle(upstream):
    steps = tuple(SimpleNamespace(id=name, upstream=tuple(before)) for name, before in upstream.items())
    return PipelineDefinition("p", "", "w", steps, ()).circle


def test_what_waits_in_a_circle_or_for_one_is_named_in_the_order_of_the_steps():
    assert circle({"a": [], "b": ["a"], "c": ["a", "b", "gone"]}) == ()
    assert circle({"d": ["c"], "a": [], "b": ["a", "c"], "c": ["b"], "e": ["a"]}) == ("d", "b", "c")


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=3), max_size=9))
def test_a_step_is_named_if_it_can_never_be_reached(upstream):
    done: set[int] = set()
    for _ in upstream:
        done |= {name for name, before in upstream.items() if not (set(before) & upstream.keys()) - done}
    assert circle(upstream) == tuple(name for name in upstream if name not in done)


def test_a_long_chain_is_no_circle_and_soon_known_to_be_none():
    before = time.process_time()
    assert circle({number: [number - 1] if number else [] for number in range(30_000)}) == ()
    assert time.process_time() - before < 10  # a pass over all for each takes minutes
