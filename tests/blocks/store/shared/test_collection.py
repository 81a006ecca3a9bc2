"""Garbage of a shared store: what goes, what stays, and that nothing goes that somebody could still need."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from keeping import OUTPUTS, fingerprint
from sharing_stores import at, brought, machine, share

from stepwell.blocks.remote.leases import Leases
from stepwell.blocks.store.shared.collection import collect_shared
from stepwell.blocks.store.shared.layout import record_name, tree_name
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.store import Miss
from stepwell.errors import StoreException
from stepwell.model.records import StepRecord

OLD = {"days": -1.0}
"""As if all that is not used were old: its times are those of the datastore's clock."""


def collect(store: SharedStore, **more):
    return collect_shared(store.remote.objects, "user@gc", **{"grace": -1.0, **more})


def names(store: SharedStore, *kinds: str) -> list[str]:
    return [entry.name for kind in kinds for entry in store.remote.objects.list(f"{kind}/")]


def test_what_is_new_stays(machine):
    store = machine("a")
    share(store)
    before = names(store, "records", "trees", "blobs", "packs", "index", "partial")
    report = collect(store)
    assert (report.records, report.trees, report.bytes, report.condemned, report.held_back) == (0, 0, 0, 0, "")
    assert names(store, "records", "trees", "blobs", "packs", "index", "partial") == before
    other = machine("b")
    assert brought(other, other.lookup(fingerprint().key)) == OUTPUTS


def test_what_nobody_used_goes_with_its_bytes_and_whatever_finds_it(machine):
    store = machine("a")
    share(store)
    report = collect(store, **OLD)
    assert report.records == 1 and report.trees == len(OUTPUTS) and report.bytes > 0
    assert names(store, "records", "trees", "blobs", "packs", "index", "partial") == []
    assert isinstance(machine("b").lookup(fingerprint().key), Miss)


def test_what_was_used_lately_stays_whenever_it_was_made(machine):
    store = machine("a")
    record, forgotten = share(store), share(store, fingerprint(11), outputs={"other": b"y" * 100})
    other = machine("b")
    assert isinstance(other.lookup(record.key), StepRecord)
    other.finish_sharing()
    report = collect(store, days=-0.001)  # records are older than that, and so is what tells of the use
    assert report.records == 2
    share(machine("c"), fingerprint(12), outputs={"third": b"z" * 100})
    assert forgotten.key != record.key


def test_uses_are_told_by_one_object_a_day(machine):
    store = machine("a")
    keys = [share(store, fingerprint(rate), outputs={"x": bytes([rate])}).key for rate in (1, 2, 3)]
    other = machine("b")
    for key in keys:
        assert isinstance(other.lookup(key), StepRecord)
    other.finish_sharing()
    (told,) = names(store, "touch")
    assert json.loads(store.remote.objects.get(told)) == sorted(keys)
    again = machine("b")
    for key in keys:
        assert isinstance(again.lookup(key), StepRecord)
    again.finish_sharing()
    assert len(names(store, "touch")) == 1


def test_a_used_result_survives_though_its_record_is_old(machine, at):
    if at.kind != "folder":
        pytest.skip("only files can be made older")
    store = machine("a")
    used, unused = share(store), share(store, fingerprint(11), outputs={"other": b"y" * 100})
    for key in (used.key, unused.key):
        path = Path(store.remote.objects.url.removeprefix("file://"), record_name(key))
        os.utime(path, (1, 1))
    other = machine("b")
    assert isinstance(other.lookup(used.key), StepRecord)
    other.finish_sharing()
    assert collect(store).records == 1
    third = machine("c")
    assert brought(third, third.lookup(used.key)) == OUTPUTS
    assert isinstance(third.lookup(unused.key), Miss)


def test_bytes_that_another_result_has_too_stay(machine):
    store = machine("a")
    share(store, outputs={"model": b"x" * 1000})
    kept = share(store, fingerprint(11), outputs={"model": b"x" * 1000, "more": b"y"})
    store.remote.objects.delete([record_name(fingerprint().key)])
    collect(store)
    other = machine("b")
    assert brought(other, other.lookup(kept.key)) == {"model": b"x" * 1000, "more": b"y"}


