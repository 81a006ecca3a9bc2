"""What people ask of a shared store: here, of a folder that two machines have."""

from __future__ import annotations

import pytest
from keeping import OUTPUTS, commit, fingerprint
from sharing_stores import brought, open_shared, share

from stepwell.blocks.store.shared import upkeep, uploads
from stepwell.blocks.store.shared.layout import blob_name, record_name
from stepwell.model.tree import scan


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return what opens the store of a machine, by the machine's name."""
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    (tmp_path / "shared").mkdir()
    return lambda name, **more: open_shared(tmp_path / name, f"file://{tmp_path}/shared", **more)


def test_what_is_shared_and_what_waits_is_counted(machine, tmp_path):
    store = machine("a")
    share(store)
    commit(store, fingerprint(11))
    store.ledger.note_waiting(fingerprint(11).key)
    found = upkeep.status(store)
    assert (found.guarantee, found.here, found.shared, found.from_others, found.waiting) == ("create", 2, 1, 0, 1)
    other = machine("b", mode="read")
    other.lookup(fingerprint().key)
    found = upkeep.status(other)
    assert (found.here, found.shared, found.from_others, found.mode) == (1, 1, 1, "read")


def test_everything_is_pushed_and_pulled_once(machine):
    store = machine("a")
    for number in range(3):
        commit(store, fingerprint(number))
    assert upkeep.push(store).shared == 3
    assert upkeep.push(store).shared == 0
    other = machine("b")
    pulled = upkeep.pull(other)
    assert (pulled.results, pulled.lost, pulled.refused) == (3, 0, ())
    assert upkeep.pull(other).results == 0
    off = machine("b", mode="off")
    assert brought(off, off.lookup(fingerprint(1).key)) == OUTPUTS
    third = machine("c")
    pulled = upkeep.pull(third, data=False)
    assert (pulled.results, list(third.root.glob("trees/*/*"))) == (3, [])


def test_what_is_damaged_in_the_shared_store_is_named_and_stays(machine):
    store = machine("a")
    record = share(store, outputs={"table": b"a,b"})
    share(store, fingerprint(11), outputs={"other": b"c,d"})
    commit(store, fingerprint(12))
    assert upkeep.verify_shared(store).damaged == ()
    objects = store.remote.objects
    blob = blob_name(scan(store.tree_path(record.outputs["table"].digest)).entries[0].digest)
    objects.put(blob, b"x,y")
    objects.put(record_name(fingerprint(11).key), b"{")
    found = upkeep.verify_shared(machine("b"))
    assert found.checked == 2
    assert sorted(found.damaged) == sorted(
        [
            f"output 'table' of 'train.py' ({record.key[:12]}): a file of them was damaged in the shared store",
            f"record {fingerprint(11).key[:12]}: it was damaged",
        ]
    )
    assert objects.get(blob) == b"x,y"
