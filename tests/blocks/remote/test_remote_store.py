"""The remote store: what comes back is what went there, and an archive of somebody else's writes nowhere but its folder."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import strategies

from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.errors import DatastoreException
from stepwell.model.tree import scan


@pytest.fixture
def store(tmp_path: Path) -> RemoteStore:
    (tmp_path / "remote").mkdir()
    return RemoteStore(f"file://{tmp_path}/remote")


def test_a_tree_comes_back_as_it_went(store: RemoteStore, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "root", {"a\nb": b"1", "sub": {"run": b"#!"}, "empty": {}})
    (root / "sub" / "run").chmod(0o755)
    (root / "link").symlink_to("sub/run")
    (root / "nowhere").symlink_to("missing")
    tree = scan(root)
    store.put(root, tree.digest)
    assert scan(store.get_tree(tree.digest, tmp_path / "back")) == tree
    store.put(root / "sub" / "run", "file")
    assert scan(store.get("file", tmp_path / "file")) == scan(root / "sub" / "run")


def test_no_link_in_a_folder_is_packed_as_what_it_leads_to(store: RemoteStore, tmp_path: Path) -> None:
    strategies.write_folder(tmp_path / "outside", {"file": b"secret"})
    root = strategies.write_folder(tmp_path / "root", {})
    (root / "way").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "pipe")
    store.put(root, "record")
    assert b"secret" not in (tmp_path / "remote" / "record.tar").read_bytes()
    assert os.listdir(store.get("record", tmp_path / "back")) == ["way"]


def member(
    name: str, kind: bytes = tarfile.REGTYPE, leads_to: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, leads_to, len(data)
    return info, data


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil", data=b"x")],
        [member("/evil", data=b"x")],
        [member("data/../../evil", data=b"x")],
        [member("data"), member("data/evil", data=b"x")],
        [member("data/l", tarfile.SYMTYPE, "{outside}"), member("data/l/evil", data=b"x")],
        [member("data", tarfile.SYMTYPE, "{outside}"), member("data/evil", data=b"x")],
        [member("data/l", tarfile.SYMTYPE, "{outside}"), member("data/l/evil/", tarfile.DIRTYPE)],
        [member("data/h", tarfile.LNKTYPE, "{outside}/file")],
        [member("data/h", tarfile.LNKTYPE, "data/../../outside/file")],
        [member("data/d", tarfile.CHRTYPE), member("data/p", tarfile.FIFOTYPE)],
    ],
    ids=["up", "absolute", "inner up", "file as folder", "link", "root link", "folder", "hard", "hard up", "special"],
)
def test_an_archive_writes_nothing_outside_of_its_folder(members: list, store: RemoteStore, tmp_path: Path) -> None:
    outside = strategies.write_folder(tmp_path / "outside", {"file": b"secret"})
    with tarfile.open(tmp_path / "remote" / "name.tar", "w") as tar:
        for info, data in members:
            info.linkname = info.linkname.format(outside=outside)
            tar.addfile(info, io.BytesIO(data))
    try:
        found = store.get("name", tmp_path / "target")
    except DatastoreException:
        found = None
    assert os.listdir(outside) == ["file"] and (outside / "file").read_bytes() == b"secret"
    assert sorted(os.listdir(tmp_path)) == ["outside", "remote", "target"]
    for folder, _, names in os.walk(tmp_path / "target"):
        for path in (Path(folder, name) for name in names):
            assert path.is_symlink() or (path.is_file() and path.read_bytes() != b"secret")
    assert found is None or not found.is_symlink()


def test_an_archive_of_an_earlier_release_with_hard_links_is_read(store: RemoteStore, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "root", {"a": b"1"})
    os.link(root / "a", root / "b")
    with tarfile.open(tmp_path / "remote" / "old.tar", "w") as tar:
        tar.add(root, "data")
    assert scan(store.get("old", tmp_path / "back")) == scan(root)
