"""Trees: every name and byte counts, times and owners do not, and no link leads out."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.blocks.system.files import copy_tree
from stepwell.model.digests import bytes_digest
from stepwell.errors import StoreException
from stepwell.model.tree import Tree, plain_digest, scan
from stepwell.model.trees.entries import Entry

ON_DISK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fresh(folder: Path, name: str = "tree") -> Path:
    """Return a path below `folder` where nothing stands."""
    shutil.rmtree(folder / name, ignore_errors=True)
    return folder / name


def test_the_digest_is_that_of_the_first_release(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"a.txt": b"one", "sub": {"run.sh": b"#!"}, "empty": {}})
    (root / "sub" / "run.sh").chmod(0o755)
    (root / "link").symlink_to("sub/run.sh")
    tree = scan(root)
    assert tree.entries == (
        Entry("a.txt", "file", bytes_digest(b"one"), 3, False),
        Entry("empty", "folder", "", 0, False),
        Entry("link", "link", "sub/run.sh", 0, False),
        Entry("sub/run.sh", "file", bytes_digest(b"#!"), 2, True),
    )
    assert tree.digest == "36a5d8581129d5250c43e1ac794e5004efc748c5025aed8bdd230283bb5cfdd9"
    assert (tree.size, tree.is_file) == (5, False)


def test_a_lone_file_and_an_empty_folder_are_trees(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    lone, empty = scan(tmp_path / "file"), scan(tmp_path / "folder")
    assert lone.entries == (Entry("", "file", bytes_digest(b"x"), 1, False),)
    assert (lone.is_file, empty.is_file, empty.entries) == (True, False, ())


def test_the_name_of_the_root_does_not_count(tmp_path: Path) -> None:
    one = strategies.write_folder(tmp_path / "one", {"a": b"x"})
    digest = scan(one).digest
    assert scan(one.rename(tmp_path / "other")).digest == digest


def test_a_missing_root_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "nothing")


@ON_DISK
@given(folder=strategies.folders)
def test_a_copy_has_the_same_tree_and_the_same_bytes(folder: strategies.Folder, tmp_path: Path) -> None:
    root, copy = strategies.write_folder(fresh(tmp_path), folder), fresh(tmp_path, "copy")
    copy_tree(root, copy)
    assert scan(copy) == scan(root)
    assert strategies.read_folder(copy) == folder


@ON_DISK
@given(one=strategies.folders, other=strategies.folders)
def test_trees_are_equal_exactly_if_the_folders_are(
    one: strategies.Folder, other: strategies.Folder, tmp_path: Path
) -> None:
    first = scan(strategies.write_folder(fresh(tmp_path), one))
    second = scan(strategies.write_folder(fresh(tmp_path), other))
    assert (first.digest == second.digest) == (first == second) == (one == other) == (not second.diff(first))


@ON_DISK
@given(folder=strategies.folders)
def test_a_tree_survives_json_and_its_differences_can_be_printed(folder: strategies.Folder, tmp_path: Path) -> None:
    tree = scan(strategies.write_folder(fresh(tmp_path), folder))
    assert Tree.from_json(tree.to_json()) == tree
    assert " ".join(tree.diff(Tree(()))).encode().count(b" added") >= len(tree.entries)


@given(st.lists(st.lists(strategies.json_values, max_size=6), max_size=3) | strategies.json_values)
def test_malformed_json_raises_what_is_promised(data: object) -> None:
    with suppress(TypeError, ValueError):
        assert isinstance(Tree.from_json(data), Tree)  # type: ignore[arg-type]


def test_times_and_permissions_do_not_count_but_the_executable_bit_does(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"a": b"x"})
    digest = scan(root).digest
    os.utime(root / "a", (1, 1))
    (root / "a").chmod(0o600)
    assert scan(root).digest == digest
    (root / "a").chmod(0o700)
    assert scan(root).digest != digest


def test_differences_are_worded(tmp_path: Path) -> None:
    before = scan(strategies.write_folder(tmp_path / "before", {"a": b"1", "b": b"2", "same": b"3"}))
    after = scan(strategies.write_folder(tmp_path / "after", {"a": b"9", "c": b"2", "same": b"3"}))
    assert after.diff(before) == ("a changed", "c added", "b removed")


def test_a_lone_file_is_worded_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    folder = scan(strategies.write_folder(tmp_path / "folder", {"c": b"1"}))
    assert scan(tmp_path / "b").diff(scan(tmp_path / "a")) == ("its content changed",)
    assert folder.diff(scan(tmp_path / "a")) == ("c added", "its content removed")


def test_what_is_skipped_is_not_read(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"keep": b"1", "drop": {"x": b"2"}, "drop.txt": b"3"})
    (root / "drop" / "out").symlink_to("/etc/passwd")
    seen = []

    def skip(path: str, folder: bool) -> bool:
        seen.append((path, folder))
        return path.startswith("drop")

    assert [entry.path for entry in scan(root, skip=skip).entries] == ["keep"]
    assert sorted(seen) == [("drop", True), ("drop.txt", False), ("keep", False)]


@pytest.mark.parametrize("target", ["b", "sub/../b", "nothing", "self", "."])
def test_links_that_stay_inside_are_kept(target: str, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"b": b"1", "sub": {}})
    (root / "self").symlink_to(target)
    assert Entry("self", "link", target, 0, False) in scan(root).entries


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../tree-2/x", "sub/../../x", "../tree/b"])
def test_links_that_lead_out_are_refused_and_named(target: str, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"b": b"1", "sub": {}})
    (root / "bad").symlink_to(target)
    with pytest.raises(StoreException, match=r"leads out of its folder(.|\n)*bad"):
        scan(root)


def test_a_link_that_leads_out_by_way_of_another_is_refused(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"sub": {"deep": {}}})
    (root / "way").symlink_to("sub/deep")
    (root / "sub" / "bad").symlink_to("../way/../../../outside")
    with pytest.raises(StoreException):
        scan(root)


def test_a_link_may_lead_to_the_rest_of_what_confines_it(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {"b": b"1", "sub": {}})
    (root / "sub" / "up").symlink_to("../b")
    assert scan(root / "sub", confine=root).entries == (Entry("up", "link", "../b", 0, False),)
    with pytest.raises(StoreException):
        scan(root / "sub")


def test_pipes_and_sockets_are_refused_and_never_opened(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {})
    os.mkfifo(root / "pipe")
    with pytest.raises(StoreException, match="Only files, folders and links"):
        scan(root)
    with pytest.raises(StoreException):
        scan(root / "pipe")
    (root / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s"))
        with pytest.raises(StoreException):
            scan(root)


@pytest.mark.parametrize(
    "name", ["é", "e\u0301", " ", "a\nb", '"', "-x", "x" * 255, "A", "a", os.fsdecode(b"\xff\xfe")]
)
def test_strange_names_are_told_apart_and_kept(name: str, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "tree", {name: b"1"})
    assert [entry.path for entry in scan(root).entries] == [name]
    assert len(scan(root).digest) == 64


# Files that come and go -----------------------------------------------------------------------------------------------


class Busy:
    """Digests files, and does something to the folder before it reads the first that is called `name`."""

    def __init__(self, name: str, action: Callable[[Path], None], times: int = 1) -> None:
        self.name, self.action, self.left = name, action, times

    def __call__(self, path: str, status: os.stat_result) -> str:
        if os.path.basename(path) == self.name and self.left:
            self.left -= 1
            self.action(Path(path))
        return plain_digest(path, status)


def gone(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("new"))


def replaced(path: Path) -> None:
    """Save as editors do: the file is away for a moment."""
    path.write_bytes(path.read_bytes() + b"!")
    raise FileNotFoundError(path)


def folder_gone(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("action", "times", "left"),
    [(gone, 1, ["a"]), (renamed, 1, ["a", "sub/new"]), (replaced, 1, ["a", "sub/swap"]), (replaced, 9, ["a", "sub/swap"]), (folder_gone, 1, ["a"])],
)  # fmt: skip
def test_what_vanishes_while_a_folder_is_read_is_looked_at_again(
    tmp_path: Path, action: Callable[[Path], None], times: int, left: list[str]
) -> None:
    folder = strategies.write_folder(tmp_path / "folder", {"a": b"1", "sub": {"swap": b"2"}})
    tree = scan(folder, Busy("swap", action, times))
    assert [entry.path for entry in tree.entries if entry.kind == "file"] == left
    assert tree == scan(folder) or action is folder_gone


def test_a_file_that_is_there_and_never_read_is_no_file_that_vanished(tmp_path: Path) -> None:
    folder = strategies.write_folder(tmp_path / "folder", {"a": b"1"})

    def never(path: str, _: os.stat_result) -> str:
        raise FileNotFoundError(path)

    with pytest.raises(FileNotFoundError):
        scan(folder, never)
