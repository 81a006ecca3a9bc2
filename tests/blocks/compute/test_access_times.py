"""Access times of a working copy tell what was read of it, in whatever way, and nothing of what was not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from stepwell.blocks.compute import access_times
from stepwell.blocks.compute.access_times import Access, accesses, mark


@pytest.fixture
def copy(tmp_path):
    root = tmp_path / "source"
    for name in ("a.csv", "data/b.bin", "data/c.bin", "pack/__init__.py", "pack/d.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x" * 9)
    (root / "link").symlink_to("a.csv")
    return root


@pytest.fixture
def marked(copy):
    moment = mark(copy)
    if not moment:
        pytest.skip("this file system keeps no access times")
    return moment


READS = {
    "python": lambda path: path.read_bytes(),
    "program": lambda path: subprocess.run(["cat", path], check=True, stdout=subprocess.DEVNULL),
    "isolated": lambda path: subprocess.run([sys.executable, "-IS", "-c", f"open({str(path)!r}).read()"], check=True),
    "copy": lambda path: shutil.copyfile(path, path.parents[2] / "elsewhere"),
    "descriptor": lambda path: os.pread(os.open(path, os.O_RDONLY), 1, 3),
}


@pytest.mark.parametrize("way", READS)
def test_what_is_read_is_told(copy, marked, way):
    READS[way](copy / "data" / "b.bin")
    assert list(accesses(copy, marked)) == [Access("data/b.bin", False)]


def test_a_memory_map_is_a_read(copy, marked):
    import mmap

    with open(copy / "data" / "b.bin", "rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[3] == ord("x")
    assert list(accesses(copy, marked)) == [Access("data/b.bin", False)]


def test_a_link_tells_of_what_it_leads_to(copy, marked):
    (copy / "link").read_text()
    assert list(accesses(copy, marked)) == [Access("a.csv", False)]


def test_what_is_only_looked_at_is_not_told(copy, marked):
    assert (copy / "a.csv").stat().st_size == 9
    open(copy / "a.csv", "rb").close()
    os.access(copy / "a.csv", os.R_OK)
    assert list(accesses(copy, marked)) == []


def test_folders_that_are_listed_are_told_but_not_those_of_modules(copy, marked):
    for folder in (copy, copy / "data", copy / "pack"):
        subprocess.run(["ls", folder], check=True, stdout=subprocess.DEVNULL)
    assert list(accesses(copy, marked)) == [Access("data/", False)]


def test_what_was_written_too_is_marked_so(copy, marked):
    (copy / "data" / "b.bin").write_text("new")
    (copy / "a.csv").write_text("new")
    (copy / "a.csv").read_text()
    assert list(accesses(copy, marked)) == [Access("a.csv", True)]


def test_a_file_system_that_keeps_none_is_found_out(copy, monkeypatch):
    real = os.pread
    before = sorted(copy.parent.iterdir())

    def noatime(descriptor, *more):
        status = os.fstat(descriptor)
        data = real(descriptor, *more)
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        return data

    monkeypatch.setattr(access_times.os, "pread", noatime)
    assert mark(copy) == 0
    assert sorted(copy.parent.iterdir()) == before


def test_a_folder_that_went_away_tells_nothing(copy, marked):
    shutil.rmtree(copy)
    assert list(accesses(copy, marked)) == []
