"""Datastores: one folder whatever process asks, and listings and uploads that end."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from stepwell import DataPath, DataPathComputeBinding, DataReference, Datastore
from stepwell.blocks.server import documents
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.blocks.datastores.datastore_urls import absolute_url, local_path
from stepwell.errors import DatastoreException, UserErrorException
from stepwell.model.tree import scan


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", ""),
        ("data", "{cwd}/data"),
        ("./data/", "{cwd}/data"),
        ("../x", "{up}/x"),
        ("~/data", "{home}/data"),
        ("/data", "/data"),
        ("file:///data/x", "file:///data/x"),
        ("file://./data", "file://{cwd}/data"),
        ("file://../data", "file://{up}/data"),
        ("file://~/data", "file://{home}/data"),
        ("file:data", "file:{cwd}/data"),
        ("local://./data", "local://{cwd}/data"),
        ("file://localhost/data", "file:///data"),
        ("file://LOCALHOST/data", "file:///data"),
        ("memory://data", "memory://data"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("simplecache::s3://bucket/folder", "simplecache::s3://bucket/folder"),
        ("dir::file:///data", "dir::file:///data"),
    ],
)
def test_a_local_path_is_absolute_from_its_registration_on(tmp_path, monkeypatch, url, expected):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setenv("HOME", "/home/u")
    assert absolute_url(url) == expected.format(cwd=tmp_path / "in", up=tmp_path, home="/home/u")


@pytest.mark.parametrize(
    "url",
    [
        *("file://data", "file://server/share", "file://localhost", "file://", "file:", "http://[::1/x"),
        *("simplecache::data/x", "dir::file://data", "dir::file:data", "sftp://u:pw@host/x"),
    ],
)
def test_what_could_mean_several_places_is_refused(url):
    with pytest.raises(DatastoreException):
        absolute_url(url)


def test_only_local_urls_have_a_local_path():
    assert [local_path(url) for url in ("file:///a", "FILE:b", "/c", "s3://d", "dir::e")] == [
        "/a",
        "b",
        "/c",
        None,
        None,
    ]


def test_another_process_finds_the_files_elsewhere(workspace, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    store = Datastore.register(workspace, "data", "stuff")
    (tmp_path / "f").write_text("content")
    store.upload_files([str(tmp_path / "f")])
    code = f"from stepwell import Workspace; print(*Workspace.get({workspace.name!r}).datastores['data'].files())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "two", capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["f"] and (tmp_path / "one" / "stuff" / "f").read_text() == "content"


def test_a_relative_one_of_an_earlier_release_is_used_and_warned_of(workspace, tmp_path, monkeypatch):
    documents.save_named(DatastoreBlock(workspace=workspace.name, name="old", url="file://localhost/x"))
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="register it again"):
        store = Datastore(workspace, "old")
        assert store.local_root == Path(tmp_path, "localhost/x")
    monkeypatch.chdir("/")
    assert store.local_root == Path(tmp_path, "localhost/x")


def test_a_folder_that_can_not_be_made_is_no_traceback(workspace, tmp_path):
    (tmp_path / "file").write_text("")
    for url in (f"{tmp_path}/file/below", f"{tmp_path}/nul\0"):
        with pytest.raises(DatastoreException):
            Datastore.register(workspace, "bad", url)
    assert "bad" not in workspace.datastores


@pytest.mark.timeout(60, func_only=True)
def test_a_listing_ends_whatever_the_links_and_holds_files_only(workspace, tmp_path):
    store = Datastore.register(workspace, "data", f"file://{tmp_path}/data")
    root = tmp_path / "data"
    (root / "a").mkdir()
    (root / "a" / "f").write_text("content")
    for name in ("x", "y"):
        (root / name).symlink_to(".")
        (root / "a" / name).symlink_to("..")
    (root / "out").symlink_to("/proc")
    os.mkfifo(root / "pipe")
    assert list(store.files()) == ["a/f"] == list(store.files("a/"))
    assert store.download(str(tmp_path / "copy"), show_progress=False) == 1
    with pytest.raises(OSError):
        store.get_file("pipe", tmp_path / "copy" / "pipe")


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("kind", ["pipe", "broken link", "device"])
def test_nothing_but_files_is_uploaded(workspace, tmp_path, kind):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("")
    if kind == "pipe":
        os.mkfifo(source / "b")
    else:
        (source / "b").symlink_to("nothing" if kind == "broken link" else "/dev/zero")
    store = workspace.get_default_datastore()
    with pytest.raises(DatastoreException, match="Only files"):
        store.upload(str(source))
    with pytest.raises(DatastoreException):
        store.upload_files([str(source / "b")])
    assert list(store.files()) == []
    (source / "b").unlink()
    (source / "b").symlink_to("a")
    (source / "loop").symlink_to(".")
    store.upload(str(source), show_progress=False)
    assert list(store.files()) == ["a", "b"]


@pytest.mark.parametrize("url", ["", "memory://changed"])
def test_a_file_that_is_skipped_is_told_to_differ_or_not_and_replaced_if_it_does(workspace, tmp_path, capsys, url):
    store = Datastore.register(workspace, "some", url and f"{url}-{workspace.name}", overwrite=True)
    for name in ("same", "longer", "other"):
        (tmp_path / name).write_text("old")
    paths = [tmp_path / name for name in ("same", "longer", "other")]
    store.upload_files(paths, target_path="raw")
    (tmp_path / "longer").write_text("older")
    (tmp_path / "other").write_text("new")
    capsys.readouterr()
    written = []
    plain = type(store).put_file
    type(store).put_file = lambda self, source, path: written.append(path) or plain(self, source, path)
    try:
        store.upload_files([*paths], target_path="raw")
        out = capsys.readouterr().out
        assert written == [] and "Uploaded 0 of 3 files" in out
        assert "Skipped raw/longer: it exists already and overwrite is False; it differs" in out
        if not url:  # there, what has the same size is read
            assert "raw/same: it exists already and overwrite is False; it is the same" in out
            assert "raw/other: it exists already and overwrite is False; it differs" in out
        store.upload_files(paths, target_path="raw", overwrite="changed")
        assert written == ["raw/longer", "raw/other"]
        assert capsys.readouterr().out == "Uploaded 2 of 3 files to some/raw\n"
        store.upload_files(paths, target_path="raw", overwrite=True)
        assert written[2:] == ["raw/longer", "raw/other", "raw/same"]
        with pytest.raises(UserErrorException):
            store.upload_files(paths, overwrite="sometimes")
    finally:
        type(store).put_file = plain


@pytest.mark.parametrize("name", ["ho?me #1", "100%41 %2F", "q'\"$(x);&|", "żó [a]*{b}", "back\\slash", "~ file:x"])
def test_a_home_may_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / name))
    (tmp_path / "source").write_bytes(b"data")
    path = f"in/{name.replace(chr(92), '')}"
    files = DatastoreFiles(DatastoreBlock(workspace="w", name="n"))
    files.put_file(tmp_path / "source", path)
    assert files.local_root == tmp_path / name / "workspaces" / "w" / "n"
    assert (list(files.files("in")), files.exists(path), files.size(path)) == ([path], True, 4)
    files.get_file(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"data" and (tmp_path / name / "workspaces/w/n" / path).is_file()
    digests = StatCache(tmp_path / name / "cache" / "digests.sqlite3")
    with digests.under(tmp_path / name) as digest_file:
        assert digest_file(str(tmp_path / "source"), os.stat(tmp_path / "source")) == sha256(b"data").hexdigest()
    digests.close()
    store = Store(tmp_path / name / "store", "5" * 64, digests)
    store.add_tree(tmp_path / "source", scan(tmp_path / "source"), move=False)
    assert store.tree_intact(scan(tmp_path / "source").digest)


@pytest.mark.parametrize("url", ["file://{}/data", "memory://{}"])
def test_a_backslash_in_a_name_stays(workspace, tmp_path, url):
    store = Datastore.register(workspace, "data", url.format(tmp_path))
    source = tmp_path / "source"
    source.mkdir()
    (source / "a\\b.txt").write_text("content")
    store.upload(str(source), "in\\1", show_progress=False)
    assert list(store.files()) == ["in\\1/a\\b.txt"] and store.size("in\\1/a\\b.txt") == 7
    assert store.path("in\\1/a\\b.txt").path_on_datastore == "in\\1/a\\b.txt"
    store.download(str(tmp_path / "copy"), show_progress=False)
    assert (tmp_path / "copy" / "in\\1" / "a\\b.txt").read_text() == "content"
    for path in ("..", "a/../b", "/a", ".stepwell/x"):
        with pytest.raises(DatastoreException):
            store.put_file(source / "a\\b.txt", path)


def test_a_reference_is_made_of_a_data_path(shared_workspace):
    store = shared_workspace.get_default_datastore()
    how = DataPathComputeBinding("download", "here")
    made = DataReference.create("name", DataPath(store, "a/b"), how)
    assert (made.name, made.path_on_datastore, made.mode, made.path_on_compute) == ("name", "a/b", "download", "here")
    assert DataReference.create(datapath=DataPath(store, "a/b")).name == "a_b"
    with pytest.raises(UserErrorException, match="needs a DataPath"):
        DataReference.create("name")
