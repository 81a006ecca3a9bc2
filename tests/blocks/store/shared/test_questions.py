"""A plan or a run of many new or changed steps asks the datastore a handful of things, not one for each step."""

from __future__ import annotations

import uuid

import pytest
from keeping import commit, fingerprint
from object_stores import place
from sharing_stores import open_shared, share

from stepwell.blocks.store.shared import questions
from stepwell.blocks.store.store import Miss
from stepwell.model.records import StepRecord

STEPS = 200


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with place("s3", tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def machine(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    url = f"{s3.url}/{uuid.uuid4().hex}"
    return lambda name: open_shared(tmp_path / name, url, s3.options)


def asked(store, what):
    before = store.traffic.requests
    found = what()
    return found, store.traffic.requests - before


def decided(store, steps):
    """Return what is found of steps that are new or changed, as plans and runs ask for it."""
    found = []
    for number in steps:
        one = fingerprint(number)
        store.observed(one)
        found.append((store.lookup(one.key), store.nearest(f"step{number}.py", one)))
    return found


def test_many_new_steps_cost_a_handful_of_requests(machine):
    share(machine("a"))
    store = machine("b")
    store.foresee("digits", STEPS)
    found, requests = asked(store, lambda: decided(store, range(100, 100 + STEPS)))
    assert found == [(Miss(), None)] * STEPS
    assert requests <= 3 + 2 * (questions._ASKED_ALONE + 1)


def test_many_changed_steps_are_explained_by_what_came_along(machine):
    ana = machine("a")
    ana.foresee("digits", STEPS)
    for number in range(40):
        ana.share(commit(ana, fingerprint(number), outputs={}, step=f"step{number}.py"))
    assert ana.finish_sharing().shared == 40
    store = machine("b")
    store.foresee("digits", STEPS)
    (record, *_), _ = asked(store, lambda: [store.lookup(fingerprint(0).key)])
    assert isinstance(record, StepRecord)
    changed = [fingerprint(number, "changed") for number in range(40)]
    found, requests = asked(store, lambda: [store.nearest(f"step{number}.py", changed[number]) for number in range(40)])
    assert [record.key for record in found] == [fingerprint(number).key for number in range(40)]
    assert requests <= questions._ASKED_ALONE + 2


def test_what_comes_after_a_listing_is_found_by_who_waits_for_it(machine):
    ana, ben = machine("a"), machine("b")
    assert ben.lookup(fingerprint().key) == Miss()
    decided(ben, range(100, 120))
    record = share(ana)
    assert ben._is_shared_now(record.key)
    assert isinstance(ben.lookup(record.key), StepRecord)


def test_a_listing_is_believed_for_a_while_and_asked_anew(machine, monkeypatch):
    ana, ben = machine("a"), machine("b")
    decided(ben, range(100, 120))
    record = share(ana)
    monkeypatch.setattr(ben._questions._records, "_believed", 0.0)
    assert isinstance(ben.lookup(record.key), StepRecord)


def test_of_too_many_names_each_is_asked_for_alone(machine, monkeypatch):
    record = share(machine("a"))
    monkeypatch.setattr(questions, "_NAMES", 0)
    monkeypatch.setattr(questions, "_NAMES_PER_STEP", 0)
    store = machine("b")
    store.foresee("digits", 1)
    decided(store, range(100, 120))
    assert isinstance(store.lookup(record.key), StepRecord)
    assert store.nearest(record.step, fingerprint(11)).key == record.key
