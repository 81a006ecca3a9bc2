"""Runs are found by what people call them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.names import matching_runs, short_ids

IDS = ["06926f1a-0001", "06926f1a-0002", "12000000-0003", "4ab00000-0004"]
FACTS = [
    {"number": 1, "name": "digits #1", "pipeline": {"name": "digits"}},
    {"number": 2, "name": "chosen", "published": {"name": "digits"}},
    {"number": 3, "name": "my flow", "kind": "flow"},
    {"number": 12, "name": "a#b#12", "pipeline": {"name": "a#b"}},
]


@pytest.fixture
def found(tmp_path):
    """Returns the numbers of the runs that a word means."""
    for run_id, facts in zip(IDS, FACTS, strict=True):
        RunFolder(tmp_path / "runs" / run_id).describe(facts)
    workspace = SimpleNamespace(run_place=SimpleNamespace(root=tmp_path, written=tmp_path))
    return lambda word: [run.facts()["number"] for run in matching_runs(workspace, word)]


@pytest.mark.parametrize(
    ("word", "numbers"),
    [
        ("digits#1", [1]), ("digits #1", [1]), ("#1", [1]), ("1", [1]), ("digits#2", [2]), ("chosen", [2]),
        ("my flow#3", [3]), ("a#b#12", [4 * 3]), ("12", [12]), ("#12", [12]), ("12000000", [3]), ("120", []), ("4", []),
        (IDS[0], [1]), ("06926f1a", [2, 1]), ("06926f1a-0002", [2]), ("4ab", [12]),
        ("digits#3", []), ("igits#1", []), ("#", []), ("", []), ("#99", []), ("digits", []),
    ],
)  # fmt: skip
def test_a_run_is_meant_by_its_name_its_number_its_id_or_the_beginning_of_that_and_never_by_a_number_that_it_has_not(
    word, numbers, found
):
    assert found(word) == numbers


def test_labels_are_words_of_a_shell(tmp_path):
    run = RunFolder(tmp_path / "id")
    assert (run.label, run.reference) == ("id", "id")
    run.describe({"number": 7, "pipeline": {"name": "digits"}})
    assert (run.label, run.reference) == ("digits#7", "digits#7")
    run.describe({"number": 7, "pipeline": {"name": "my 'p"}})
    assert (run.label, run.reference) == ("my 'p#7", """'my '"'"'p#7'""")


@given(st.sets(st.text("ab", min_size=9, max_size=14)))
def test_a_short_id_begins_one_id_only_and_no_shorter_one_does(ids):
    for run_id, short in short_ids(ids).items():
        assert [other for other in ids if other.startswith(short)] == [run_id] or short == run_id
        assert len(short) == 8 or len([other for other in ids if other.startswith(short[:-1])]) > 1
