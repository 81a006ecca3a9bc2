"""Names made of several: whatever is joined, different lists never come out alike."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from stepwell.model.names import earlier_joined_name, folder_names, joined_name

PARTS = st.text("abAB01-_./ é", max_size=12)
LISTS = st.lists(PARTS, min_size=1, max_size=4)


@given(st.lists(LISTS, min_size=2, max_size=8, unique_by=tuple))
def test_different_lists_have_different_names(lists):
    assert len({joined_name(*names) for names in lists}) == len(lists)


@given(LISTS)
def test_a_name_is_one_that_prefect_takes(names):
    assert re.fullmatch("[a-z0-9-]{1,200}", joined_name(*names, "x" * 500)) and joined_name(*names) == joined_name(
        *names
    )


@given(LISTS.filter(lambda names: len(names) > 1), LISTS)
def test_what_is_joined_is_named_as_nothing_was_once(names, others):
    assert joined_name(*names) != earlier_joined_name(*others)


@given(LISTS)
def test_no_plain_name_is_one_that_had_a_digest_once(others):
    earlier = earlier_joined_name(*others)
    assert joined_name(earlier) != earlier or earlier == "-".join(others)


def test_names_that_met_once():
    assert earlier_joined_name("ml", "prod-gpu") == earlier_joined_name("ml-prod", "gpu")
    assert joined_name("ml", "prod-gpu") != joined_name("ml-prod", "gpu")
    assert joined_name("Foo") != joined_name(earlier_joined_name("Foo")) and joined_name("foo") == "foo"


@given(st.sets(st.text("a/_.", max_size=4), max_size=8))
def test_each_step_has_a_folder_of_its_own(names):
    found = folder_names(names)
    assert len(set(found.values())) == len(names) and not {".", "..", ""} & set(found.values())
    assert not any("/" in folder for folder in found.values())


def test_a_folder_is_called_as_the_step_if_that_can_be():
    assert folder_names(["a/b", "c"]) == {"a/b": "a_b", "c": "c"}
    assert folder_names(["a/b", "a_b"])["a_b"] == "a_b"
