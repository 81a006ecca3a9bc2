"""Snapshots: read and copied as they were, from either form in which they are kept; no write leads from a copy to the store."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import open_store

from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.store.snapshots.snapshot import UNREAD, Snapshot
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import remove
from stepwell.errors import DatastoreException, StoreException
from stepwell.model.tree import scan

LARGE = b"x" * UNREAD


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def kept(store: Store, folder: Path, files: strategies.Folder) -> Snapshot:
    tree = scan(strategies.write_folder(folder, files))
    store.add_snapshot(folder, tree)
    found = store.snapshot(tree.digest)
    assert found is not None and found.tree == tree
    return found


@settings(max_examples=60, deadline=None)
@given(strategies.folders, st.booleans())
def test_a_copy_is_what_was_kept(files: strategies.Folder, in_a_folder: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, store = Path(place), open_store(Path(place, "store"))
        source = strategies.write_folder(root / "source", files)
        (source / "a link").symlink_to("somewhere/else")
        tree = scan(source)
        if in_a_folder:
            store.add_tree(source, tree, move=False)
        store.add_snapshot(source, tree)
        found = store.snapshot(tree.digest)
        assert found is not None and (found.tree is None) == in_a_folder
        assert found.is_whole() and store.snapshot_damage(tree.digest) == ""
        found.copy_to(root / "copy")
        assert scan(root / "copy") == tree
        moved = pickle.loads(pickle.dumps(found))
        for entry in tree.entries:
            assert moved.holds(entry.path)
            if entry.kind == "file":
                assert moved.read(entry.path) == (source / entry.path).read_bytes()
        assert sorted(found.files()) == sorted(entry.path for entry in tree.entries if entry.kind == "file")


def test_a_lone_file_is_a_snapshot_too(store: Store, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1")
    (tmp_path / "module.py").chmod(0o755)
    tree = scan(tmp_path / "module.py")
    store.add_snapshot(tmp_path / "module.py", tree)
    found = store.snapshot(tree.digest)
    assert found and found.read("") == b"x = 1" and list(found.files()) == [""] and found.is_whole()
    found.copy_to(tmp_path / "code" / "0" / "module.py")
    assert scan(tmp_path / "code" / "0" / "module.py") == tree


@pytest.mark.parametrize("in_a_folder", [False, True])
def test_paths_lead_through_the_snapshots_own_links(store: Store, tmp_path: Path, in_a_folder: bool) -> None:
    source = strategies.write_folder(tmp_path / "source", {"lib": {"a.py": b"1"}})
    (source / "way").symlink_to("lib")
    (source / "b.py").symlink_to("way/a.py")
    tree = scan(source)
    if in_a_folder:
        store.add_tree(source, tree, move=False)
    store.add_snapshot(source, tree)
    remove(source)
    found = store.snapshot(tree.digest)
    assert found
    assert found.read("way/a.py") == found.read("b.py") == found.read("lib/a.py") == b"1"
    assert all(map(found.holds, ("way/a.py", "b.py", "lib", "way", ".")))
    assert not any(map(found.holds, ("a.py", "way/b.py", "lib/a.py/c"))) and found.place("lib") is None
    with pytest.raises(FileNotFoundError):
        found.read("nothing")


@pytest.mark.parametrize("content", [b"small", LARGE])
def test_no_write_to_a_copy_reaches_what_is_kept(store: Store, tmp_path: Path, content: bytes) -> None:
    found = kept(store, tmp_path / "source", {"data.bin": content, "again.bin": content})
    place = found.place("data.bin")
    assert place
    for number in range(2):
        copy = tmp_path / f"copy{number}"
        found.copy_to(copy)
        names = {os.stat(path).st_ino for path in (copy / "data.bin", copy / "again.bin", place)}
        assert len(names) == 3  # a hard link would be one way to the same bytes
        for name in ("data.bin", "again.bin"):
            (copy / name).chmod(0o777)
            with open(copy / name, "r+b") as stream:
                stream.write(b"!")
        (copy / "data.bin").unlink()
    assert found.is_whole() and store.snapshot_damage(found.digest) == ""
    assert place.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("harm", ["other bytes", "fewer bytes", "gone", "a link"])
def test_what_is_damaged_is_never_copied_and_no_longer_kept(store: Store, tmp_path: Path, harm: str) -> None:
    found = kept(store, tmp_path / "source", {"a.py": b"right", "big.bin": LARGE})
    for name in (
        "a.py",
        *(["big.bin"] if harm != "other bytes" else []),
    ):  # whose size is looked at, as it is checked before
        place = found.place(name)
        assert place
        content = place.read_bytes()
        place.unlink()
        if harm == "other bytes":
            place.write_bytes(b"wrong")
        elif harm == "fewer bytes":
            place.write_bytes(content[:-1])
        elif harm == "a link":
            (tmp_path / "elsewhere").write_bytes(content)
            place.symlink_to(tmp_path / "elsewhere")
        assert not found.is_whole() or harm == "a link"
        with pytest.raises((StoreException, OSError)):
            found.copy_to(tmp_path / "copies" / name)
        assert name in store.snapshot_damage(found.digest)
        words = store.add_snapshot(tmp_path / "source", scan(tmp_path / "source"))
        assert words == () or words == (f"{name} was damaged",)  # a copy that was tried has removed it
        assert found.is_whole() and store.snapshot_damage(found.digest) == ""


def test_large_files_go_to_other_machines_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    remote = RemoteStore(f"file://{tmp_path}/remote")
    first = kept(store, tmp_path / "one", {"train.py": b"1", "big.bin": LARGE, "lib": {"empty": {}}})
    (tmp_path / "one" / "train.py").write_text("2")
    tree = scan(tmp_path / "one")
    store.add_snapshot(tmp_path / "one", tree)
    second = store.snapshot(tree.digest)
    assert second
    for found in (first, second):
        found.send_to(remote)
        assert remote.has(found.digest)
        assert scan(remote.get_tree(found.digest, tmp_path / f"back {found.digest[:4]}")) == found.tree
    sizes = [path.stat().st_size for path in (tmp_path / "remote").rglob("*") if path.is_file()]
    assert sum(sizes) < 1.5 * UNREAD and len(sizes) == 3


@pytest.mark.parametrize("harm", ["other bytes", "gone"])
def test_what_was_damaged_on_a_datastore_is_discarded_so_that_it_is_sent_again(
    store: Store, tmp_path: Path, harm: str
) -> None:
    (tmp_path / "remote").mkdir()
    remote = RemoteStore(f"file://{tmp_path}/remote")
    found = kept(store, tmp_path / "one", {"train.py": b"1", "big.bin": LARGE})
    found.send_to(remote)
    (blob,) = (tmp_path / "remote" / "blobs").iterdir()
    blob.unlink() if harm == "gone" else blob.write_bytes(b"y" * UNREAD)
    with pytest.raises(DatastoreException, match="damaged"):
        remote.get_tree(found.digest, tmp_path / "back")
    assert not remote.has(found.digest)
    found.send_to(remote)
    assert scan(remote.get_tree(found.digest, tmp_path / "back")) == found.tree
