"""Data of datastores that stand elsewhere, by content: listings and unknown bytes are all that is asked for."""

from __future__ import annotations

import collections
import os
import threading
import time

import pytest
from waiting import PATIENCE
from far_away import TaggedMemory, ftp_server
from keeping import open_store
from object_stores import place

from stepwell.blocks.remote.storage_drivers.any_filesystem import AnyFilesystem
from stepwell.blocks.datastores import remote_data
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.blocks.datastores.remote_data import InputChangedException, RemoteData
from stepwell.blocks.store.maintenance import collect
from stepwell.model.digests import file_digest


class Asked:
    """Counts the requests to S3 by operation, and the bytes that came."""

    def __init__(self, datastore):
        self.requests, self.bytes, self.at_once, self.most = collections.Counter(), 0, 0, 0
        self._guard = threading.Lock()
        client = datastore.filesystem.connect()
        client.meta.events.register("before-send.s3", self._sent)
        client.meta.events.register("after-call.s3", self._answered)

    def _sent(self, request, **facts):
        with self._guard:
            self.requests[facts["event_name"].rpartition(".")[2]] += 1

    def _answered(self, http_response, **facts):
        if facts["event_name"].endswith("GetObject"):
            self.bytes += int(http_response.headers.get("content-length", 0))

    def since(self):
        """Return the requests, and the bytes of objects, since the last question."""
        found, self.requests, self.bytes = (dict(self.requests), self.bytes), collections.Counter(), 0
        return found


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def datastore_at(url, options=None, **more):
    return DatastoreFiles(DatastoreBlock(workspace="w", name="far", url=url, options=options or None, **more))


@pytest.fixture
def s3(tmp_path):
    with place("s3", tmp_path) as at:
        yield datastore_at(at.url, at.options)


def fill(datastore, files, tmp_path):
    for name, data in files.items():
        (tmp_path / "source").write_bytes(data)
        datastore.put_file(tmp_path / "source", name)


def look(store, datastore, path="in"):
    listed = datastore.listed(path)
    return RemoteData(store, datastore).digests(listed, lambda: datastore.listed(path))


def sha(data, tmp_path):
    (tmp_path / "hashed").write_bytes(data)
    with open(tmp_path / "hashed", "rb") as stream:
        return file_digest(stream)


def settled(monkeypatch):
    monkeypatch.setattr(remote_data, "_SECONDS_PAST", 0.0)


def test_what_is_unchanged_costs_one_listing(store, s3, tmp_path, monkeypatch):
    settled(monkeypatch)
    files = {f"in/{number:03}": bytes([number]) * (number + 1) for number in range(40)}
    fill(s3, {**files, "beside/x": b"1"}, tmp_path)
    s3.filesystem.pipe_file(f"{s3.locate('')}/.stepwell/records/y", b"1")
    asked = Asked(s3)
    found = look(store, s3)
    assert found == {name: sha(data, tmp_path) for name, data in files.items()}
    requests, received = asked.since()
    assert requests.pop("GetObject") == 40 and received == sum(map(len, files.values()))
    assert set(requests) == {"ListObjectsV2"} and requests["ListObjectsV2"] <= 3  # once more after, and the clock
    assert look(store, s3) == found
    assert asked.since() == ({"ListObjectsV2": 1}, 0)
    fill(s3, {"in/007": b"other!!!"}, tmp_path)
    asked.since()
    assert look(store, s3) == {**found, "in/007": sha(b"other!!!", tmp_path)}
    assert asked.since()[0]["GetObject"] == 1
    assert sorted(look(store, s3, "")) == sorted([*files, "beside/x"])  # what Stepwell keeps there is no data
    asked.since()
    assert look(store.reading_all(), s3)["in/007"] == sha(b"other!!!", tmp_path)
    assert asked.since()[0]["GetObject"] == 40  # whoever verifies believes no version


def test_bytes_come_once_and_are_kept_by_content(store, s3, tmp_path, monkeypatch):
    settled(monkeypatch)
    files = {"in/a": b"1" * 1000, "in/b": b"2" * 1000, "in/again": b"1" * 1000}
    fill(s3, files, tmp_path)
    asked = Asked(s3)
    found = look(store, s3)
    asked.since()
    for number in range(2):
        RemoteData(store, s3).bring({name: (text, tmp_path / f"{number}" / name) for name, text in found.items()})
        assert {name: (tmp_path / f"{number}" / name).read_bytes() for name in files} == files
    assert asked.since() == ({}, 0)
    (tmp_path / "0/in/a").write_bytes(b"a step wrote to its copy")
    for kept in (store.root / "inputs").glob("*/*"):
        kept.chmod(0o644)
        kept.write_bytes(b"3" * 1000)
    RemoteData(store, s3).bring({"in/a": (found["in/a"], tmp_path / "2" / "a")})
    assert (tmp_path / "2" / "a").read_bytes() == files["in/a"]
    assert asked.since()[0] == {"GetObject": 1}  # damaged ones are fetched anew


