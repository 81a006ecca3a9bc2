"""Notes of what is still to be told: kept until it is, and no error where they can't be."""

from __future__ import annotations

from stepwell.blocks.store.runs.told_later import ToldLater


def test_what_is_noted_is_known_until_it_is_forgotten(tmp_path):
    notes = ToldLater(tmp_path / "a" / "notes")
    assert notes.run_ids() == [] and not notes.has("b")
    notes.forget("b")
    notes.note("b")
    notes.note("a")
    assert notes.run_ids() == ["a", "b"] and ToldLater(tmp_path / "a" / "notes").has("b")
    notes.forget("b")
    assert notes.run_ids() == ["a"]


def test_where_nothing_can_be_noted_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("x")
    notes = ToldLater(tmp_path / "file" / "notes")
    notes.note("a")
    notes.forget("a")
    assert notes.run_ids() == [] and not notes.has("a")
