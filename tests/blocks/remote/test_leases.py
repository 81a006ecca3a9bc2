"""Leases, on every kind of storage that creates an object once."""

from __future__ import annotations

import json
import os
import threading

import pytest
from object_stores import KINDS, place
from waiting import PATIENCE

from stepwell.blocks.remote.leases import Holder, Leases
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.errors import DatastoreException


@pytest.fixture(scope="module", params=KINDS)
def at(request, tmp_path_factory):
    with place(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def objects(at, request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    return RemoteObjects(f"{at.url}/{request.node.originalname}", at.options)


class Machine:
    """One who asks for leases, and what it was told."""

    def __init__(self, objects: RemoteObjects, name: str, *, seconds: float = 60.0, after: int = 3) -> None:
        self.told: list[Holder] = []
        self.waits = 0
        self._after = after
        self.leases = Leases(objects, name, seconds=seconds, pause=self._pause)

    def _pause(self, _: float) -> bool:
        self.waits += 1
        return self.waits >= self._after

    def acquire(self, name: str = "lease", done=lambda: False) -> bool:
        return self.leases.acquire(name, done, self.told.append)


def test_one_machine_has_a_lease_and_the_other_is_told_whose_it_is(objects):
    ann, ben = Machine(objects, "ann@a"), Machine(objects, "ben@b")
    assert ann.acquire()
    assert not ben.acquire()
    assert [holder.name for holder in ben.told] == ["ann@a"] and ben.waits == 3
    assert ben.told[0].since > 1e9
    ann.leases.release("lease")
    assert ben.acquire()
    ben.leases.release("lease")
    assert objects.get("lease") is None


def test_who_waits_stops_as_soon_as_there_is_nothing_left_to_do(objects):
    ann, ben = Machine(objects, "ann@a"), Machine(objects, "ben@b", after=99)
    assert ann.acquire()
    assert not ben.acquire(done=lambda: ben.waits == 2)
    assert ben.waits == 2
    ann.leases.release("lease")


def test_a_lease_that_is_given_back_while_it_is_renewed_is_nobodys(objects, monkeypatch):
    ann, begun, go_on = Machine(objects, "ann@a", seconds=3600), threading.Event(), threading.Event()
    assert ann.acquire()

    def slowed(write):
        def slow(*words):
            begun.set()
            assert go_on.wait(PATIENCE)
            return write(*words)

        return slow

    for name in ("put", "swap"):
        monkeypatch.setattr(objects, name, slowed(getattr(objects, name)))
    renewing = threading.Thread(target=ann.leases.renew)
    releasing = threading.Thread(target=ann.leases.release, args=("lease",))
    renewing.start()
    assert begun.wait(PATIENCE)
    releasing.start()
    releasing.join(0.2)  # without waiting for the renewal it would be done by now
    go_on.set()
    for thread in (renewing, releasing):
        thread.join(PATIENCE)
    assert objects.get("lease") is None


def test_a_lease_without_a_sign_of_life_is_taken_over_and_its_first_holder_loses_it(objects):
    ann, ben = Machine(objects, "ann@a", seconds=3600), Machine(objects, "ben@b", seconds=-60)
    assert ann.acquire()
    assert ben.acquire()
    ann.leases.renew()
    ann.leases._renewing.join(PATIENCE)
    assert not ann.leases._renewing.is_alive()  # it has nothing to renew
    ann.leases.release("lease")  # no longer its own
    assert json.loads(objects.get("lease"))["holder"] == "ben@b"
    ben.leases.release("lease")
    assert objects.get("lease") is None


def test_a_sign_of_life_makes_the_lease_younger_and_leaves_it_its_holders(objects, at):
    ann = Machine(objects, "ann@a", seconds=3600)
    assert ann.acquire()
    if at.kind == "folder":
        path = at.url.removeprefix("file://") + f"/{objects.url.rpartition('/')[2]}/lease"
        os.utime(path, (1, 1))
        assert objects.stat("lease").modified == 1
    before = objects.stat("lease").modified
    ann.leases.renew()
    assert objects.stat("lease").modified > before or at.kind != "folder"
    ann.leases.renew()  # the tag is that of the renewed one
    ann.leases.release("lease")
    assert objects.get("lease") is None


def test_of_many_that_ask_at_once_one_gets_it(objects):
    machines = [Machine(objects, f"m{number}", after=1) for number in range(6)]
    ready, won = threading.Barrier(6), []

    def ask(machine: Machine) -> None:
        ready.wait()
        won.append(machine.acquire())

    threads = [threading.Thread(target=ask, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1


def test_a_lease_that_nobody_can_read_is_still_somebodys(objects):
    objects.put("lease", b"\xff no document")
    ann = Machine(objects, "ann@a")
    assert not ann.acquire()
    assert ann.told == [Holder("another machine", 0.0)]


def test_a_datastore_that_fails_holds_nobody_up(objects, monkeypatch):
    def failing(*_):
        raise DatastoreException("away")

    ann = Machine(objects, "ann@a")
    monkeypatch.setattr(objects, "create", failing)
    assert not ann.acquire()
    assert ann.waits == 0
