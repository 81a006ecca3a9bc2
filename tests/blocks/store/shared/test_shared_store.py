"""Two machines share what they made, through every kind of datastore."""

from __future__ import annotations

import threading

import keeping
import pytest
import strategies
from keeping import OUTPUTS, commit, fingerprint
from object_stores import KINDS, place
from sharing_stores import Keys, brought, open_shared, share

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.maintenance import verify
from stepwell.blocks.store.shared import remote_results, uploads
from stepwell.blocks.store.shared.layout import blob_name, pack_name, record_name, tree_name
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import LostBytes
from stepwell.blocks.store.store import Miss
from stepwell.model.records import StepRecord
from stepwell.model.tree import scan


@pytest.fixture(scope="module", params=KINDS)
def at(request, tmp_path_factory):
    with place(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def machine(at, request, tmp_path, monkeypatch):
    """Return what opens the store of a machine, by the machine's name."""
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    url = f"{at.url}/{request.node.originalname}"

    def opened(name: str, url: str = url, **more) -> SharedStore:
        return open_shared(tmp_path / name, url, at.options, **more)

    return opened


KEY = fingerprint().key


def test_what_one_made_the_other_reuses_and_no_byte_moves_before_it_is_needed(machine, at):
    record = share(machine("a"))
    other = machine("b")
    found = other.lookup(KEY)
    assert isinstance(found, StepRecord)
    assert found.outputs == record.outputs
    assert (other.origin(KEY), other.label_of(found)) == ("user@a", "run of user@a")
    assert other.traffic.sent == 0
    if at.kind in ("s3", "azure"):  # the record, whose size is the only byte that moves
        assert other.traffic.requests == 1
    received = other.traffic.received
    assert brought(other, found) == OUTPUTS
    moved = other.traffic.received - received
    assert moved == sum(scan(other.tree_path(a.digest)).size for a in record.outputs.values())
    assert brought(machine("b"), machine("b").lookup(KEY)) == OUTPUTS
    for tells in (True, False):  # that it is used, is told once a day
        again = machine("b")
        assert isinstance(again.lookup(KEY), StepRecord)
        again.share(found)
        assert again.finish_sharing().shared == 0
        assert (again.traffic.requests > 0) == tells


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


@pytest.mark.parametrize("after", range(8))
def test_who_is_killed_on_the_way_leaves_nothing_wrong(machine, monkeypatch, after):
    class Killed(BaseException):
        pass

    store, left = machine("a"), [after]
    real = {name: getattr(RemoteObjects, name) for name in ("put", "create")}

    def counted(name):
        def call(self, *args):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real[name](self, *args)

        return call

    for name in real:
        monkeypatch.setattr(RemoteObjects, name, counted(name))
    store.share(commit(store))
    try:
        store.finish_sharing()
    except Killed:
        pass
    for name, method in real.items():
        monkeypatch.setattr(RemoteObjects, name, method)
    other = machine("b")
    found = other.lookup(KEY)
    assert isinstance(found, Miss) or brought(other, found) == OUTPUTS
    again = machine("a")  # the next run of the same machine
    assert again.finish_sharing().waiting == 0
    third = machine("c")
    assert brought(third, third.lookup(KEY)) == OUTPUTS


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


def test_who_is_not_trusted_causes_misses_only(machine):
    share(machine("a"))
    assert machine("b", keys=Keys("b", distrusted=("a",))).lookup(KEY) == Miss("the shared record is of somebody else")


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


def test_two_writers_at_once_agree(machine, at):
    stores = [machine(name) for name in ("a", "b", "c")]
    ready = threading.Barrier(len(stores))
    for number, store in enumerate(stores):
        store.share_later = commit(store, outputs={"table": f"{number}".encode()})

    def write(store):
        ready.wait()
        store.share(store.share_later)
        store.finish_sharing()

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    third = machine("d")
    won = brought(third, third.lookup(KEY))
    assert [brought(store, store.lookup(KEY)) for store in stores] == [won] * 3


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
