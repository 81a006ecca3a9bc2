"""Moves on files: all or nothing, copies of their own, and what is protected can still be removed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import strategies

from stepwell.blocks.system import files
from stepwell.blocks.system.files import (
    change_owner,
    copy_file,
    copy_named,
    copy_tree,
    make_durable,
    move,
    protect,
    relink,
    remove,
    replace_file,
    take,
    write_atomically,
)
from stepwell.model.tree import scan


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user can write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_nobody(action: Callable[[], object]) -> bool:
    """Return whether the action holds when done by somebody who is not root."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            code = 0 if action() else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c", b"one", durable=True)
    write_atomically(tmp_path / "a" / "b" / "c", b"two")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"two"
    assert os.listdir(tmp_path / "a" / "b") == ["c"]


@pytest.mark.parametrize("call", ["replace", "fdopen", "fsync"])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "a", b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a", b"new", durable=True)
    assert (os.listdir(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"old")


def test_a_durable_write_is_synced_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(files.os, "fsync", lambda _: seen.append((tmp_path / "a").exists()))
    write_atomically(tmp_path / "a", b"x", durable=True)
    assert seen == [False]


def test_what_is_made_durable_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "a", b"x")
    seen: list[int] = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: seen.append(os.fstat(descriptor).st_ino))
    make_durable(tmp_path / "a")
    assert seen == [(tmp_path / "a").stat().st_ino]


def test_a_copy_shares_nothing_with_its_source(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"one")
    source.chmod(0o444)
    copy_file(source, target)
    target.write_bytes(b"two")
    assert (source.read_bytes(), mode(target) & 0o700) == (b"one", 0o600)


def test_a_copy_keeps_the_executable_bit(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"#!")
    source.chmod(0o555)
    copy_file(source, tmp_path / "target")
    assert mode(tmp_path / "target") == 0o755


def test_a_copied_folder_is_writable_and_keeps_links_but_no_pipes(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "root", {"sub": {"a": b"1"}, "empty": {}})
    (root / "link").symlink_to("sub/a")
    (root / "nowhere").symlink_to("missing")
    os.mkfifo(root / "pipe")
    protect(root / "sub")
    copy_tree(root, tmp_path / "copy")
    assert sorted(os.listdir(tmp_path / "copy")) == ["empty", "link", "nowhere", "sub"]
    assert os.readlink(tmp_path / "copy" / "nowhere") == "missing"
    assert mode(tmp_path / "copy" / "sub") & 0o700 == 0o700
    assert mode(tmp_path / "copy" / "sub" / "a") & 0o200


def test_only_what_a_tree_names_is_copied(tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "root", {"a": b"1", "secret": b"2", "sub": {"b": b"3"}, "empty": {}})
    (root / "link").symlink_to("sub/b")
    tree = scan(root, skip=lambda path, _: path == "secret")
    copy_named(root, tmp_path / "copy", tree)
    assert scan(tmp_path / "copy") == tree


def test_what_is_protected_can_be_read_and_run_but_not_written(open_folder: Path) -> None:
    root = strategies.write_folder(open_folder / "root", {"a": b"1", "run": b"2"})
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("/etc/hostname")
    outside = mode(Path("/etc/hostname"))
    protect(root)
    assert (mode(root), mode(root / "a"), mode(root / "run")) == (0o555, 0o444, 0o555)
    assert mode(Path("/etc/hostname")) == outside
    assert as_nobody(lambda: (root / "a").read_bytes() == b"1" and not os.access(root / "a", os.W_OK))
    assert as_nobody(lambda: not os.access(root, os.W_OK))


def test_protected_and_unreadable_folders_are_removed_also_by_others_than_root(open_folder: Path) -> None:
    def made_and_removed() -> bool:
        root = strategies.write_folder(
            open_folder / "mine", {"a": b"1", "sub": {"deep": {"b": b"2"}}, "shut": {"c": b"3"}}
        )
        protect(root)
        (root / "shut").chmod(0)
        (root / "sub").chmod(0o111)
        remove(root)
        return not root.exists()

    assert as_nobody(made_and_removed)


def test_a_protected_folder_can_be_moved_also_by_others_than_root(open_folder: Path) -> None:
    def moved() -> bool:
        root = strategies.write_folder(open_folder / "mine", {"a": b"1"})
        (open_folder / "to").mkdir()
        protect(root)
        move(root, open_folder / "to" / "data")
        return (open_folder / "to" / "data" / "a").read_bytes() == b"1"

    assert as_nobody(moved)


