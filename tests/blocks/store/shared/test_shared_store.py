"""Two machines share what they made, through every kind of datastore."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import keeping
import pytest
import strategies
from keeping import OUTPUTS, commit, fingerprint
from sharing_stores import Keys, at, brought, machine, open_shared, share

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.maintenance import verify
from stepwell.blocks.store.shared import remote_results, shared_store, uploads
from stepwell.blocks.store.shared.layout import blob_name, index_folder, pack_name, record_name, tree_name
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import LostBytes
from stepwell.blocks.store.store import Miss
from stepwell.model.records import StepRecord
from stepwell.model.tree import scan


KEY = fingerprint().key


def test_a_file_comes_once(machine):
    share(machine("a"), outputs={"one": {"same": b"x" * 1000, "again": b"x" * 1000}, "two": b"x" * 1000})
    other = machine("b")
    found = other.lookup(KEY)
    before = other.traffic.received
    brought(other, found)
    assert other.traffic.received - before == 1000


def test_many_small_files_are_one_object(machine):
    many = {f"{number:04}": f"{number}".encode() for number in range(300)}
    store = machine("a")
    record = share(store, outputs={"many": many})
    assert store.traffic.requests < 100
    other = machine("b")
    assert brought(other, other.lookup(KEY)) == {"many": many}
    assert RemoteObjects.stat(store.remote.objects, pack_name(record.outputs["many"].digest))


def test_what_is_there_is_not_sent_again(machine):
    share(machine("a"), outputs={"model": b"x" * 100_000})
    other = machine("b")
    share(other, fingerprint(11), outputs={"model": b"x" * 100_000})
    assert other.traffic.sent < 5000


def test_the_record_comes_last(machine, monkeypatch):
    written = []
    for name in ("put", "create"):
        real = getattr(RemoteObjects, name)
        monkeypatch.setattr(
            RemoteObjects, name, lambda self, name, data, real=real: written.append(name) or real(self, name, data)
        )
    share(machine("a"))
    kinds = [name.partition("/")[0] for name in written]
    assert kinds.index("records") > max(at for at, kind in enumerate(kinds) if kind in ("blobs", "trees"))


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}', b"torn", "cut", "edited", "other key"])
def test_a_record_that_is_not_whole_and_signed_is_a_miss_and_replaced(machine, damage):
    store = machine("a")
    record = share(store)
    objects, name = store.remote.objects, record_name(KEY)
    data = objects.get(name)
    if damage == "other key":
        name, other = record_name(fingerprint(11).key), data
    else:
        other = {"cut": data[: len(data) // 2], "edited": data.replace(b'"seconds":1.5', b'"seconds":9.5')}.get(
            damage, damage
        )
    objects.put(name, other)
    reader = machine("b")
    key = KEY if damage != "other key" else fingerprint(11).key
    assert isinstance(reader.lookup(key), Miss)
    rows = fingerprint() if damage != "other key" else fingerprint(11)
    share(reader, rows)
    third = machine("c")
    assert brought(third, third.lookup(key)) == OUTPUTS
    assert record.key == KEY


def test_a_record_of_a_newer_format_is_a_miss_and_stays(machine):
    store = machine("a")
    newer = b'{"format": 99}'
    store.remote.objects.put(record_name(KEY), newer)
    assert store.lookup(KEY) == Miss("the shared record has a format of another version")
    share(store)
    assert store.remote.objects.get(record_name(KEY)) == newer


def test_what_was_believed_is_not_when_its_key_no_longer_is(machine):
    share(machine("a"))
    assert isinstance(machine("b").lookup(KEY), StepRecord)
    assert machine("b", keys=Keys("b", distrusted=("a",))).lookup(KEY) == Miss("the shared record is of somebody else")
    assert isinstance(machine("b").lookup(KEY), StepRecord)


def test_who_is_not_trusted_keeps_its_results(machine):
    store = machine("a", keys=Keys("a", distrusted=("a",)))
    store.share(commit(store))
    report = store.finish_sharing()
    assert (report.shared, report.waiting, list(store.remote.known_keys())) == (0, 0, [])
    assert isinstance(store.lookup(KEY), StepRecord)


@pytest.mark.parametrize("what", ["blob", "damaged blob", "tree and blob"])
def test_lost_bytes_are_found_when_needed_and_made_anew(machine, what):
    store = machine("a")
    record = share(store, outputs={"table": b"a,b\n" * 1000})
    objects, tree = store.remote.objects, record.outputs["table"].digest
    blob = blob_name(scan(store.tree_path(tree)).entries[0].digest)
    if what == "damaged blob":
        objects.put(blob, b"c,d\n" * 1000)
    else:
        objects.delete([blob, tree_name(tree)] if what == "tree and blob" else [blob])
    other = machine("b")
    assert isinstance(other.lookup(KEY), StepRecord)
    with pytest.raises(LostBytes):
        other.bring(tree)
    assert isinstance(other.lookup(KEY), Miss)
    share(other, outputs={"table": b"a,b\n" * 1000})
    third = machine("c")
    assert brought(third, third.lookup(KEY)) == {"table": b"a,b\n" * 1000}


def test_of_two_results_the_first_wins_and_it_is_said(machine):
    first, second = machine("a"), machine("b")
    ours, theirs = (
        commit(second, outputs={"table": b"2", "same": b"0"}),
        share(first, outputs={"table": b"1", "same": b"0"}),
    )
    second.share(ours)
    (warning,) = second.finish_sharing().warnings
    assert warning.startswith(
        "Not deterministic: 1 of 2 outputs of step 'train.py' ('table') differ from those that user@a made"
    )
    assert second.read_record(KEY).outputs == theirs.outputs
    assert brought(second, second.lookup(KEY)) == {"table": b"1", "same": b"0"}


def test_reads_that_one_saw_count_for_the_other(machine):
    store = machine("a")
    long = "/" + "x" * 300
    store.observe(fingerprint(), ["/data/a", long])
    store.observe(fingerprint(), ["/data/b"])
    store.finish_sharing()
    other = machine("b")
    assert set(other.observed(fingerprint(12))) == {"/data/a", "/data/b", long}
    requests = other.traffic.requests
    other.observed(fingerprint(13))
    assert other.traffic.requests == requests


def test_earlier_results_of_others_explain_and_are_found(machine):
    share(machine("a"))
    other = machine("b")
    for _ in range(2):  # a decision is made again once the lock is ours
        assert other.nearest("train.py", fingerprint(11)).key == KEY
    assert [record.key for record in other.alike(fingerprint(10, "c"))] == [KEY]
    assert other.nearest("other.py", fingerprint()) is None


def test_the_latest_results_of_a_step_are_found_by_a_page_however_many_there_are(machine, monkeypatch):
    store = machine("a")
    for rate in range(6):
        record = replace(commit(store, fingerprint(rate), outputs={}), started=f"2026-01-01T00:00:0{rate}+00:00")
        store.remote.write(record, "run", {})
    store.remote.objects.put(index_folder("train.py") + "f" * 64, b"")  # as earlier releases named them
    yielded, listed = [], RemoteObjects.list

    def counted(self, prefix=""):
        for entry in listed(self, prefix):
            yielded.append(entry.name)
            yield entry

    monkeypatch.setattr(RemoteObjects, "list", counted)
    latest = [found.record.key for found in machine("b")._questions.nearest("train.py")]
    assert latest == [fingerprint(rate).key for rate in (5, 4, 3)] and len(yielded) == 3


def test_without_the_datastore_the_run_goes_on_and_says_so_once(machine, at, monkeypatch):
    store = machine("a", url=f"{at.url}/x")
    monkeypatch.setattr(RemoteObjects, "_opened", lambda _: (_ for _ in ()).throw(ConnectionError("no route")))
    for number in range(5):
        assert store.lookup(fingerprint(number).key) == Miss()
    record = commit(store)
    store.share(record)
    report = store.finish_sharing()
    assert (report.shared, report.waiting) == (0, 1)
    assert "no route" in report.reason
    assert report.away
    monkeypatch.undo()
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    again = machine("a", url=f"{at.url}/x")
    report = again.finish_sharing()
    assert (report.shared, report.waiting) == (1, 0)


def test_a_datastore_that_never_answers_is_not_asked_for_what_is_only_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_store, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        store = open_shared(tmp_path / "a", "s3://team/data", options)
        assert store.lookup(KEY) == Miss()
        asked = store.traffic.requests
        assert asked == 1 and store.is_away
        assert store.locks.acquire_lock(KEY, "us")
        store.locks.release_lock(KEY, "us")
        store.share(commit(store))
        report = store.finish_sharing()
        assert store.traffic.requests == asked
    assert (report.shared, report.waiting) == (0, 1)
    assert "Timeout" in report.reason


def test_read_only_and_off(machine):
    share(machine("a"))
    reader = machine("b", mode="read")
    assert brought(reader, reader.lookup(KEY)) == OUTPUTS
    reader.share(commit(reader, fingerprint(11)))
    assert reader.finish_sharing().shared == 0
    off = machine("c", mode="off")
    assert off.lookup(KEY) == Miss()
    assert off.traffic.requests == 0


def test_promised_bytes_are_no_damage(machine):
    share(machine("a"))
    other = machine("b")
    other.lookup(KEY)
    assert verify(other).damaged == ()
    record = other.lookup(KEY)
    path = other.bring(record.outputs["table"].digest)
    keeping.overwrite(path, b"edited")
    assert brought(other, other.lookup(KEY)) == OUTPUTS


def test_bytes_are_packed_by_number_and_size():
    assert remote_results.is_packed([10] * 201)
    assert not remote_results.is_packed([10] * 200)
    assert not remote_results.is_packed([1 << 20] * 500)


def test_the_bytes_of_a_snapshots_files_go_there_once(machine, tmp_path, monkeypatch):
    one, two = machine("one"), machine("two")
    trees, sent, plain = [], [], RemoteObjects.put
    monkeypatch.setattr(RemoteObjects, "put", lambda self, name, data: sent.append(name) or plain(self, name, data))
    for version in (b"1", b"2"):
        root = strategies.write_folder(tmp_path / version.decode(), {"train.py": version, "big.bin": b"x" * 200_000})
        trees.append(scan(root))
        one.add_snapshot(root, trees[-1])
        one.share_tree(trees[-1].digest)
        assert one.finish_sharing().reason == ""
    assert sorted(name for name in sent if name.startswith("blobs/")) == sorted(
        {blob_name(entry.digest) for tree in trees for entry in tree.entries}
    )
    for tree in trees:
        found = two.bring_snapshot(tree.digest)
        assert found is not None and found.is_whole() and two.snapshot_damage(tree.digest) == ""
        assert found.read("train.py") == one.snapshot(tree.digest).read("train.py")
