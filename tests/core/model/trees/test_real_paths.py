"""Real paths: the same that Python finds, whatever has been moved or linked anew since."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.model.trees import real_paths
from stepwell.model.trees.real_paths import real_path
from tests.support.amounts import tries

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CHANGES = st.lists(st.tuples(st.sampled_from(["folder", "link", "move"]), PATHS, PATHS), max_size=6)


def change(root, kind, path, other):
    """Make a folder or link, or move what is there, unless that can't be."""
    try:
        if kind == "folder":
            os.makedirs(root / path)
        elif kind == "link":
            os.symlink(root / other, root / path)
        else:
            os.rename(root / path, root / other)
    except OSError:
        pass


@settings(max_examples=tries(60), deadline=None)
@given(rounds=st.lists(st.tuples(CHANGES, st.lists(PATHS, max_size=4)), max_size=4))
def test_it_is_what_python_finds_also_after_changes(tmp_path_factory, rounds):
    root = tmp_path_factory.mktemp("real")
    for changes, paths in rounds:
        for one in changes:
            change(root, *one)
        for path in paths:
            assert real_path(root / path) == os.path.realpath(root / path)


@pytest.mark.parametrize("path", ["/", "", ".", "..", "a", "a/../b", "/tmp/..", "//tmp//x/y/", "./a/b/c"])
def test_odd_paths_are_what_python_finds(path):
    assert real_path(path) == os.path.realpath(path)


def test_a_link_that_leads_elsewhere_now_is_followed_anew(tmp_path):
    for name in ("v1", "v2"):
        (tmp_path / name / "deep").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("v1")
    assert real_path(link / "deep" / "file") == str(tmp_path / "v1/deep/file")
    link.unlink()
    link.symlink_to("v2")
    assert real_path(link / "deep" / "file") == str(tmp_path / "v2/deep/file")
    (tmp_path / "v2").rename(tmp_path / "v3")
    (tmp_path / "v2").mkdir()
    link.unlink()
    link.symlink_to("v3")
    assert real_path(link / "deep" / "file") == str(tmp_path / "v3/deep/file")


def test_a_folder_is_followed_once(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    real_path(tmp_path / "a/b/c")
    monkeypatch.setattr(real_paths.os.path, "realpath", lambda path: pytest.fail(f"asked for {path}"))
    assert real_path(tmp_path / "a/b/d") == f"{tmp_path}/a/b/d"