def test_removing_follows_no_links(tmp_path: Path) -> None:
    kept = strategies.write_folder(tmp_path / "kept", {"a": b"1"})
    kept.chmod(0o500)
    root = strategies.write_folder(tmp_path / "root", {"sub": {}})
    (root / "link").symlink_to(kept)
    (tmp_path / "top").symlink_to(kept)
    remove(root)
    remove(tmp_path / "top")
    assert os.listdir(tmp_path) == ["kept"]
    assert (mode(kept), (kept / "a").read_bytes()) == (0o500, b"1")


def test_files_pipes_dangling_links_and_nothing_are_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nothing")
    for name in ("file", "pipe", "dangling", "missing"):
        remove(tmp_path / name)
    assert os.listdir(tmp_path) == []


# Where a step may have been ---------------------------------------------------------------------------------------------


@pytest.fixture
def reach(tmp_path: Path) -> Path:
    """Make a folder in a step's reach, with links to another that is not."""
    strategies.write_folder(tmp_path / "outside", {"file": b"secret"})
    root = strategies.write_folder(tmp_path / "root", {"sub": {"file": b"own"}})
    (root / "way").symlink_to(tmp_path / "outside")
    (root / "link").symlink_to(tmp_path / "outside" / "file")
    return root


@pytest.mark.parametrize("path", ["way", "link", "way/file"])
def test_neither_copy_nor_take_follows_a_link(path: str, reach: Path, tmp_path: Path) -> None:
    for act in (copy_tree, take):
        with pytest.raises(OSError):
            act(reach / path, tmp_path / "target", below=reach)
    with pytest.raises(OSError):
        copy_file(reach / path, tmp_path / "target", below=reach)
    assert not (tmp_path / "target").exists() and (tmp_path / "outside" / "file").read_bytes() == b"secret"


def test_what_is_taken_stands_elsewhere_with_all_that_is_in_it(reach: Path, tmp_path: Path) -> None:
    (reach / "sub" / "inner").symlink_to("file")
    take(reach / "sub", tmp_path / "target", below=reach)
    assert sorted(os.listdir(tmp_path / "target")) == ["file", "inner"] and not (reach / "sub").exists()


def test_a_path_that_leads_up_is_not_taken(reach: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        take(reach / ".." / "outside" / "file", tmp_path / "target", below=reach)


def test_a_folder_is_not_copied_into_what_a_link_leads_to(reach: Path, tmp_path: Path) -> None:
    strategies.write_folder(tmp_path / "target", {})
    (tmp_path / "target" / "sub").symlink_to(tmp_path / "outside")
    (tmp_path / "all").symlink_to(tmp_path / "outside")
    for target in (tmp_path / "target", tmp_path / "all"):
        with pytest.raises(OSError):
            copy_tree(reach, target, below=tmp_path)
    assert (tmp_path / "outside" / "file").read_bytes() == b"secret"


def test_a_file_is_replaced_and_what_else_has_its_content_is_not(reach: Path) -> None:
    os.link(reach / "sub" / "file", reach / "twin")
    replace_file(reach, "sub/file", b"new")
    assert ((reach / "sub" / "file").read_bytes(), (reach / "twin").read_bytes()) == (b"new", b"own")
    with pytest.raises(OSError):
        replace_file(reach, "way/file", b"new")
    replace_file(reach, "link", b"new")
    assert os.listdir(reach / "sub") == ["file"] and not (reach / "link").is_symlink()


def test_folders_that_are_nested_without_end_are_removed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    place = os.open(tmp_path / "root", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 20, dir_fd=place)
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    remove(tmp_path / "root")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_files_are_given_to_somebody_else_and_no_link_is_followed(reach: Path, tmp_path: Path) -> None:
    change_owner(reach, 1234, 56)
    assert {path.lstat().st_uid for path in (reach, *reach.rglob("*"))} == {1234}
    assert (tmp_path / "outside").stat().st_uid == (tmp_path / "outside" / "file").stat().st_uid == 0


def test_links_into_a_folder_by_a_path_where_it_was_seen_become_relative(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    (folder / "sub").mkdir(parents=True)
    links = {
        "a": "/stepwell/out/sub/x",
        "sub/b": "/stepwell/out",
        "c": "/stepwell/outer",
        "d": "/etc/passwd",
        "e": "sub",
        "f": "..",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    relink(folder, ["/stepwell/out", str(tmp_path / "out")])
    assert {name: os.readlink(folder / name) for name in links} == {**links, "a": "sub/x", "sub/b": ".."}
    (tmp_path / "file").write_text("")
    relink(tmp_path / "file", ["/x"])
