"""Maintenance of the store: damage is found, only what nobody needs goes, and leftovers of interrupted processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest
import strategies
from keeping import OUTPUTS, commit, files_below, fingerprint, in_child, open_store, overwrite, cached
from waiting import eventually

from stepwell.blocks.store import maintenance
from stepwell.blocks.system import living
from stepwell.blocks.system.files import remove
from stepwell.blocks.store.retention import Limits, collect_runs
from stepwell.blocks.system.living import owners
from stepwell.blocks.system.locks import exclusive, shared
from stepwell.errors import StoreException
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.store.retention import Limits, collect_runs
from stepwell.blocks.store.maintenance import Amount, collect, measure, verify
from stepwell.model.tree import scan

DAY = 86_400


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip syncing: the disk's own pace is not the subject here; `test_files` is about what is synced."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


def record_path(store: Store, rows: object = None) -> Path:
    key = fingerprint(rows or 10).key
    return store.root / "records" / key[:2] / f"{key}.json"


def trees(store: Store) -> list[Path]:
    return list((store.root / "trees").glob("*/*"))


def index(store: Store) -> list[Path]:
    return list((store.root / "index").glob("*/*/*"))


def everything(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_below(store.root) if path.name != "store.lock"}


# Verification ---------------------------------------------------------------------------------------------------------


def test_a_sound_store_has_no_damage(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2), {})
    report = verify(store)
    assert (report.checked, report.damaged) == (2, ())


def test_an_empty_store_has_nothing_to_check(store: Store) -> None:
    assert (verify(store).checked, measure(store), collect(store)) == (0, Amount(0, 0, 0), Amount(0, 0, 0))


def test_every_damage_is_named_and_nothing_is_changed(store: Store) -> None:
    commit(store, fingerprint(1), {"a": b"one"})
    commit(store, fingerprint(2), {"b": b"two", "c": b"three"})
    commit(store, fingerprint(3), {"d": {"x": b"four"}})
    places = {name: store.tree_path(scanned(content, store)) for name, content in [("a", b"one"), ("b", b"two")]}
    overwrite(places["a"], b"One")
    remove(places["b"].parent)
    overwrite(record_path(store, 3), b"{}")
    before = everything(store)
    report = verify(store)
    assert report.checked == 3
    assert sorted(report.damaged) == sorted(
        [
            f"output 'a' of 'train.py' ({fingerprint(1).key[:12]}): its bytes are not those that were kept",
            f"output 'b' of 'train.py' ({fingerprint(2).key[:12]}): it is gone",
            f"record {fingerprint(3).key[:12]}: the kept record was damaged",
        ]
    )
    assert everything(store) == before


def scanned(content: bytes, store: Store) -> str:
    place = store.scratch_folder() / "x"
    place.write_bytes(content)
    digest = scan(place).digest
    remove(place.parent)
    return digest


def test_verification_reads_bytes_anew_and_trusts_no_cache(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = commit(store, outputs={"a": b"one"})
    digest = scan(store.tree_path(kept.outputs["a"].digest)).entries[0].digest
    monkeypatch.setattr(store.digests, "digest_file", lambda *_: digest)
    overwrite(store.tree_path(kept.outputs["a"].digest), b"One")
    assert cached(store) == {"a": b"One"}  # what a lying cache would lead to
    assert len(verify(store).damaged) == 1


# Collection -----------------------------------------------------------------------------------------------------------


def test_what_was_used_lately_stays(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2))
    for rows in (1, 2):
        age(record_path(store, rows), 31)
    store.lookup(fingerprint(2).key)
    assert collect(store, days=30).records == 1
    assert cached(store, fingerprint(1)) == Miss("")
    assert cached(store, fingerprint(2)) == OUTPUTS


def test_trees_stay_as_long_as_one_result_needs_them(store: Store) -> None:
    commit(store, fingerprint(1), {"a": b"shared", "b": b"own"})
    commit(store, fingerprint(2), {"a": b"shared"})
    age(record_path(store, 1), 31)
    assert collect(store) == Amount(1, 1, len(b"own"))
    assert cached(store, fingerprint(2)) == {"a": b"shared"}
    age(record_path(store, 2), 31)
    assert collect(store) == Amount(1, 1, len(b"shared"))
    assert trees(store) == []


def test_snapshots_of_runs_stay_as_long_as_results_do(store: Store, tmp_path: Path) -> None:
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    tree = scan(source)
    store.add_tree(source, tree, move=False)
    run = RunFolder(store.run_folder("run"))
    for facts in ({"created": time.time() - 29 * DAY}, {"created": time.time()}):
        run.describe({**facts, "snapshots": {"/src": tree.digest}})
        run.append({"status": "Finished"})
        assert collect(store, days=30).trees == 0
    for odd in (7, {"/src": None}, {"/src": ["x"]}):
        run.describe({"created": time.time(), "snapshots": odd})
        assert collect(store, days=30, dry_run=True).trees == 1
    run.describe({"created": time.time() - 31 * DAY, "snapshots": {"/src": tree.digest}})
    assert collect(store, days=30).trees == 1


def test_snapshots_that_no_living_run_uses_go(store: Store, tmp_path: Path) -> None:
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    store.add_tree(source, scan(source), move=False)
    assert collect(store).trees == 1


def foreign(path: Path) -> None:
    """Make the record one of another version, whose JSON still tells what it needs."""
    overwrite(path, path.read_bytes().replace(b'"format":1', b'"format":2'))


def forged(path: Path) -> None:
    overwrite(path, path.read_bytes().replace(b'"signature":"', b'"signature":"0'))


def torn(path: Path) -> None:
    overwrite(path, path.read_bytes()[:40])


def of_another_kind(path: Path) -> None:
    path.rename(path.with_suffix(".cbor"))


@pytest.mark.parametrize("days", [0, 30])
@pytest.mark.parametrize("change", [foreign, forged, torn, of_another_kind])
def test_what_can_not_be_understood_is_never_garbage(store: Store, change: Callable[[Path], None], days: int) -> None:
    commit(store, fingerprint(1), {"a": b"theirs"})
    commit(store, fingerprint(2), {"a": b"old"})
    for rows in (1, 2):
        age(record_path(store, rows), 400)
    change(record_path(store, 1))
    theirs = [path for path, content in everything(store).items() if content == b"theirs"]
    for dry_run in (True, False):
        done = collect(store, days=days, dry_run=dry_run)
        assert (done.records, len(done.unreadable)) == (1, 1), done
    assert all(path.exists() for path in (*theirs, *done.unreadable))
    assert len(trees(store)) == (1 if change in (foreign, forged) else 2)  # what names nothing may need anything
    done.unreadable[0].unlink()
    assert collect(store, days=days).unreadable == () and trees(store) == []


def as_nobody(action: Callable[[], object]) -> int:
    """Do something as another user, in a child, and return its exit code."""

    def become_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        action()

    return in_child(become_nobody)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", ["records/*/*", "records/*", "records", "runs/*", "runs/*/run.json"])
def test_another_users_results_and_runs_stay(closed: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        store = open_store(Path(name) / "store")
        kept = commit(store, fingerprint(1))
        run = RunFolder(store.run_folder("run"))
        run.describe({"id": "run", "snapshots": {}})
        run.append({"status": "Finished"})
        for path in (record_path(store, 1), run.path / "run.json", run.path / "journal.jsonl"):
            age(path, 400)
        for folder, _, files in os.walk(name):
            os.chmod(folder, 0o777)
            for file in files:
                os.chmod(os.path.join(folder, file), 0o666)
        for path in store.root.glob(closed):
            path.chmod(0o700)
        count = len(everything(store))

        def collected() -> None:
            theirs = open_store(store.root)
            done, runs = collect(theirs, days=0 if "records" in closed else 1e4), collect_runs(theirs, Limits(days=0))
            assert (done.records, done.trees, runs.runs) == (0, 0, 0 if "runs" in closed else 1), (done, runs)
            assert done.unreadable or runs.unreadable

        assert as_nobody(collected) == 0
        assert store.read_record(kept.key) == kept and cached(store, fingerprint(1)) == OUTPUTS
        assert len(everything(store)) >= count - 2


def test_removed_results_are_no_longer_in_the_index(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2))
    age(record_path(store, 1), 31)
    collect(store)
    assert {path.name[-64:] for path in index(store)} == {fingerprint(2).key}


def test_a_dry_run_tells_the_same_and_removes_nothing(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2), {"a": b"1"})
    age(record_path(store, 1), 31)
    before = everything(store)
    planned = collect(store, dry_run=True)
    assert everything(store) == before
    assert collect(store) == planned == Amount(1, 2, 16)


def test_a_second_collection_finds_nothing(store: Store) -> None:
    commit(store)
    age(record_path(store), 31)
    collect(store)
    assert collect(store) == Amount(0, 0, 0)


@pytest.mark.parametrize("days", [0, 30])
def test_what_a_living_run_made_or_used_stays_though_it_describes_itself_late(
    days: int, store: Store, tmp_path: Path
) -> None:
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    snapshot = scan(source)
    store.add_tree(source, snapshot, move=False)
    commit(store)
    run = RunFolder(store.run_folder("run"))
    with run.alive():
        age(run.path / "alive.lock", 100)  # it began long ago,
        age(record_path(store), 99)  # used this then,
        run.describe({"snapshots": {"/source": snapshot.digest}})  # and wrote this just now
        for tree in trees(store):
            age(tree, 200)
        assert collect(store, days=days) == Amount(0, 0, 0)
        assert cached(store) == OUTPUTS
        assert store.tree_intact(snapshot.digest)
    age(record_path(store), 99)
    assert collect(store, days=days) == Amount(1, 3, 17)


def test_a_dead_run_protects_nothing(store: Store) -> None:
    commit(store)
    run = RunFolder(store.run_folder("run"))
    run.describe({"snapshots": {"/x": "a" * 64}})
    assert in_child(lambda: run.alive().__enter__()) == 0
    age(record_path(store), 31)
    assert collect(store).records == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"{}"])
def test_a_run_that_can_not_be_described_stops_no_collection(content: bytes, store: Store) -> None:
    commit(store)
    run = RunFolder(store.run_folder("run"))
    with run.alive():
        (run.path / "run.json").write_bytes(content)
        assert collect(store, days=0) == Amount(0, 0, 0, () if content == b"{}" else (run.path,))


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(store: Store) -> None:
    def leave() -> None:
        (store.scratch_folder() / "half").write_bytes(b"written")

    mine = store.scratch_folder()
    assert in_child(leave) == 0
    for name in ("²-x", "no number", "-"):
        (store.root / "work" / name).mkdir()
    assert len(os.listdir(store.root / "work")) == 5 and len(owners(store.owners_folder)) == 2
    collect(store)
    assert mine.exists()
    assert set(os.listdir(store.root / "work")) == {mine.name, "²-x", "no number", "-"}
    assert owners(store.owners_folder) == {mine.name.partition("-")[0]}


def test_scratch_of_earlier_releases_goes_once_it_is_old_and_nothing_runs(store: Store) -> None:
    """Its name holds a process number, which may be that of a process in another namespace or on another machine."""
    work = store.root / "work"
    for name in ("99999999999999999999999-old", "99999999999999999999999-new", f"{os.getpid()}-mine"):
        (work / name).mkdir(parents=True)
        if not name.endswith("new"):
            age(work / name, 2)
    with RunFolder(store.run_folder("run")).alive():
        collect(store)
    assert len(os.listdir(work)) == 3
    collect(store)
    assert set(os.listdir(work)) == {"99999999999999999999999-new", f"{os.getpid()}-mine"}


def test_scratch_of_another_pid_namespace_stays_while_its_process_lives(
    store: Store, tmp_path: Path, new_pid_namespace: list[str]
) -> None:
    code = """
