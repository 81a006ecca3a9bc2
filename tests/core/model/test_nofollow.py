"""What a step may have touched: no link is followed, no pipe waited for, no folder too deep."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from stepwell.errors import StoreException
from stepwell.model.nofollow import (
    MOST_DEPTH,
    append_file,
    files_below,
    is_file,
    leads_out,
    open_file,
    open_folder,
    read_file,
)
from stepwell.model.tree import scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_text("own")
    (root / "way").symlink_to(tmp_path / "outside")
    (root / "link").symlink_to(tmp_path / "outside" / "secret")
    return root


def test_a_file_is_read_by_its_path(root: Path) -> None:
    assert read_file(root, "sub/file") == b"own" and is_file(root, "sub/./file")


@pytest.mark.parametrize(
    "path", ["link", "way/secret", "way", "sub", "missing", "sub/../link", "../outside/secret", ""]
)
def test_links_folders_and_ways_up_are_no_files(root: Path, path: str) -> None:
    assert not is_file(root, path)
    with pytest.raises(OSError):
        open_file(root, path)


def test_the_trusted_folder_may_be_reached_through_links(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to(root)
    assert read_file(tmp_path / "home", "sub/file") == b"own"


def test_pipes_sockets_and_devices_are_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        assert not any(is_file(root, name) for name in ("pipe", "socket"))
    assert not is_file("/dev", "null")


def test_a_link_is_no_folder(root: Path) -> None:
    for path in ("way", "way/.", "sub/file"):
        with pytest.raises(OSError):
            open_folder(root, path)
    os.close(open_folder(root, "sub"))


def test_files_are_listed_and_links_are_not(root: Path) -> None:
    (root / "a\nb").write_text("")
    assert list(files_below(root)) == ["a\nb", "sub/file"]
    assert list(files_below(root, "sub")) == ["file"]
    assert list(files_below(root, "way")) == list(files_below(root, "missing")) == []


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [("a", "b", False), ("s/a", "../b", False), ("a", "../b", True), ("a", "/b", True), ("s/a", "../../b", True)],
)
def test_a_link_leads_out_by_name(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) == out


def test_what_is_swapped_for_a_link_meanwhile_is_never_read_through_it(root: Path, tmp_path: Path) -> None:
    folder, link, spare = root / "sub", tmp_path / "link", tmp_path / "spare"
    (tmp_path / "outside" / "file").write_text("secret")
    link.symlink_to(tmp_path / "outside")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            os.rename(folder, spare)
            os.rename(link, folder)
            os.rename(folder, link)
            os.rename(spare, folder)

    secret = scan(tmp_path / "outside" / "file").digest
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(300):
            for read in (
                lambda: read_file(root, "sub/file"),
                lambda: scan(root),
                lambda: list(files_below(root, "sub")),
            ):
                try:
                    found = read()
                except (OSError, StoreException):
                    continue
                assert b"secret" != found and (not hasattr(found, "entries") or secret not in str(found))
                assert found != ["file", "secret"]
    finally:
        over.set()
        swapper.join()


def test_a_tree_that_is_too_deep_is_told_in_words(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(MOST_DEPTH + 2):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    with pytest.raises(StoreException, match="nested too deeply"):
        scan(tmp_path)
    assert list(files_below(tmp_path)) == []


def test_a_file_is_added_to_and_made_but_no_link_is_followed(tmp_path: Path) -> None:
    for word in (b"a", b"b"):
        with append_file(tmp_path, "notes") as stream:
            stream.write(word)
    assert (tmp_path / "notes").read_bytes() == b"ab"
    (tmp_path / "link").symlink_to("notes")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "folder/../notes"):
        with pytest.raises(OSError):
            append_file(tmp_path, name)
