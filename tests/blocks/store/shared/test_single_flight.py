"""Of several machines that would run the same long step, one does."""

from __future__ import annotations

import threading

import pytest
from waiting import PATIENCE
from keeping import commit, fingerprint
from object_stores import place
from sharing_stores import open_shared, share

from stepwell.blocks.store.shared import uploads
from stepwell.blocks.store.shared.layout import record_name
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import WAITER
from stepwell.model.records import StepRecord

KEY = f"ws.{fingerprint().key}"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    (tmp_path / "shared").mkdir()
    with place("folder", tmp_path / "shared") as at:
        yield lambda name, **more: open_shared(tmp_path / name, at.url, at.options, **more)


class Waiting:
    """A step that waits, and what it was told; it stops once it was told."""

    def __init__(self, *, stops: bool = False) -> None:
        self.told: list[str] = []
        self.is_told = threading.Event()
        self._stops = stops

    @property
    def stopped(self) -> bool:
        return self._stops and self.is_told.is_set()

    def tell(self, words: str) -> None:
        self.told.append(words)
        self.is_told.set()


def in_thread(store: SharedStore, waiter: Waiting) -> threading.Thread:
    def ask() -> None:
        WAITER.set(waiter)
        store.locks.acquire_lock(KEY, "them")

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_the_second_machine_waits_for_the_result_of_the_first_and_uses_it(machine):
    first, second, waiter = machine("a"), machine("b"), Waiting()
    assert first.locks.acquire_lock(KEY, "us")
    thread = in_thread(second, waiter)
    assert waiter.is_told.wait(PATIENCE) and "and its result is waited for" in waiter.told[0]
    record = commit(first)
    first.share(record)
    assert first.finish_sharing().shared == 1
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert isinstance(second.lookup(fingerprint().key), StepRecord)
    first.locks.release_lock(KEY, "us")
    second.locks.release_lock(KEY, "them")
    assert [*first.remote.objects.list("leases/")] == []


def test_a_step_that_is_to_stop_waits_no_longer(machine):
    first, second, waiter = machine("a"), machine("b"), Waiting(stops=True)
    assert first.locks.acquire_lock(KEY, "us")
    thread = in_thread(second, waiter)
    thread.join(PATIENCE)
    assert not thread.is_alive() and len(waiter.told) == 1
    first.locks.release_lock(KEY, "us")
    second.locks.release_lock(KEY, "them")


def test_who_was_short_the_last_time_is_not_waited_for(machine):
    store = machine("a")
    share(store, fingerprint(11))  # took no ten seconds
    assert store.nearest(store.read_record(fingerprint(11).key).step, fingerprint()) is not None
    assert store.locks.acquire_lock(KEY, "us")
    assert [*store.remote.objects.list("leases/")] == []
    store.locks.release_lock(KEY, "us")


def test_a_lease_is_given_back_with_the_lock_and_not_taken_twice(machine):
    store = machine("a")
    assert store.locks.acquire_lock(KEY, "us")
    (lease,) = store.remote.objects.list("leases/")
    assert lease.name == f"leases/{fingerprint().key}"
    assert store.locks.acquire_lock(KEY, "us")  # has it already
    store.locks.release_lock(KEY, "us")
    assert [*store.remote.objects.list("leases/")] == []
    assert store.remote.objects.stat(record_name(fingerprint().key)) is None


def test_a_machine_that_only_reads_takes_no_lease(machine):
    store = machine("a", mode="read")
    assert store.locks.acquire_lock(KEY, "us")
    assert [*store.remote.objects.list("leases/")] == []
    store.locks.release_lock(KEY, "us")
