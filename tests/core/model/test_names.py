"""Names made of several: whatever is joined, different lists never come out alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepwell.model.names import beginning_of_joined_names, earlier_joined_name, folder_name, joined_name

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


@given(st.sets(st.text("a/_.- \\\n\0é\ud800", max_size=6) | st.text(), max_size=8))
def test_each_text_has_a_folder_of_its_own(names):
    found = {folder_name(name) for name in names}
    assert len(found) == len(names) and not {".", "..", ""} & found
    assert not any("/" in folder or "\0" in folder or len(folder.encode()) > 200 for folder in found)


@given(st.text())
def test_a_folders_name_can_be_made_on_a_disk_and_never_leads_elsewhere(tmp_path_factory, text):
    place = tmp_path_factory.getbasetemp() / "names"
    (place / folder_name(text * 100)).mkdir(parents=True, exist_ok=True)
    assert (place / folder_name(text)).resolve().parent == place.resolve()


@pytest.mark.parametrize("text", ["a b", "Zażółć", "-n", "train.py", "..a", "a\\b", "x" * 200, "step: 1 (2%)"])
def test_what_can_name_a_folder_stays_as_it_is(text):
    assert folder_name(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", ". .", "a/b", "/", "a\nb", "x" * 201, "ż" * 101, "a--" + "0" * 32]
)
def test_what_can_not_gets_a_digest_that_no_other_text_has(text):
    name = folder_name(text)
    assert re.search("--[0-9a-f]{32}$", name) and folder_name(name) != name
    assert folder_name("eval/test") not in ("eval_test", folder_name("eval//test"))


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
@example("-", ["a"])
@example("ab" * 150, ["c"])
def test_joined_names_begin_as_their_first_name_does(name, others):
    beginning = beginning_of_joined_names(name)
    assert joined_name(name, *others).startswith(beginning)
    assert earlier_joined_name(name, *others).startswith(beginning)
