"""What people say of a run: the latest word of each thing counts, whoever said it, in whatever order it comes."""

from __future__ import annotations

import itertools
import json

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import words
from stepwell.blocks.store.runs.words import GONE, Subject, Word, say, words_of

NOTE, BEST, PIN = Subject("note"), Subject("tag", "best"), Subject(words.PINNED)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_what_was_said_last_counts_and_what_was_taken_back_is_gone(run):
    say(run, {NOTE: "first", BEST: None}, lambda: 10.0)
    say(run, {NOTE: "second"}, lambda: 11.0)
    say(run, {BEST: GONE}, lambda: 12.0)
    assert words_of(run) == {NOTE: Word(11.0, False, "second"), BEST: Word(12.0, True, None)}


def test_a_word_is_later_than_what_is_known_whatever_the_clock_tells(run):
    say(run, {NOTE: "early"}, lambda: 5000.0)
    say(run, {NOTE: "late"}, lambda: 10.0)
    assert words_of(run)[NOTE].value == "late"


def test_all_readers_read_the_same_in_whatever_order_documents_come(tmp_path):
    told = [
        {BEST: Word(1.0, False, "a"), NOTE: Word(9.0, False, "x")},
        {BEST: Word(2.0, False, "b")},
        {BEST: Word(2.0, False, "c"), NOTE: Word(3.0, True, None)},
    ]
    found = []
    for number, order in enumerate(itertools.permutations(range(3))):
        run = RunFolder(tmp_path / str(number))
        for who in order:
            words.keep_theirs(run, "abc"[who], 1, words.written_words(1, told[who]))
        found.append(words_of(run))
    assert found == [{BEST: Word(2.0, False, "c"), NOTE: Word(9.0, False, "x")}] * 6


def test_a_later_version_takes_the_place_of_an_earlier_one_and_not_the_other_way(run):
    words.keep_theirs(run, "a", 2, words.written_words(2, {NOTE: Word(1.0, False, "new")}))
    assert words.has_theirs(run, "a", 2) and words.has_theirs(run, "a", 1) and not words.has_theirs(run, "a", 3)
    words.keep_theirs(run, "a", 3, words.written_words(3, {NOTE: Word(2.0, False, "newer")}))
    assert [path.name for path in (run.path / words.FOLDER).glob("a.*")] == ["a.3.json"]
    words.drop_theirs(run, "a")
    assert words_of(run) == {}


def test_the_file_that_keeps_a_run_follows_what_is_said_anywhere(run):
    say(run, {PIN: ""}, lambda: 1.0)
    assert (run.path / "pinned").exists()
    words.keep_theirs(run, "a", 1, words.written_words(1, {PIN: Word(2.0, True, None)}))
    assert not (run.path / "pinned").exists()


def test_what_can_t_be_understood_says_nothing(run):
    good = json.loads(words.written_words(1, {NOTE: Word(1.0, False, "good")}))["said"][0]
    bad = [{**good, "kind": "order"}, {**good, "at": "now"}, {**good, "value": 7}, {**good, "at": 1e30}, 7, None]
    (run.path / words.FOLDER).mkdir(parents=True)
    for number, text in enumerate(["", "[]", "{", json.dumps({"format": 1, "sequence": 1, "said": bad[:4]})]):
        (run.path / words.FOLDER / f"a{number}.1.json").write_text(text)
    assert words_of(run) == {}
    words.keep_theirs(run, "b", 1, json.dumps({"format": 1, "sequence": 1, "said": [*bad[:4], good]}).encode())
    assert words_of(run)[NOTE].value == "good"


def test_people_have_the_last_word_after_scripts(run):
    logged = [{"type": "tag", "scope": "parent", "name": "best", "value": "script", "time": 99.0}]
    say(run, {BEST: "person", Subject("tag", "good", "train"): None}, lambda: 10.0)
    (event,) = words.tag_events(words_of(run), logged)
    assert (event["value"], event["time"]) == ("person", 99.0)
    assert [(one["scope"], one["value"]) for one in words.tag_events(words_of(run), [], "train")] == [("step", None)]
