"""Who runs many steps that another has run asks for their records once; nothing is believed that a record alone would not be."""

from __future__ import annotations

import json
from functools import partial

import keeping
import pytest
from sharing_stores import Keys, open_shared

from stepwell.blocks.store.shared.bundles import WORTH_STEPS
from stepwell.blocks.store.store import Miss
from stepwell.model.records import StepRecord

ROWS = [keeping.fingerprint(number) for number in range(WORTH_STEPS)]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    return lambda name, **more: open_shared(tmp_path / name, f"file://{tmp_path / 'shared'}", **more)


def run(store, rows=ROWS, name="digits"):
    """Run steps with these rows as the engine does, and return how many ran, and how many requests their lookups were."""
    store.foresee(name, len(rows))
    before, ran = store.traffic.requests, 0
    found = [store.lookup(one.key) for one in rows]
    requests = store.traffic.requests - before
    for one, record in zip(rows, found, strict=True):
        ran += isinstance(record, Miss)
        store.share(keeping.commit(store, one, {"out": one.key.encode()}) if isinstance(record, Miss) else record)
    assert store.finish_sharing().waiting == 0
    return ran, requests


def bundles(store):
    return [entry.name for entry in store.remote.objects.list("bundles/")]


def test_many_records_are_two_requests_and_their_bytes_and_makers_are_known_as_ever(machine):
    ana, ben = machine("ana"), machine("ben")
    assert run(ana)[0] == WORTH_STEPS
    assert run(ben) == (0, 2)
    record = ben.lookup(ROWS[0].key)
    assert ben.origin(ROWS[0].key) == "user@ana" and ben.label_of(record) == "run of user@ana"
    assert ben.bring(record.outputs["out"].digest).read_bytes() == ROWS[0].key.encode()


def test_what_is_told_is_told_once_and_the_latest_three_are_kept(machine):
    ana = machine("ana")
    run(ana)
    (first,) = bundles(ana)
    run(ana)
    run(machine("ben"))
    assert bundles(ana) == [first], "those who used the same have nothing to add"
    for extra in range(4):
        run(ana, [*ROWS, *(keeping.fingerprint(f"more {number}") for number in range(extra + 1))])
    assert len(bundles(ana)) == 3 and first not in bundles(ana)
    assert run(machine("cem"), ROWS) == (0, 2 + 1)


def test_what_a_bundle_lacks_is_asked_for_alone(machine):
    ana = machine("ana")
    run(ana)
    more = keeping.fingerprint("alone")
    ana.share(keeping.commit(ana, more))
    ana.finish_sharing()
    assert run(machine("ben"), [*ROWS, more]) == (0, 2 + 1)


def test_a_few_steps_are_no_bundle(machine):
    ana = machine("ana")
    run(ana, ROWS[1:])
    assert bundles(ana) == []


def test_neither_who_made_it_nor_whose_records_it_tells_may_be_strangers(machine):
    ana = machine("ana")
    run(ana)
    ben = machine("ben")
    run(ben, [*ROWS, keeping.fingerprint("of Ben")])
    assert len(bundles(ben)) == 2
    alone = partial(machine, mode="read")
    ran, _ = run_lookups(alone("cem", keys=Keys("cem", distrusted=("ana",))), [*ROWS, keeping.fingerprint("of Ben")])
    assert ran == WORTH_STEPS, "what Ben tells of Ana's records is Ana's word"
    for name in bundles(ben):
        whole = json.loads(ben.remote.objects.get(name))
        ben.remote.objects.put(name, json.dumps(whole | {"signature": "made up"}).encode())
    ran, requests = run_lookups(alone("dan"), ROWS)
    assert ran == 0 and requests == 3 + WORTH_STEPS, "each record is asked for"


def test_a_bundle_of_another_name_or_that_is_garbage_is_none(machine):
    ana = machine("ana")
    run(ana)
    (name,) = bundles(ana)
    ben = machine("ben", mode="read")
    ben.foresee("other", 100)
    other = f"{ben._bundles._folder}{name.rpartition('/')[2]}"
    ana.remote.objects.put(other, ana.remote.objects.get(name))
    ana.remote.objects.put(f"{ben._bundles._folder}!0", b"{}")
    assert run_lookups(ben, ROWS, "other") == (0, 3 + WORTH_STEPS)


def test_lost_bytes_are_told_anew_by_who_made_them_again(machine):
    ana, ben = machine("ana"), machine("ben")
    run(ana)
    (first,) = bundles(ana)
    for place in ("blobs/", "trees/"):
        ana.remote.objects.delete([entry.name for entry in ana.remote.objects.list(place)])
    ben.foresee("digits", len(ROWS))
    record = ben.lookup(ROWS[0].key)
    with pytest.raises(Exception, match="can't be had"):
        ben.bring(record.outputs["out"].digest)
    assert isinstance(ben.lookup(ROWS[0].key), Miss)
    for rows in ROWS[1:]:
        ben.lookup(rows.key)
    ben.share(keeping.commit(ben, ROWS[0], {"out": b"anew"}))
    ben.finish_sharing()
    assert bundles(ana)[0] != first
    cem = machine("cem")
    cem.foresee("digits", len(ROWS))
    found = cem.lookup(ROWS[0].key)
    assert isinstance(found, StepRecord)
    assert cem.bring(found.outputs["out"].digest).read_bytes() == b"anew"


def run_lookups(store, rows, name="digits"):
    store.foresee(name, len(rows))
    before = store.traffic.requests
    ran = sum(isinstance(store.lookup(one.key), Miss) for one in rows)
    return ran, store.traffic.requests - before
