"""What one machine has read of a datastore's files the others need not fetch, and nobody without a key can tell them."""

from __future__ import annotations

import json

import pytest
from object_stores import place
from sharing_stores import Keys, open_shared

from stepwell.blocks.datastores import remote_data
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.blocks.datastores.remote_data import InputChangedException, RemoteData
from stepwell.blocks.store.shared import collection, versions
from stepwell.blocks.store.shared.collection import collect_shared
from stepwell.blocks.store.sharing import NoVersions

FILES = {f"in/{number:03}": bytes([number]) * 500 for number in range(30)}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with place("s3", tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def far(s3, tmp_path, monkeypatch):
    """Give a datastore with files whose versions are believed at once."""
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(remote_data, "_SECONDS_PAST", 0.0)
    monkeypatch.setattr(versions, "_GATHERED_SECONDS", 0.0)
    url = f"{s3.url}/{tmp_path.name}"
    far = DatastoreFiles(DatastoreBlock(workspace="w", name="far", url=url, options=s3.options))
    far.url_of_store = f"{url}/store"
    fill(far, FILES)
    return far


def fill(far, files):
    for name, data in files.items():
        far.filesystem.pipe_file(far.locate(name), data)


@pytest.fixture
def machine(far, s3, tmp_path):
    def opened(name, **more):
        store = open_shared(tmp_path / name, far.url_of_store, s3.options, **more)
        store.moved = 0
        return store

    return opened


def look(store, far, path="in", monkeypatch=None):
    """Return digests by path, and how many files were fetched for them."""
    fetched = []
    real = RemoteData._take
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteData, "_take", lambda data, path, **more: fetched.append(path) or real(data, path, **more))
        listed = far.listed(path)
        found = RemoteData(store, far).digests(listed, lambda: far.listed(path))
    store._uploads.finish()
    return found, len(fetched)


def test_what_one_has_read_no_other_fetches(machine, far):
    ana, ben = machine("ana"), machine("ben")
    found, fetched = look(ana, far)
    assert fetched == 30
    before = ben.traffic.requests
    assert look(ben, far) == (found, 0)
    assert ben.traffic.requests - before <= 2
    before = ben.traffic.requests
    assert look(ben, far) == (found, 0) and ben.traffic.requests == before, "it is known here by now"
    fill(far, {"in/007": b"other"})
    changed, fetched = look(machine("cem"), far)
    assert fetched == 1 and changed["in/007"] != found["in/007"]


def test_pieces_stay_few_however_much_is_learnt_file_by_file(machine, far):
    ana = machine("ana")
    for name in FILES:
        ana.versions.remember("place", {name: ("tag", name)})
        ana._uploads.finish()
    names = [entry.name for entry in ana.remote.objects.list("versions/")]
    assert len(names) <= 4
    assert machine("ben").versions.recall("place", dict.fromkeys(FILES, "tag")) == {name: name for name in FILES}


def test_pieces_go_with_a_collection_once_they_are_old_unless_somebody_used_them(machine, far, monkeypatch):
    ana, ben = machine("ana"), machine("ben")
    for name in ("used", "unused"):
        ana.versions.remember(name, {"a": ("tag", name)})
        ana._uploads.finish()
    objects = ana.remote.objects

    def collect():
        before = len(list(objects.list("versions/")))
        collect_shared(objects, "user@gc", days=-1.0)
        return before - len(list(objects.list("versions/")))

    collect_shared(objects, "user@gc")
    assert len(list(objects.list("versions/"))) == 2, "they are new"
    monkeypatch.setattr(versions, "_OLD_SECONDS", -3600.0)
    assert ben.versions.recall("used", {"a": "tag"}) == {"a": "used"}
    ben._uploads.finish()
    (told,) = objects.list("touch/")
    with monkeypatch.context() as later:
        later.setattr(collection, "_touched", lambda *_: (set(json.loads(objects.get(told.name))), []))
        assert collect() == 1
    assert machine("cem").versions.recall("used", {"a": "tag"}) == {"a": "used"}
    assert collect() == 1


def test_who_has_no_key_tells_nothing_and_pieces_of_elsewhere_count_nowhere(machine, far):
    ana = machine("ana")
    found, _ = look(ana, far)
    objects = ana.remote.objects
    (name,) = [entry.name for entry in objects.list("versions/")]
    whole = objects.get(name)
    objects.put(name, json.dumps(json.loads(whole) | {"signature": "made up"}).encode())
    assert look(machine("ben"), far) == (found, 30)
    objects.put(name, whole)
    stranger = machine("cem", keys=Keys("cem", distrusted=("ana", "ben")))
    assert look(stranger, far) == (found, 30)
    ana.versions.remember("elsewhere", {"in/001": ("tag", "made up")})
    ana._uploads.finish()
    (other,) = [entry.name for entry in objects.list("versions/") if entry.name.split("/")[1] != name.split("/")[1]]
    objects.put(f"{name.rpartition('/')[0]}/{other.rpartition('/')[2]}", objects.get(other))
    assert look(machine("dan"), far) == (found, 0)


def test_what_two_tell_differently_nobody_believes(machine, far):
    ana, ben = machine("ana"), machine("ben")
    for store, told in ((ana, "1"), (ben, "2")):
        store.versions.remember("place", {"x": ("tag", told), "y": ("tag", "same")})
        store._uploads.finish()
    assert machine("cem").versions.recall("place", {"x": "tag", "y": "tag"}) == {"y": "same"}


def test_who_was_told_wrong_reads_for_itself_from_then_on(machine, far, tmp_path):
    ana, ben = machine("ana"), machine("ben")
    data = RemoteData(ana, far)
    tag = data.version(far.listed("in/001")["in/001"]).tag
    ana.versions.remember(f"{data._name}in", {"in/001": (tag, "0" * 64)})
    ana._uploads.finish()
    found, fetched = look(ben, far, "in/001")
    assert (found, fetched) == ({"in/001": "0" * 64}, 0)
    with pytest.raises(InputChangedException):
        RemoteData(ben, far).bring({"in/001": ("0" * 64, tmp_path / "copy")})
    found, fetched = look(ben, far, "in/001")
    assert fetched == 1 and found["in/001"] != "0" * 64


def test_who_only_reads_tells_nothing_and_who_verifies_asks_nobody(machine, far):
    reader = machine("ana", mode="read")
    found, _ = look(reader, far)
    assert list(reader.remote.objects.list("versions/")) == []
    look(machine("ben"), far)
    assert look(machine("cem", mode="read"), far) == (found, 0)
    verifying = machine("dan").reading_all()
    assert isinstance(verifying.versions, NoVersions)
