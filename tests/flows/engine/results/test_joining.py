"""Folders joined of what several steps wrote."""

from __future__ import annotations

from stepwell.flows.engine.results.joining import joined
from stepwell.model.tree import Tree, scan


def test_trees_are_joined_as_if_they_had_been_written_there(tmp_path):
    first, second, empty, whole = (tmp_path / name for name in ("first", "second", "empty", "whole"))
    (first / "in").mkdir(parents=True)
    (first / "in" / "x").write_text("1")
    (first / "link").symlink_to("in/x")
    second.write_text("2")
    empty.mkdir()
    (whole / "b").mkdir(parents=True)
    (whole / "a").write_text("2")
    (whole / "b" / "c").mkdir()
    first.rename(first.with_name("moved"))
    found = joined({"a": scan(second), "b/first": scan(first.with_name("moved")), "b/c": Tree(())})
    first.with_name("moved").rename(whole / "b" / "first")
    assert found == scan(whole)
