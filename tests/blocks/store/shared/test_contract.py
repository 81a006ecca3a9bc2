"""What a shared store promises on every kind of datastore: reuse, races, deaths, damage, garbage, clocks, users.

Whatever happens to one machine, or to what stands on the datastore, another one works with what is there: never a wrong
result, never an error, at most a miss.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dying import before_each, deaths
from keeping import commit, fingerprint, in_child, open_to_all
from object_stores import KINDS, place
from sharing_stores import Keys, brought, open_shared, share

from stepwell.blocks.remote.storage_drivers.driver import Entry
from stepwell.blocks.remote.leases import Leases
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.blocks.store.runs.telling import Teller, tell_now
from stepwell.blocks.store.shared import layout, remote_results, uploads
from stepwell.blocks.store.shared.collection import collect_shared
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import LostBytes
from stepwell.blocks.store.store import Miss
from stepwell.blocks.system.files import remove
from stepwell.blocks.system.living import NAME
from stepwell.model.records import StepRecord
from stepwell.model.tree import scan

KEY = fingerprint().key
LARGE = {"weights": b"w" * 70_000, "sub": {"notes": b"fine", "again": b"fine"}, "empty": {}}
OUTPUTS = {"model": LARGE, "many": {f"{number}": b"%d" % number for number in range(6)}, "table": b"a,b\n1,2\n"}
"""A tree of files of any size, one that travels in an archive and is too large for its record, and a file."""

SOME = {"model": LARGE, "table": b"a,b\n1,2\n"}
FEW = {"table": b"a,b\n1,2\n"}

RUN, STEP = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
HOUR, DAY = 3600.0, 86_400.0
PLACES = itertools.count()
REQUESTS = {"s3", "azure"}
"""Where each operation is one request."""


@pytest.fixture(scope="module", params=KINDS)
def at(request, tmp_path_factory):
    with place(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


class Team:
    """Machines that share a place, an empty one after `elsewhere`. Each is known by its name."""

    def __init__(self, at, name: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.forked = at.kind, at.kind == "folder"
        self._at, self._name, self._folder, self._patch = at, name, folder, patch
        self._opened: RemoteObjects | None = None
        self.outputs = OUTPUTS if self.forked else SOME
        self.elsewhere()

    def elsewhere(self) -> None:
        number = next(PLACES)
        self.url = f"{self._at.url}/{self._name}{number}"
        self.folder = self._folder / f"{number}"

    def store(self, name: str, **more) -> SharedStore:
        return open_shared(self.folder / name, self.url, self._at.options, **more)

    def objects(self) -> RemoteObjects:
        if self._opened is None or self._opened.url != self.url:  # a connection of SFTP takes long to be made
            self._opened = RemoteObjects(self.url, self._at.options, pauses=())
        return self._opened

    def runs(self, name: str) -> SharedRuns:
        self._patch.setenv(NAME, f"user@{name}")
        self._patch.setenv("STEPWELL_HOME", str(self._folder / f"home of {name}"))
        return SharedRuns(self.objects(), self.folder / name / "store" / "runs")


@pytest.fixture
def team(at, request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    monkeypatch.setattr(layout, "_MANY", 4)
    monkeypatch.setattr(remote_results, "_INLINE", 5)
    team = Team(at, request.node.originalname, tmp_path, monkeypatch)
    _ = team.objects().guarantee  # is known in all processes
    return team


def make_and_share(store: SharedStore, outputs=OUTPUTS) -> None:
    store.share(commit(store, outputs=outputs))
    store.finish_sharing()


def use(store: SharedStore, outputs=OUTPUTS) -> bool:
    """Do what a run does with a step: use a result if there is one, make it if not, or if its bytes are lost; check its bytes.

    Return whether a result was used.
    """
    found = store.lookup(KEY)
    try:
        if isinstance(found, StepRecord):
            assert brought(store, found) == outputs
            store.finish_sharing()
            return True
    except LostBytes:
        assert isinstance(store.lookup(KEY), Miss)
    make_and_share(store, outputs)
    assert brought(store, store.lookup(KEY)) == outputs
    return False


# Reuse ------------------------------------------------------------------------------------------------------------------


def test_what_one_made_the_other_reuses_and_no_byte_moves_before_it_is_needed(team):
    record = share(team.store("a"), outputs=OUTPUTS)
    other = team.store("b")
    found = other.lookup(KEY)
    assert isinstance(found, StepRecord) and found.outputs == record.outputs
    assert (other.origin(KEY), other.label_of(found), other.traffic.sent) == ("user@a", "run of user@a", 0)
    if team.kind in REQUESTS:
        assert other.traffic.requests == 1
    received = other.traffic.received
    assert brought(other, found) == OUTPUTS
    sizes = {name: scan(other.tree_path(artifact.digest)).size for name, artifact in record.outputs.items()}
    once = sizes["model"] - len(b"fine") + sizes["table"]  # each file once, the archive whole
    assert once < other.traffic.received - received < once + 20_000
    received = other.traffic.received
    assert brought(team.store("b"), team.store("b").lookup(KEY)) == OUTPUTS
    assert other.traffic.received == received
    for tells in (True, False):  # that it is used, is told once a day
        again = team.store("b")
        assert isinstance(again.lookup(KEY), StepRecord)
        again.share(found)
        assert again.finish_sharing().shared == 0
        assert (again.traffic.requests > 0) == tells


# Races ------------------------------------------------------------------------------------------------------------------


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Do all of it at the same time, and return what each gave."""
    ready, given = threading.Barrier(len(actions)), dict[int, object]()

    def act(number: int, action: Callable[[], object]) -> None:
        ready.wait()
        given[number] = action()

    threads = [threading.Thread(target=act, args=one) for one in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [given.get(number, "it failed") for number in range(len(actions))]


def test_of_several_results_made_at_once_one_counts_everywhere(team):
    stores = {name: team.store(name) for name in "abc"}
    made = {name: commit(store, outputs={"table": name.encode()}) for name, store in stores.items()}

    def write(name: str) -> None:
        stores[name].share(made[name])
        stores[name].finish_sharing()

    at_once(*(lambda name=name: write(name) for name in stores))
    other = team.store("d")
    won = brought(other, other.lookup(KEY))
    assert won["table"] in (b"a", b"b", b"c")
    assert [brought(store, store.lookup(KEY)) for store in stores.values()] == [won] * 3


def test_of_several_that_begin_a_step_at_once_one_has_the_lease(team):
    leases = [Leases(team.objects(), f"m{number}", pause=lambda _: True) for number in range(5)]
    asking = [lambda one=one: one.acquire("leases/x", lambda: False, lambda _: None) for one in leases]
    assert sorted(at_once(*asking)) == [False] * 4 + [True]
    for one in leases:
        one.release("leases/x")
    assert team.objects().get("leases/x") is None


def test_readers_and_writers_at_once_have_right_bytes(team):
    stores = [team.store(name) for name in "abcd"]
    assert "it failed" not in at_once(*(lambda store=store: use(store) for store in stores))
    assert use(team.store("e"))


# Deaths -----------------------------------------------------------------------------------------------------------------


def test_who_is_killed_at_any_request_of_an_upload_leaves_nothing_wrong(team):
    for _ in deaths(lambda: make_and_share(team.store("a"), team.outputs), forked=team.forked):
        use(team.store("b"), team.outputs)
        assert use(team.store("c"), team.outputs)
        again = team.store("a")  # the next run of the machine that died
        assert again.finish_sharing().waiting == 0 and use(again, team.outputs)
        team.elsewhere()


def test_who_is_killed_while_it_fetches_has_right_bytes_the_next_time(team):
    share(team.store("a"), outputs=team.outputs)
    killed = team.folder / "b"
    for _ in deaths(lambda: use(team.store("b"), team.outputs), forked=team.forked):
        assert use(team.store("b"), team.outputs)
        remove(killed)
    assert use(team.store("c"), team.outputs)


def test_who_is_killed_with_a_lease_holds_others_up_no_longer_than_a_lease_lasts(team, monkeypatch):
    def work() -> None:
        leases = Leases(team.objects(), "user@a", pause=lambda _: True)
        leases.acquire("leases/x", lambda: False, lambda _: None)
        leases.renew()
        leases.release("leases/x")

    clock = RemoteObjects.now
    for number in deaths(work, forked=team.forked):
        other, told = Leases(team.objects(), f"user@b{number}", pause=lambda _: True), []
        if not other.acquire("leases/x", lambda: False, told.append):
            assert [holder.name for holder in told] == ["user@a"]
            with monkeypatch.context() as later:
                later.setattr(RemoteObjects, "now", lambda objects: clock(objects) + 61)
                assert other.acquire("leases/x", lambda: False, told.append)
        other.release("leases/x")
        assert team.objects().get("leases/x") is None


def test_who_is_killed_while_it_collects_garbage_leaves_what_is_needed_and_the_next_one_ends_it(team, monkeypatch):
    clock = RemoteObjects.now

    def collect(objects: RemoteObjects) -> object:
        return collect_shared(objects, "user@gc", days=-1.0, grace=-1.0)

    def garbage() -> list[str]:
        kinds = ("records/", "trees/", "blobs/", "packs/")
        return [entry.name for kind in kinds for entry in team.objects().list(kind)]

    share(team.store("a"), outputs=FEW)
    for number in deaths(lambda: collect(team.objects()), forked=team.forked):
        use(team.store(f"b{number}"), FEW)
        assert use(team.store(f"c{number}"), FEW)
        with monkeypatch.context() as later:  # the lease of the one that died
            later.setattr(RemoteObjects, "now", lambda objects: clock(objects) + 61)
            collect(team.objects())
        assert garbage() == []
        share(team.store(f"d{number}"), outputs=FEW)


def test_who_is_killed_while_it_tells_of_a_run_is_seen_as_far_as_it_told(team):
    def tell() -> None:
        runs = team.runs("a")
        run = RunFolder(runs._folder / RUN)
        run.describe({"id": RUN, "number": 1, "created": 5.0, "pipeline": {"name": "digits"}})
        run.append({"at": "t", "status": "Running"})
        teller = Teller(run, runs)
        teller._tell(last=False)
        run.append({"at": "t", "step": "a", "status": "starting", "step_run_id": STEP})
        for name in ("logs/70_driver_log.txt", "outputs/kept"):
            (run.step_folder(STEP) / name).parent.mkdir(parents=True, exist_ok=True)
            (run.step_folder(STEP) / name).write_text("said")
        run.append({"at": "t", "step": "a", "status": "done", "seconds": 1.0})
        run.append({"at": "t", "status": "Finished"})
        teller._tell(last=True)

    for _ in deaths(tell, forked=team.forked):
        told = RunFolder(team.runs("a")._folder / RUN)
        there = team.runs("b")
        copy = RunFolder(there._folder / RUN)
        there.bring_all(there.newest())
        assert copy.journal() == told.journal()[: len(copy.journal())]
        there.bring_steps(copy)
        team.runs("a")
        tell_now(told, SharedRuns(team.objects(), told.path.parent))  # as its next run does
        there = team.runs("b")
        assert there.newest() == [RUN]
        there.bring_all([RUN])
        assert copy.journal() == told.journal()
        team.elsewhere()


# Damage -----------------------------------------------------------------------------------------------------------------


def everything(team: Team) -> dict[str, bytes]:
    objects = team.objects()
    return {entry.name: objects.get(entry.name) or b"" for entry in objects.list()}


DAMAGE: dict[str, Callable[[bytes, bytes], bytes | None]] = {
    "gone": lambda data, other: None,
    "cut": lambda data, other: data[: len(data) // 2],
    "other bytes": lambda data, other: bytes(byte ^ 5 for byte in data) or b"{",
    "another's": lambda data, other: other,
}


def damaged(team: Team, known: dict[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Yield each object with each damage; of clouds and servers, whose objects are no others, one of each kind and the worst of it."""
    kinds = {name.partition("/")[0]: name for name in known}
    for name in known if team.forked else kinds.values():
        others = [other for other in known if other != name and other.partition("/")[0] == name.partition("/")[0]]
        for damage, change in DAMAGE.items():
            if team.forked or damage in ("gone", "other bytes"):
                yield name, change(known[name], known[others[0]] if others else b"")


def test_no_damage_to_any_object_is_more_than_a_miss(team):
    store = team.store("a")
    store.observe(fingerprint(), ["/data/a"])
    share(store, outputs=OUTPUTS)
    share(store, fingerprint(11), outputs={"table": b"another"})
    use(team.store("b"))
    team.objects().put("leases/x", b"{}")
    team.objects().put("gc/condemned.json", b"{}")
    known = everything(team)
    kinds = {name.partition("/")[0] for name in known}
    assert kinds >= {"records", "trees", "blobs", "packs", "index", "partial", "observed", "leases", "touch", "gc"}
    for number, (name, new) in enumerate(damaged(team, known)):
        team.objects().delete([name]) if new is None else team.objects().put(name, new)
        other = team.store(f"b{number}")
        assert set(other.observed(fingerprint())) <= {"/data/a"}, name
        other.nearest("train.py", fingerprint(11))
        list(other.alike(fingerprint(10, "c")))
        use(other)
        leases = Leases(team.objects(), "user@b", pause=lambda _: True)
        leases.acquire("leases/x", lambda: False, lambda _: None)
        leases.release("leases/x")
        collect_shared(team.objects(), "user@gc")
        assert use(team.store(f"c{number}")), f"{name} is not made anew"
        team.objects().put(name, known[name])


# Garbage, and runs at work ----------------------------------------------------------------------------------------------


def collecting(team: Team, monkeypatch, **more) -> Callable[[], None]:
    """Return what collects garbage a day and more after all that stands there now was written and condemned."""
    old = set(everything(team))
    put, create, listed = RemoteObjects.put, RemoteObjects.create, RemoteObjects.list
    now = team.objects().now()

    def aged(entry: Entry) -> Entry:
        return entry._replace(modified=now - DAY - HOUR) if entry.name in old else entry

    def renewed(real):
        def call(self, name, data):
            old.discard(name)
            return real(self, name, data)

        return call

    monkeypatch.setattr(RemoteObjects, "put", renewed(put))
    monkeypatch.setattr(RemoteObjects, "create", renewed(create))
    monkeypatch.setattr(RemoteObjects, "list", lambda self, prefix="": map(aged, listed(self, prefix)))
    team.objects().put("gc/condemned.json", json.dumps(dict.fromkeys(old, now - DAY - 60)).encode())

    def collect() -> None:
        collect_shared(team.objects(), "user@gc", **more)

    return collect


def test_a_collection_at_any_moment_of_an_upload_takes_no_bytes_that_it_needs(team, monkeypatch):
    """All bytes of the result are there already, named by nobody and condemned a day ago."""
    number, met = 0, True
    while met:
        number += 1
        share(team.store("earlier"), outputs=team.outputs)
        objects = team.objects()
        objects.delete([entry.name for kind in ("records", "index", "partial") for entry in objects.list(f"{kind}/")])
        with monkeypatch.context() as patch:
            collect = collecting(team, patch)
            with before_each(collect, only=number) as was_met:
                make_and_share(team.store("a"), team.outputs)
            met = was_met()
        assert use(team.store("b"), team.outputs)
        assert use(team.store("c"), team.outputs), "what was collected is not made anew"
        team.elsewhere()


def test_a_collection_at_any_moment_of_a_fetch_is_at_most_a_miss(team):
    number, met = 0, True
    while met:
        number += 1
        share(team.store("a"), outputs=team.outputs)
        with before_each(
            lambda: collect_shared(team.objects(), "user@gc", days=-1.0, grace=-1.0), only=number
        ) as was_met:
            use(team.store("b"), team.outputs)
        met = was_met()
        use(team.store("c"), team.outputs)
        assert use(team.store("d"), team.outputs)
        team.elsewhere()


# Clocks -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[-HOUR, HOUR], ids=["an hour late", "an hour early"])
def other_clock(request, monkeypatch):
    """Gives what sets this machine's clock wrong; that of the datastore, whose server may be threads of ours, stays as it is."""
    clock = time.time

    def told() -> float:
        return clock() + (0 if "process_request" in threading.current_thread().name else request.param)

    return lambda: monkeypatch.setattr(time, "time", told)


def test_with_a_wrong_clock_results_are_shared_used_and_kept(team, other_clock):
    share(team.store("a"), outputs=OUTPUTS)
    other_clock()
    assert use(team.store("b"))
    report = collect_shared(team.objects(), "user@b", days=1.0)
    assert (report.records, report.trees, report.condemned) == (0, 0, 0)
    make_and_share(team.store("c"))
    assert use(team.store("d"))


def test_with_a_wrong_clock_nobody_takes_a_lease_over_or_waits_longer(team, other_clock, monkeypatch):
    holder = Leases(team.objects(), "user@a", pause=lambda _: True)
    assert holder.acquire("leases/x", lambda: False, lambda _: None)
    other_clock()
    other = Leases(team.objects(), "user@b", pause=lambda _: True)
    assert not other.acquire("leases/x", lambda: False, lambda _: None)
    clock = RemoteObjects.now
    monkeypatch.setattr(RemoteObjects, "now", lambda objects: clock(objects) + 61)
    assert other.acquire("leases/x", lambda: False, lambda _: None)
    other.release("leases/x")


def test_with_a_wrong_clock_a_run_is_heard_of_or_silent_as_it_is(team, other_clock, monkeypatch):
    runs = team.runs("a")
    run = RunFolder(runs._folder / RUN)
    run.describe({"id": RUN, "number": 1, "created": 5.0})
    run.append({"at": "t", "status": "Running"})
    runs.tell(run, [])
    other_clock()
    there = team.runs("b")
    assert there.bring(RUN)
    copy = RunFolder(there._folder / RUN)
    assert copy.silent_seconds() < 60 and copy.is_alive()
    clock = RemoteObjects.now
    monkeypatch.setattr(RemoteObjects, "now", lambda objects: clock(objects) + 130)
    assert there.bring(RUN) and not copy.is_alive()


# Users ------------------------------------------------------------------------------------------------------------------


def test_of_two_users_each_has_what_the_other_made_as_far_as_they_trust(team):
    share(team.store("ann"), outputs=OUTPUTS)
    share(team.store("ben"), fingerprint(11), outputs={"table": b"of Ben"})
    ann, ben = team.store("ann"), team.store("ben")
    assert brought(ben, ben.lookup(KEY)) == OUTPUTS
    assert brought(ann, ann.lookup(fingerprint(11).key)) == {"table": b"of Ben"}
    careful = team.store("eve", keys=Keys("eve", distrusted=("ann",)))
    assert careful.lookup(KEY) == Miss("the shared record is of somebody else")
    assert not use(careful)
    assert isinstance(careful.lookup(fingerprint(11).key), StepRecord)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_two_unix_users_of_a_group_share_a_folder(at, team, umask):
    if at.kind != "folder":
        pytest.skip("only files have owners here")
    users, group, folder = (70_001, 70_002), 70_100, open_to_all()
    shared = folder / "shared"
    shared.mkdir()
    os.chown(shared, users[0], group)
    shared.chmod(0o2770)

    def of(user: int, action: Callable[[SharedStore], object]) -> int:
        def act() -> object:
            os.setgroups([group])
            os.setgid(user)
            os.setuid(user)
            os.umask(umask)
            os.environ["STEPWELL_HOME"] = str(folder / f"home{user}")
            store = open_shared(folder / f"{user}", f"file://{shared}")
            action(store)
            collect_shared(store.remote.objects, f"{user}")
            return True

        return in_child(act)

    def used(store: SharedStore) -> None:
        assert use(store)

    try:
        assert of(users[0], make_and_share) == 0
        assert of(users[1], used) == 0
        assert of(users[1], lambda store: share(store, fingerprint(11))) == 0
        assert of(users[0], lambda store: brought(store, store.lookup(fingerprint(11).key))) == 0
    finally:
        remove(folder)
