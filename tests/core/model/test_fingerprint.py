"""Fingerprints: what changes the key is what the explanation names, and nothing else."""

from __future__ import annotations

import strategies
from hypothesis import example, given
from hypothesis import strategies as st

from stepwell.model.fingerprint import ABSENT, CONTENT, Fingerprint, Row

TRAIN = Fingerprint(
    (
        Row("recipe", "", "1"),
        Row("script", "train.py", CONTENT + "a" * 64),
        Row("parameter", "rate", "10"),
        Row("input", "table", CONTENT + "b" * 64),
    )
)


def changed(fingerprint: Fingerprint, at: int, row: Row | None) -> Fingerprint:
    return Fingerprint((*fingerprint.rows[:at], *([row] if row else []), *fingerprint.rows[at + 1 :]))


def test_the_key_is_that_of_the_first_release() -> None:
    assert TRAIN.key == "b2f031631a8b4d635c1048ab967f79c342daf2ac0ccab60ab31ef90d79a636f5"
    assert Fingerprint(()).key == "73ac205b466fb0e7fe3a39c88bad6069317e57853c8b1cb0874a4a1eae386594"


def test_braces_of_settings_are_shown_as_they_were_written() -> None:
    """In a template they are doubled; of what is no template they stay as they are."""
    rows = [Row(kind, "n", '{{"a": {parameter:rate}}') for kind in ("setting", "argument", "param", "parameter")]
    assert [Fingerprint((row._replace(value=""),)).diff(Fingerprint((row,))) for row in rows] == [
        (f'{row.label}: {{"a": {{parameter:rate}}}} → ' if row.kind != "parameter" else f"{row.label}: {row.value} → ",)
        for row in rows
    ]


def test_differences_are_worded() -> None:
    now = Fingerprint(
        (
            Row("recipe", "", "2"),
            Row("script", "train.py", CONTENT + "c" * 64),
            Row("parameter", "rate", "20"),
            Row("parameter", "depth", "3"),
            Row("read", "side.txt", CONTENT + "d" * 64),
        )
    )
    assert now.diff(TRAIN) == (
        "Stepwell's reuse rules: 1 → 2",
        "script train.py changed",
        "parameter rate: 10 → 20",
        "parameter depth is new: 3",
        "file read but not declared side.txt is new",
        "input table is gone",
    )
    assert now.distance(TRAIN) == 6


def test_changed_content_is_explained_by_its_digests() -> None:
    asked = []

    def explain(before: str, after: str) -> list[str]:
        asked.append((before, after))
        return ["a.csv changed", "b.csv added"]

    now = changed(TRAIN, 3, Row("input", "table", CONTENT + "c" * 64))
    assert now.diff(TRAIN, explain) == ("input table changed (a.csv changed, b.csv added)",)
    assert asked == [("b" * 64, "c" * 64)]


def test_a_file_that_went_missing_changed() -> None:
    assert changed(TRAIN, 1, Row("script", "train.py", "absent")).diff(TRAIN) == ("script train.py changed",)


def test_long_values_are_shortened_in_words_but_count_as_a_whole() -> None:
    long = changed(TRAIN, 2, Row("parameter", "rate", "x" * 100))
    longer = changed(TRAIN, 2, Row("parameter", "rate", "x" * 101))
    shown = "x" * 59 + "…"
    assert longer.diff(long) == (f"parameter rate: {shown} → {shown}",)
    assert longer.key != long.key


def test_kinds_can_be_left_out() -> None:
    assert TRAIN.without("input", "recipe").rows == (TRAIN.rows[1], TRAIN.rows[2])
    assert TRAIN.without() == TRAIN


@given(strategies.fingerprints)
def test_equal_rows_have_equal_keys_and_no_difference(fingerprint: Fingerprint) -> None:
    duplicate = Fingerprint(tuple(Row(*row) for row in fingerprint.rows))
    assert (duplicate.key, duplicate.diff(fingerprint), duplicate.distance(fingerprint)) == (fingerprint.key, (), 0)


@given(strategies.fingerprints, st.data())
def test_a_changed_value_changes_the_key_and_is_named_alone(fingerprint: Fingerprint, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(fingerprint.rows) - 1))
    row = fingerprint.rows[at]
    value = data.draw(st.text(max_size=80).filter(lambda text: text != row.value))
    now = changed(fingerprint, at, row._replace(value=value))
    assert now.key != fingerprint.key
    (sentence,) = now.diff(fingerprint)
    assert sentence.startswith((f"{row.label}: ", f"{row.label} changed"))


@given(strategies.fingerprints, st.data())
def test_a_removed_row_changes_the_key_and_is_named_alone(fingerprint: Fingerprint, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(fingerprint.rows) - 1))
    now, row = changed(fingerprint, at, None), fingerprint.rows[at]
    assert now.key != fingerprint.key
    assert now.diff(fingerprint) == (f"{row.label} is gone",)
    (sentence,) = fingerprint.diff(now)
    assert sentence.startswith(f"{row.label} is new")


@given(strategies.fingerprints, strategies.fingerprints)
@example(Fingerprint((Row("recipe", "0", "1"),)), Fingerprint((Row("recipe", "", "1"), Row("recipe", "\r", "1"))))
def test_different_rows_have_different_keys_and_as_many_reasons_as_changes(
    one: Fingerprint, other: Fingerprint
) -> None:
    assert (one.key == other.key) == (one.rows == other.rows)
    assert len(one.diff(other)) == one.distance(other) == other.distance(one)
    same_rows = set(one.rows) == set(other.rows)
    assert (one.distance(other) == 0) == same_rows


@given(st.text(), st.text())
def test_the_border_between_name_and_value_counts(name: str, value: str) -> None:
    assert Fingerprint((Row("p", name + "x", value),)).key != Fingerprint((Row("p", name, "x" + value),)).key


def test_what_a_script_looked_for_counts_once_it_is_there() -> None:
    absent, there = Row("read", "a.json/.", ABSENT), Row("read", "a.json/.", "file")
    missing, found = (Fingerprint((*TRAIN.rows, row)) for row in (absent, there))
    assert missing.key == TRAIN.key != found.key
    assert missing.diff(TRAIN) == TRAIN.diff(missing) == ()
    assert found.diff(missing) == found.diff(TRAIN) == ("a.json, which the script looked for, is new",)
    assert missing.diff(found) == ("a.json, which the script looked for, is gone",)


def test_what_is_new_in_a_folder_is_named() -> None:
    before, after = (
        Fingerprint((*TRAIN.rows, *(Row("read", name, CONTENT + text * 64) for name in ("./", "data/"))))
        for text in "ef"
    )
    assert after.diff(before) == (
        "the files in the source folder changed",
        "the files in folder data changed",
    )
    assert after.diff(before, lambda *_: ["c2.yaml added", "d e.csv removed", "and 7 more"])[0] == (
        "the files in the source folder changed: c2.yaml is new, d e.csv is gone, and 7 more"
    )
    assert before.diff(TRAIN) == ("the source folder is new", "folder data is new")
