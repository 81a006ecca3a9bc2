"""Walks of folders that hold links: they end, stay inside, and find each file under each of its names."""

from __future__ import annotations

import os

import pytest

from stepwell.blocks.system import walk
from stepwell.blocks.system.walk import files_below
from stepwell.errors import StepwellError

pytestmark = pytest.mark.timeout(60, func_only=True)


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_linked_files_and_folders_are_found_under_their_names_too(tmp_path):
    write(tmp_path, "a/b/f", "g", ".private/x")
    (tmp_path / "latest").symlink_to("a")
    (tmp_path / "a" / "h").symlink_to("../g")
    (tmp_path / "private").symlink_to(".private")
    names = ["a/b/f", "a/h", "g", "latest/b/f", "latest/h", "private/x"]
    assert sorted(files_below(tmp_path, without=".private")) == names
    assert sorted(files_below(tmp_path, "latest")) == ["latest/b/f", "latest/h"]
    assert list(files_below(tmp_path / "missing")) == list(files_below(tmp_path / "g")) == []


def test_two_loops_end(tmp_path):
    write(tmp_path, "a/f")
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(".")
        (tmp_path / "a" / name).symlink_to("..")
        (tmp_path / "a" / f"{name}-self").symlink_to(f"{name}-self")
    assert sorted(files_below(tmp_path)) == ["a/f"]


def test_what_leads_out_or_is_no_file_is_passed_by(tmp_path):
    write(tmp_path, "out/secret", "root/f")
    root = tmp_path / "root"
    (root / "up").symlink_to("..")
    (root / "out").symlink_to(tmp_path / "out")
    (root / "secret").symlink_to("../out/secret")
    (root / "gone").symlink_to("nothing")
    (root / "null").symlink_to("/dev/null")
    os.mkfifo(root / "pipe")
    assert list(files_below(root)) == ["f"]


def test_folders_that_all_link_each_other_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "MOST_LINKS", 100)
    for one in range(9):
        write(tmp_path, f"{one}/f")
        for other in range(9):
            (tmp_path / str(one) / f"to-{other}").symlink_to(f"../{other}")
    with pytest.raises(StepwellError, match="too often"):
        list(files_below(tmp_path))