def test_claimed_trees_stay(machine):
    store = machine("a")
    record = share(store, outputs={"model": b"x" * 1000})
    tree = record.outputs["model"].digest
    report = collect(store, claimed=[tree], **OLD)
    assert (report.records, report.trees) == (1, 0)
    assert names(store, "trees") == [tree_name(tree)] and len(names(store, "blobs")) == 1


def test_bytes_are_condemned_first_and_saved_by_who_names_them_meanwhile(machine):
    store = machine("a")
    record = share(store, outputs={"model": b"x" * 1000})
    lost = share(store, fingerprint(11), outputs={"other": b"y" * 1000})
    objects = store.remote.objects
    sealed = objects.get(record_name(record.key))
    objects.delete([record_name(record.key), record_name(lost.key)])
    first = collect(store, grace=3600)
    assert (first.trees, first.condemned) == (0, 4)
    assert len(names(store, "trees")) == 2
    objects.put(record_name(record.key), sealed)  # a writer who knew that the bytes are there
    second = collect(store, grace=0)
    assert (second.trees, second.condemned) == (1, 0)
    assert json.loads(objects.get("gc/condemned.json")) == {}
    other = machine("b")
    assert brought(other, other.lookup(record.key)) == {"model": b"x" * 1000}


def test_who_finds_condemned_bytes_writes_them_again_which_saves_them(machine):
    large = {"model": b"x" * 100_000}
    store = machine("a")
    record = share(store, outputs=large)
    store.remote.objects.delete([record_name(record.key), tree_name(record.outputs["model"].digest)])
    (blob,) = names(store, "blobs")
    written = store.remote.objects.stat(blob)
    assert collect(store, grace=3600).condemned == 1
    store.remote.objects.put("gc/condemned.json", json.dumps({blob: written.modified - 10}).encode())
    other = machine("b")
    share(other, outputs=large)
    assert other.traffic.sent > 100_000
    store.remote.objects.delete([record_name(record.key)])
    assert collect(store, grace=5).trees == 0
    assert names(store, "blobs") == [blob]


def test_what_cannot_be_understood_stays_and_a_newer_format_holds_all_bytes_back(machine):
    store = machine("a")
    record = share(store)
    objects = store.remote.objects
    objects.put(record_name("a" * 64), b"\xff\x00 damaged")
    report = collect(store, **OLD)
    assert report.not_understood == 1 and report.trees == len(OUTPUTS)
    assert names(store, "records") == [record_name("a" * 64)]
    share(machine("b"), outputs=OUTPUTS)
    objects.put(record_name("b" * 64), json.dumps({"format": 99}).encode())
    objects.delete([record_name(record.key)])
    report = collect(store, **OLD)
    assert report.not_understood == 2 and "newer version" in report.held_back and report.trees == 0
    assert len(names(store, "trees")) == len(OUTPUTS)


def test_a_dry_run_removes_nothing(machine):
    store = machine("a")
    share(store)
    before = [entry.name for entry in store.remote.objects.list()]
    assert collect(store, dry_run=True, **OLD).records == 1
    assert [entry.name for entry in store.remote.objects.list()] == before


def test_one_machine_collects_at_a_time(machine):
    store = machine("a")
    leases = Leases(store.remote.objects, "user@other", pause=lambda _: True)
    assert leases.acquire("leases/gc", lambda: False, lambda _: None)
    with pytest.raises(StoreException) as raised:
        collect(store)
    assert raised.value.facts["by"] == "user@other"
    leases.release("leases/gc")
    collect(store)
    assert names(store, "leases") == []


def test_what_killed_writers_left_goes_after_the_grace_and_old_bundles_with_results(machine):
    store = machine("a")
    share(store)
    objects = store.remote.objects
    objects.put("probe-0123456789abcdef", b"first")
    objects.put("bundles/name/!1-2", b"{}")
    assert collect(store, grace=3600.0).leftovers == 0
    assert collect(store, dry_run=True).leftovers == 1
    assert collect(store).leftovers == 1
    assert names(store, "bundles") == ["bundles/name/!1-2"]
    collect(store, **OLD)
    assert names(store, "bundles") == [] and list(objects.list("probe-")) == []