def test_what_is_not_what_was_keyed_is_not_brought(store, s3, tmp_path, monkeypatch):
    settled(monkeypatch)
    fill(s3, {"in/a": b"1"}, tmp_path)
    found = look(store, s3)
    for kept in (store.root / "inputs").glob("*/*"):
        kept.unlink()
    fill(s3, {"in/a": b"2"}, tmp_path)
    with pytest.raises(InputChangedException, match="changed after its digest was taken") as error:
        RemoteData(store, s3).bring({"in/a": (found["in/a"], tmp_path / "a")})
    assert error.value.facts["path"] == "in/a" and not (tmp_path / "a").exists()


def test_what_changes_while_it_is_read_is_not_remembered(store, s3, tmp_path, monkeypatch):
    settled(monkeypatch)
    fill(s3, {"in/a": b"1"}, tmp_path)
    listed = s3.listed("in")
    fill(s3, {"in/a": b"2"}, tmp_path)
    RemoteData(store, s3).digests(listed, lambda: s3.listed("in"))
    asked = Asked(s3)
    assert look(store, s3) == {"in/a": sha(b"2", tmp_path)}
    assert asked.since()[0]["GetObject"] == 1


def test_a_time_that_is_not_past_by_the_stores_clock_is_not_believed(store, s3, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_data, "_SECONDS_PAST", 1000.0)
    fill(s3, {"in/a": b"1"}, tmp_path)
    asked = Asked(s3)
    for _ in range(2):
        look(store, s3)
        assert asked.since()[0]["GetObject"] == 1


def test_another_store_with_the_same_url_is_another_one(store, tmp_path):
    with place("s3", tmp_path) as one, place("s3", tmp_path) as two:
        names = [RemoteData(store, datastore_at(one.url, options))._name for options in (one.options, two.options)]
        renewed = RemoteData(store, datastore_at(one.url, {**one.options, "secret": "another"}))._name
    assert names[0] != names[1] and renewed == names[0]


def counted(monkeypatch, datastore):
    """Return the list of the paths that are read from now on."""
    read = []
    get = DatastoreFiles.get_file
    monkeypatch.setattr(
        DatastoreFiles, "get_file", lambda self, path, target: (read.append(path), get(self, path, target))[1]
    )
    return read


@pytest.fixture(params=["ftp", "sftp"])
def served(request, tmp_path):
    """A file server: its folder, and how to open it."""
    if request.param == "ftp":
        folder = tmp_path / "served"
        with ftp_server(folder) as url:
            yield folder, lambda **more: datastore_at(url, {"username": "u", "password": "hidden"}, **more)
    else:
        with place("sftp", tmp_path) as at:
            yield tmp_path / "behind_sftp", lambda **more: datastore_at(at.url, at.options, **more)


def test_sizes_and_times_are_believed_only_where_somebody_said_so_and_once_they_are_old(store, served, monkeypatch):
    folder, opened = served
    (folder / "in").mkdir()
    (folder / "in" / "a").write_bytes(b"1")
    (folder / "in" / "new").write_bytes(b"2")
    long_ago = time.time() - 3600
    os.utime(folder / "in" / "a", (long_ago, long_ago))
    read = counted(monkeypatch, None)
    for trust_times, expected in ((False, ["in/a", "in/new"]), (True, ["in/new"])):
        datastore = opened(trust_times=trust_times)
        first = look(store, datastore)
        read.clear()
        assert look(store, datastore) == first
        assert sorted(read) == expected
    (folder / "in" / "a").write_bytes(b"3")
    read.clear()
    assert look(store, datastore)["in/a"] != first["in/a"]
    assert sorted(read) == ["in/a", "in/new"]
    assert list((folder / ".stepwell").rglob("clock-*")) == []


def test_sixteen_are_fetched_at_once(store, monkeypatch, tmp_path):
    monkeypatch.setitem(AnyFilesystem.schemes, "tagged", "unique tags")
    monkeypatch.setattr(TaggedMemory, "store", {})
    datastore = datastore_at("tagged://bucket")
    fill(datastore, {f"in/{number}": bytes([number]) for number in range(20)}, tmp_path)
    together = threading.Barrier(16)
    get, count = DatastoreFiles.get_file, iter(range(100))

    def get_file(self, path, target):
        if next(count) < 16:
            together.wait(PATIENCE)
        get(self, path, target)

    monkeypatch.setattr(DatastoreFiles, "get_file", get_file)
    assert len(look(store, datastore)) == 20


def test_no_more_is_kept_than_fits_and_nothing_that_nobody_used_for_long(store, s3, tmp_path, monkeypatch):
    fill(s3, {"in/a": b"1" * 10, "in/b": b"2" * 10}, tmp_path)
    look(store, s3)
    kept = sorted((store.root / "inputs").glob("??/*"))
    assert len(kept) == 2
    for path, hours in zip(kept, (3, 2), strict=True):
        os.utime(path, (time.time() - hours * 3600,) * 2)
    monkeypatch.setattr(remote_data, "MOST_KEPT", 25)
    fill(s3, {"in/c": b"3" * 10}, tmp_path)
    look(store, s3, "in/c")
    assert [path.exists() for path in kept] == [False, True]
    os.utime(kept[1], (0, 0))
    assert collect(store, dry_run=True).bytes == collect(store).bytes == 10
    assert len(list((store.root / "inputs").glob("??/*"))) == 1