import sys, time; from pathlib import Path
from keeping import open_store
store = open_store(Path(sys.argv[1]))
print(store.scratch_folder().name, flush=True); sys.stdin.read()"""
    command = [*new_pid_namespace, sys.executable, "-c", code, str(store.root)]
    support = {"PYTHONPATH": str(Path(strategies.__file__).parent)}
    with subprocess.Popen(command, env=os.environ | support, stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        name = other.stdout.readline().strip()
        collect(store)
        assert os.listdir(store.root / "work") == [name]
        os.kill(other.pid, signal.SIGKILL)
        other.stdin.close()
    eventually(lambda: collect(store) and os.listdir(store.root / "work") == [])


def test_nothing_is_collected_where_locks_can_not_be_had(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(store)
    age(record_path(store), 31)

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    mine = store.scratch_folder()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    other = open_store(store.root).scratch_folder()
    for action in (collect, lambda store: collect_runs(store, Limits(days=0))):
        with pytest.raises(StoreException, match="no locks"):
            action(store)
    assert mine.exists() and other.exists() and cached(store) == OUTPUTS


def test_files_whose_writing_was_cut_off_long_ago_go(store: Store) -> None:
    commit(store)
    old, new = record_path(store).with_name(".tmpold"), record_path(store).with_name(".tmpnew")
    for path in (old, new):
        path.write_bytes(b"half")
    age(old, 2)
    collect(store)
    assert (old.exists(), new.exists()) == (False, True)
    assert cached(store) == OUTPUTS


def test_a_collection_waits_for_who_is_at_work_and_a_lookup_for_the_collection(store: Store) -> None:
    commit(store)

    def begun(action: Callable[[], object]) -> int:
        child = os.fork()
        if child == 0:
            action()
            os._exit(0)
        return child

    def blocked(action: Callable[[], object]) -> bool:
        child = begun(action)
        time.sleep(0.2)
        still = os.waitpid(child, os.WNOHANG) == (0, 0)
        if still:
            os.kill(child, 9)
            os.waitpid(child, 0)
        return still

    def ends(action: Callable[[], object]) -> bool:
        return os.waitpid(begun(action), 0)[1] == 0

    with shared(store.lock_file):
        assert blocked(lambda: collect(store))
        assert ends(lambda: store.lookup(fingerprint().key))
    with exclusive(store.lock_file):
        assert blocked(lambda: store.lookup(fingerprint().key))
        assert blocked(lambda: commit(store))


def test_a_store_is_measured(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2))
    assert measure(store) == Amount(2, 2, 16)


def test_strangers_among_the_trees_are_left_alone(store: Store) -> None:
    commit(store)
    (store.root / "trees" / "zz").mkdir()
    (store.root / "trees" / "zz" / "file").write_bytes(b"1")
    (store.root / "trees" / "zz" / "dangling").symlink_to("nothing")
    assert collect(store).trees == 0
    assert sorted(os.listdir(store.root / "trees" / "zz")) == ["dangling", "file"]
    assert cached(store) == OUTPUTS


def test_another_program_collects_the_same_way(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    commit(store)
    code = (
        "import sys; from pathlib import Path; from stepwell.blocks.store.store import Store; "
        "from stepwell.blocks.store.stat_cache import StatCache; from stepwell.blocks.store.maintenance import collect; "
        f"print(collect(Store(Path(sys.argv[1]), {'5' * 64!r}, StatCache(Path(sys.argv[1] + '.db'))), days=0))"
    )
    run = subprocess.run([sys.executable, "-c", code, store.root], capture_output=True, text=True, check=True)
    assert run.stdout == "Amount(records=1, trees=2, bytes=16, unreadable=(), files=0)\n"
    assert cached(store) == Miss("")


def test_scratch_of_another_machine_stays_until_that_is_silent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock can't be seen from here, so that it looks free."""

    def leave() -> None:
        store.scratch_folder()

    assert in_child(leave) == 0
    (lock,) = store.owners_folder.glob("p*.lock")
    lock.write_text(json.dumps({"id": "1" * 16, "kernel": "2" * 16, "name": "anne@far"}))
    for module in (living, maintenance):
        monkeypatch.setattr(module, "locks_travel", lambda _: False)
    other = open_store(store.root)
    collect(other)
    assert len(os.listdir(store.root / "work")) == 1
    age(lock, 8)
    collect(other)
    assert os.listdir(store.root / "work") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_what_another_user_made_a_minute_ago_stays(store: Store) -> None:
    commit(store, fingerprint(1))
    commit(store, fingerprint(2))
    os.chown(record_path(store, 1), 65534, 65534)
    assert collect(store, days=0).records == 1
    assert cached(store, fingerprint(1)) == OUTPUTS
    age(record_path(store, 1), 2)
    assert collect(store, days=0).records == 1


def test_trees_that_nothing_needs_yet_stay_where_others_are_not_kept_out(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "locks_travel", lambda _: False)
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    store.add_tree(source, scan(source), move=False)
    assert collect(store).trees == 0
    age(trees(store)[0], 1)
    assert collect(store).trees == 1
