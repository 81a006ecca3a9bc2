"""The store: what it returns is byte for byte what was committed, whatever happens to it; else it is a miss."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keeping
import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from keeping import OUTPUTS, commit, exercise, files_below, fingerprint, in_child, open_store, overwrite, cached

from stepwell.blocks.store import store as module
from stepwell.blocks.system.files import remove
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import FORMAT, Miss, Store
from stepwell.blocks.store.maintenance import collect, verify
from stepwell.model.digests import digest, encode
from stepwell.errors import StoreException
from stepwell.model.fingerprint import partial_key
from stepwell.model.tree import Tree, scan
from stepwell.model.records import StepRecord

FIXTURE = Path(__file__).parents[2] / "support" / "fixtures" / "store-v1"


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip syncing: the disk's own pace is not the subject here; `test_files` is about what is synced."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def record_file(store: Store) -> Path:
    (path,) = (store.root / "records").glob("*/*.json")
    return path


def kept_file(store: Store, name: str) -> Path:
    (path,) = (store.root / "trees").glob(f"*/*/data/**/{name}")
    return path


# What is kept, and found ----------------------------------------------------------------------------------------------


def test_nothing_is_found_before_anything_is_kept(store: Store) -> None:
    assert cached(store) == Miss("")


def test_what_was_committed_is_found(store: Store, tmp_path: Path) -> None:
    kept = commit(store)
    for duplicate in (store, open_store(tmp_path / "store")):
        assert duplicate.lookup(kept.key) == kept
        assert cached(duplicate) == OUTPUTS


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    outputs=st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), strategies.folders | st.binary(), max_size=3)
)
def test_any_names_and_bytes_come_back_as_they_were(outputs: keeping.Outputs, store: Store) -> None:
    commit(store, outputs=outputs)
    assert cached(store) == outputs


def test_links_and_executable_bits_come_back_as_they_were(store: Store) -> None:
    root = strategies.write_folder(store.scratch_folder() / "out", {"run": b"#!", "sub": {}})
    (root / "run").chmod(0o755)
    (root / "sub" / "link").symlink_to("../run")
    tree = scan(root)
    store.add_tree(root, tree, move=True)
    assert scan(store.tree_path(tree.digest)) == tree
    assert os.readlink(store.tree_path(tree.digest) / "sub" / "link") == "../run"


def test_equal_outputs_are_kept_once_and_nothing_is_left_over(store: Store) -> None:
    commit(store, fingerprint(1), {"a": b"same", "b": b"same"})
    commit(store, fingerprint(2), {"a": b"same"})
    assert len(list((store.root / "trees").glob("*/*"))) == 1
    assert os.listdir(store.root / "work") == []
    assert cached(store, fingerprint(1)) == {"a": b"same", "b": b"same"}


def test_what_is_kept_is_protected_from_writing(store: Store) -> None:
    commit(store)
    for path in (store.root / "trees").glob("*/*/data/**/*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0


def test_a_moved_output_is_the_stores_and_a_copied_one_stays(store: Store, tmp_path: Path) -> None:
    for move in (True, False):
        source = strategies.write_folder(store.scratch_folder() / "out", {"a": str(move).encode()})
        tree = scan(source)
        for _ in range(2):  # the second time it is known already
            store.add_tree(source, tree, move=move)
            if move and not source.exists():
                strategies.write_folder(source, {"a": b"True"})
        store.add_tree(source, tree, move=move)
        assert source.exists() is not move
        assert store.tree_intact(tree.digest)


def test_only_what_the_tree_names_is_copied(store: Store, tmp_path: Path) -> None:
    source = strategies.write_folder(
        tmp_path / "source", {"train.py": b"1", ".git": {"config": b"secret"}, "data.bin": b"2"}
    )
    tree = scan(source, skip=lambda path, _: path in (".git", "data.bin"))
    store.add_tree(source, tree, move=False)
    assert strategies.read_folder(store.tree_path(tree.digest)) == {"train.py": b"1"}
    assert store.tree_intact(tree.digest)


def test_a_file_that_changed_between_the_scan_and_the_copy_is_not_kept(store: Store, tmp_path: Path) -> None:
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    tree = scan(source)
    (source / "train.py").write_bytes(b"2")
    with pytest.raises(StoreException, match="changed while it was copied"):
        store.add_tree(source, tree, move=False)
    assert not store.tree_path(tree.digest).exists()
    assert os.listdir(store.root / "work") == []


@pytest.mark.parametrize("target", ["big", "folder"])
def test_an_output_that_is_a_link_is_kept_by_its_bytes(target: str, store: Store, tmp_path: Path) -> None:
    strategies.write_folder(tmp_path / "elsewhere", {"big": b"1", "folder": {"a": b"2"}})
    place = store.scratch_folder() / "out"
    place.symlink_to(tmp_path / "elsewhere" / target)
    tree, content = scan(place), strategies.read_folder(place)
    store.add_tree(place, tree, move=True)
    assert not os.path.lexists(place)
    shutil.rmtree(tmp_path / "elsewhere")
    assert strategies.read_folder(store.tree_path(tree.digest)) == content
    assert store.tree_intact(tree.digest)


def test_a_tree_is_the_same_looked_up_one_by_one_and_in_bulk(store: Store, tmp_path: Path) -> None:
    root = strategies.write_folder(tmp_path / "data", {"a": b"1", "sub": {"b": b"2"}})
    assert store.tree_at(root) == store.tree_at(root, many=True) == scan(root)


def test_sequence_numbers_count_up_per_step_and_survive_a_spoilt_index(store: Store) -> None:
    assert [commit(store, fingerprint(n)).sequence for n in range(3)] == [1, 2, 3]
    (folder,) = (store.root / "index" / "steps").iterdir()
    for name in ("7x-" + "a" * 64, "nothing", ".hidden", "²-x"):
        (folder / name).touch()
    assert commit(store, fingerprint(3)).sequence == 4


def test_the_nearest_record_is_the_one_with_fewest_changes_then_the_latest(store: Store) -> None:
    commit(store, fingerprint(1, "b"))
    commit(store, fingerprint(2, "b"))
    commit(store, fingerprint(3, "c"))
    nearest = store.nearest("train.py", fingerprint(4, "b"))
    assert nearest and nearest.fingerprint == fingerprint(2, "b")
    assert store.nearest("other.py", fingerprint()) is None


def test_records_alike_differ_in_content_of_inputs_only(store: Store) -> None:
    for rows in (fingerprint(1, "b"), fingerprint(1, "c"), fingerprint(2, "b")):
        commit(store, rows)
    assert {record.fingerprint for record in store.alike(fingerprint(1, "d"))} == {
        fingerprint(1, "b"),
        fingerprint(1, "c"),
    }
    assert partial_key(fingerprint(1, "b")) == partial_key(fingerprint(1, "c")) != partial_key(fingerprint(2, "b"))


def test_observed_reads_are_remembered_for_the_code_that_read(store: Store) -> None:
    store.observe(fingerprint(1), ["b.txt"])
    store.observe(fingerprint(2, "c"), ["a.txt", "b.txt"])
    assert store.observed(fingerprint(9)) == ("a.txt", "b.txt")
    assert store.observed(fingerprint().without("script")) == ()


def test_differences_of_trees_are_named_the_first_five_and_a_count(store: Store, tmp_path: Path) -> None:
    old = scan(strategies.write_folder(tmp_path / "old", {str(n): b"1" for n in range(8)}))
    new = scan(strategies.write_folder(tmp_path / "new", {str(n): b"2" for n in range(8)}))
    store.note_tree(old)
    assert store.explain_trees(old.digest, new.digest) == ()
    store.note_tree(new)
    assert store.explain_trees(old.digest, new.digest) == (*(f"{n} changed" for n in range(5)), "and 3 more")


# Damage ---------------------------------------------------------------------------------------------------------------

BOMB_TOUCHES = "touched-by-a-pickle"


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (BOMB_TOUCHES,)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else b"\0"


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "one bit flipped": flipped,
    "cut in half": lambda data: data[: len(data) // 2],
    "emptied": lambda _: b"",
    "deleted": lambda _: None,
    "replaced by a pickle": lambda _: pickle.dumps(Bomb()),
    "longer": lambda data: data + b"x",
    "deep JSON": lambda _: b"[" * 100_000,
    "a list": lambda _: b"[]",
    "binary": lambda _: b"\xff\xfe\0",
    "numbers": lambda _: b'{"record": NaN, "format": 1e999, "signature": 7}',
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_file_of_the_store_is_found_or_fails_or_executes(
    damage: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commit(store)
    store.observe(fingerprint(), ["side.txt"])
    time.sleep(0.06)  # from now on the digests come from the cache
    assert cached(store) == OUTPUTS
    for path in files_below(store.root):
        before, times, data = path.read_bytes(), path.stat(), DAMAGES[damage](path.read_bytes())
        if data == before:
            continue
        if data is None:
            path.parent.chmod(0o755)
            path.unlink()
        else:
            overwrite(path, data)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        found = cached(store)
        assert found == OUTPUTS or isinstance(found, Miss)
        if path.relative_to(store.root).parts[0] in ("trees", "records"):
            assert isinstance(found, Miss), path
            assert found.reason or data is None
        exercise(store)
        verify(store)
        commit(store)
        assert cached(store) == OUTPUTS, path
        assert not verify(store).damaged
    assert not (tmp_path / BOMB_TOUCHES).exists()
    assert os.listdir(store.root / "work") == []


def test_no_byte_of_a_record_can_be_changed(store: Store) -> None:
    commit(store)
    path = record_file(store)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        assert isinstance(store.lookup(fingerprint().key), Miss), at
    path.write_bytes(data)
    assert cached(store) == OUTPUTS


@pytest.mark.parametrize(
    "kind", ["file added", "folder added", "made executable", "renamed", "made a link", "made a pipe"]
)
def test_a_tree_with_other_entries_is_not_found(kind: str, store: Store) -> None:
    commit(store)
    file = kept_file(store, "weights")
    file.parent.chmod(0o755)
    if kind == "file added":
        (file.parent / "more").write_bytes(b"")
    elif kind == "folder added":
        (file.parent / "more").mkdir()
    elif kind == "made executable":
        file.chmod(0o755)
    elif kind == "renamed":
        file.rename(file.with_name("other"))
    elif kind == "made a link":
        file.rename(store.root / "weights")
        file.symlink_to(store.root / "weights")
    else:
        file.unlink()
        os.mkfifo(file)
    found = cached(store)
    assert isinstance(found, Miss) and "the kept output 'model'" in found.reason
    commit(store)
    assert cached(store) == OUTPUTS


@pytest.mark.parametrize("what", ["data", "tree", "fan", "all"])
def test_a_tree_that_is_gone_or_a_file_is_a_miss_and_can_be_committed_again(what: str, store: Store) -> None:
    kept = commit(store)
    data = store.tree_path(kept.outputs["model"].digest)
    place = {"data": data, "tree": data.parent, "fan": data.parent.parent, "all": store.root / "trees"}[what]
    remove(place)
    assert cached(store) == Miss("the kept output 'model' is gone")
    if what == "tree":
        place.write_bytes(b"a file")
        assert isinstance(cached(store), Miss)
    commit(store)
    assert cached(store) == OUTPUTS


def edits(envelope: dict[str, Any], other: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield records that somebody without the signing key could write."""
    body = envelope["record"]
    swapped = body | {"outputs": other["record"]["outputs"]}
    without_key = digest("record", swapped)
    yield envelope | {"record": swapped}
    yield envelope | {"record": swapped, "signature": without_key}
    yield envelope | {"record": swapped, "signature": ""}
    yield envelope | {"record": swapped, "signature": None}
    yield envelope | {"record": swapped, "signature": ["x"]}
    yield envelope | {"record": swapped, "signature": "é"}
    yield envelope | {"record": body | {"seconds": 9}}
    yield envelope | {"record": body | {"more": 1}}
    yield envelope | {"format": FORMAT + 1}
    yield envelope | {"record": [], "signature": digest("record", [])}
    yield {"record": body, "signature": envelope["signature"]}
    yield {"format": FORMAT, "record": body}
    yield other
    yield other | {"record": other["record"] | {"key": body["key"]}}


def test_an_edited_record_is_not_found_without_the_signing_key(store: Store) -> None:
    commit(store)
    path = record_file(store)
    envelope = json.loads(path.read_bytes())
    other_key = commit(store, fingerprint(2), {"model": b"evil", "table": b"evil"}).key
    other = json.loads((store.root / "records" / other_key[:2] / f"{other_key}.json").read_bytes())
    for number, edited in enumerate(edits(envelope, other)):
        path.write_bytes(encode(edited))
        found = cached(store)
        assert isinstance(found, Miss), number
        assert found.reason, number
    path.write_bytes(encode(envelope))
    assert cached(store) == OUTPUTS


def test_a_store_signed_with_another_key_is_not_found(tmp_path: Path) -> None:
    commit(open_store(tmp_path / "store", "a" * 64))
    assert cached(open_store(tmp_path / "store", "b" * 64)) == Miss("the kept record was damaged or forged")


def test_a_rightly_signed_record_of_other_fields_is_a_miss(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StepRecord.to_json
    monkeypatch.setattr(StepRecord, "to_json", lambda record: real(record) | {"field of tomorrow": 1})
    commit(store)
    assert cached(store) == Miss("the kept record was damaged")


def test_a_record_of_another_format_is_a_miss_that_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMAT", FORMAT + 1)
    commit(store)
    monkeypatch.undo()
    assert cached(store) == Miss("the kept record has a format of another version")


def test_a_damaged_manifest_is_unknown_and_then_written_anew(store: Store) -> None:
    kept = commit(store)
    tree = kept.outputs["table"].digest
    path = store.root / "manifests" / tree[:2] / f"{tree}.json"
    path.write_bytes(encode(Tree(()).to_json()))
    assert store.manifest(tree) is None
    commit(store)
    found = store.manifest(tree)
    assert found and found.digest == tree


def test_the_index_may_be_lost(store: Store) -> None:
    commit(store)
    shutil.rmtree(store.root / "index")
    shutil.rmtree(store.root / "manifests")
    assert cached(store) == OUTPUTS
    assert store.nearest("train.py", fingerprint()) is None
    assert commit(store, fingerprint(2)).sequence == 1


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "a\0b", "a" * 300, "é", "."])
def test_a_key_that_is_none_is_a_miss(name: str, store: Store) -> None:
    commit(store)
    assert isinstance(store.lookup(name), Miss)


# Any order of events --------------------------------------------------------------------------------------------------


class StoreMachine(RuleBasedStateMachine):
    """Commits, damages and collections in any order, compared with a dictionary."""

    keys = Bundle("keys")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder / "store")
        self.committed: dict[int, keeping.Outputs] = {}
        self.safe: set[int] = set()

    @rule(
        target=keys,
        key=st.integers(0, 3),
        outputs=st.sampled_from([OUTPUTS, {"a": b"1"}, {"a": {}}, {"a": b"1", "b": b"2"}]),
    )
    def commit(self, key: int, outputs: keeping.Outputs) -> int:
        commit(self.store, fingerprint(key), outputs)
        self.committed[key] = outputs
        self.safe.add(key)
        return key

    @rule(key=keys)
    def lookup(self, key: int) -> None:
        found = cached(self.store, fingerprint(key))
        assert found == self.committed[key] or (isinstance(found, Miss) and key not in self.safe)

    @rule(data=st.data(), damage=st.sampled_from(sorted(DAMAGES)))
    def damage(self, data: st.DataObject, damage: str) -> None:
        files = files_below(self.store.root)
        if not files:
            return
        path = data.draw(st.sampled_from(files))
        content = DAMAGES[damage](path.read_bytes())
        self.safe.clear()
        if content is None:
            path.unlink()
        else:
            overwrite(path, content)

    @rule(data=st.data())
    def delete_a_folder(self, data: st.DataObject) -> None:
        folders = sorted(path for path in self.store.root.rglob("*") if path.is_dir())
        if folders:
            self.safe.clear()
            remove(data.draw(st.sampled_from(folders)))

    @rule(days=st.sampled_from([0, 30]), tidy=st.booleans())
    def collect(self, days: int, tidy: bool) -> None:
        done = collect(self.store, days=days)
        assert os.listdir(self.store.root / "work") == []
        if days == 0:
            self.safe.clear()
            damaged = [path for path, record in self.store.records() if isinstance(record, Miss)]
            assert sorted(damaged) == sorted(done.unreadable) == files_below(self.store.root / "records")
            if tidy:  # what can't be understood may need any tree, and no tree stays longer than that does
                for path in damaged:
                    path.unlink()
                damaged = list(collect(self.store, days=0).unreadable)
            assert damaged or not list((self.store.root / "trees").glob("*/*"))

    @rule()
    def open_again(self) -> None:
        self.store.digests.close()
        self.store = open_store(self.folder / "store")

    @invariant()
    def everything_can_be_read(self) -> None:
        exercise(self.store)
        for key in self.safe:
            assert cached(self.store, fingerprint(key)) == self.committed[key]

    def teardown(self) -> None:
        self.store.digests.close()
        remove(self.folder)


TestAnyOrder = StoreMachine.TestCase
TestAnyOrder.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


# Crashes --------------------------------------------------------------------------------------------------------------

_OPERATIONS = (
    "rename",
    "replace",
    "open",
    "mkdir",
    "unlink",
    "rmdir",
    "chmod",
    "fchmod",
    "utime",
    "fsync",
    "fdopen",
    "symlink",
)


def crash_at(number: int, action: Callable[[], object]) -> bool:
    """Return whether a process that does it was ended before its n-th operation on files."""

    def child() -> None:
        count = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os._exit(137)
                return real(*args, **kwargs)

            return call

        for name in _OPERATIONS:
            setattr(os, name, counted(getattr(os, name)))
        builtins.open = counted(builtins.open)  # type: ignore[assignment]
        action()

    code = in_child(child)
    assert code in (0, 137)
    return code == 137


def spoil(store: Store) -> None:
    for path in (store.root / "trees").glob("*/*/data/**/*"):
        if path.is_file():
            overwrite(path, b"spoilt")


def add_copy(store: Store) -> None:
    source = store.root.parent / "source"
    store.add_tree(source, scan(source), move=False)


def age(store: Store) -> None:
    for path in (store.root / "records").glob("*/*"):
        os.utime(path, (1, 1))


CRASHES: dict[str, tuple[Callable[[Store], object], Callable[[Store], object]]] = {
    "a first commit": (lambda _: None, commit),
    "a commit again": (commit, commit),
    "a repair": (lambda store: (commit(store), spoil(store)), commit),
    "a copy": (lambda store: strategies.write_folder(store.root.parent / "source", {"a": b"1", "b": {}}), add_copy),
    "a collection": (lambda store: (commit(store), age(store)), collect),
    "an observation": (commit, lambda store: store.observe(fingerprint(), ["side.txt"])),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_at_any_operation_leaves_a_store_that_works(name: str, tmp_path: Path) -> None:
    before, action = CRASHES[name]
    number, digests = 0, StatCache(tmp_path / "digests.sqlite3")
    while True:
        number += 1
        home = tmp_path / str(number)
        home.mkdir()
        store = Store(home / "store", keeping.SIGNING_KEY, digests)
        before(store)
        crashed = crash_at(number, lambda store=store: action(store))
        found = cached(store)
        assert found == OUTPUTS or isinstance(found, Miss), number
        exercise(store)
        commit(store)
        assert cached(store) == OUTPUTS, number
        collect(store)
        assert os.listdir(store.root / "work") == [], number
        assert not verify(store).damaged, number
        assert cached(store) == OUTPUTS, number
        if not crashed:
            break
    assert number > 5


# Many at once ---------------------------------------------------------------------------------------------------------


def at_once(*actions: Callable[[], object]) -> list[int]:
    """Start actions in forked processes at the same moment, and return their exit codes."""
    ready, go = os.pipe()
    children = []
    for action in actions:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(go)
                os.read(ready, 1)  # until the parent closes its end
                code = 1 if action() is False else 0
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", flush=True)
            finally:
                os._exit(code)
        children.append(child)
    os.close(go)
    os.close(ready)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_processes_that_commit_the_same_at_once_all_succeed_and_leave_nothing(tmp_path: Path) -> None:
    outputs: keeping.Outputs = {"a": {str(n): b"x" * 100 for n in range(30)}, "b": b"1"}
    for number in range(12):
        store = open_store(tmp_path / str(number))

        def work(store: Store = store) -> bool:
            commit(store, outputs=outputs)
            return cached(store) == outputs

        assert at_once(work, work, work) == [0, 0, 0]
        assert cached(store) == outputs
        assert os.listdir(store.root / "work") == []
        assert len(list((store.root / "trees").glob("*/*"))) == 2


def test_processes_that_repair_the_same_at_once_all_succeed(store: Store) -> None:
    commit(store)
    for _ in range(8):
        spoil(store)
        assert at_once(*[lambda: commit(store)] * 3) == [0, 0, 0]
        assert cached(store) == OUTPUTS
    assert os.listdir(store.root / "work") == []


def test_a_collector_at_work_takes_nothing_that_is_needed(store: Store) -> None:
    end = time.monotonic() + 3

    def collect_on() -> None:
        while time.monotonic() < end:
            collect(store, days=1)

    def work_on() -> None:
        number = 0
        while time.monotonic() < end:
            number += 1
            rows, outputs = fingerprint(number % 3), {"a": b"shared", "b": {str(number % 3): b"x"}}
            commit(store, rows, outputs)
            for _ in range(3):
                assert cached(store, rows) == outputs
            record = store.root / "records" / rows.key[:2] / f"{rows.key}.json"
            os.utime(record, (1, 1))  # from now on it may be taken away, unless it is used again
            found = store.lookup(rows.key)
            if isinstance(found, StepRecord):
                assert cached(store, rows) == outputs

    assert at_once(collect_on, work_on) == [0, 0]
    collect(store, days=1)
    assert os.listdir(store.root / "work") == []


# Where the store can't be written -------------------------------------------------------------------------------------


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a tmpfs with some options, the same one again to change them."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mounted(options: str) -> Path:
        run = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", place], capture_output=True, text=True, check=False
        )
        if run.returncode:
            pytest.skip(f"mounting is not permitted here: {run.stderr.strip()}")
        return place

    yield mounted
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def test_a_store_mounted_read_only_serves_and_keeps_new_results_for_this_process(
    mount: Callable[[str], Path], tmp_path: Path
) -> None:
    root = mount("size=2m") / "store"
    writable = open_store(root)
    kept = commit(writable)
    commit(writable, fingerprint(3), {"a": b"damaged later"})
    writable.observe(fingerprint(), ["side.txt"])
    overwrite(next(path for path in files_below(root / "trees") if path.read_bytes() == b"damaged later"), b"damaged")
    mount("remount,ro")
    store = Store(root, keeping.SIGNING_KEY, writable.digests)
    try:
        assert store.read_only
        assert store.lookup(kept.key) == kept
        assert cached(store) == OUTPUTS
        assert store.observed(fingerprint()) == ("side.txt",)
        assert isinstance(cached(store, fingerprint(3)), Miss)
        for rows in (fingerprint(2), fingerprint(3)):
            commit(store, rows, {"a": b"damaged later"})
            assert cached(store, rows) == {"a": b"damaged later"}
        assert cached(store) == OUTPUTS
        assert not str(store.written).startswith(str(root))
        with pytest.raises(StoreException, match="can't be written"):
            collect(store)
    finally:
        remove(store.written)


def test_a_store_of_somebody_else_serves_and_is_left_alone() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    home = keeping.open_to_all()
    commit(open_store(home / "store"))
    subprocess.run(["chmod", "-R", "a+rX", home], check=True)
    before = sorted(home.rglob("*"))

    def as_nobody() -> bool:
        os.setgid(65534)
        os.setuid(65534)
        store = open_store(home / "store")
        right = cached(store) == OUTPUTS and store.read_only
        commit(store, fingerprint(2), {"a": b"new"})
        right = right and cached(store, fingerprint(2)) == {"a": b"new"}
        remove(store.written)
        return right

    try:
        assert in_child(as_nobody) == 0
        assert [path for path in sorted(home.rglob("*")) if ".sqlite3" not in path.name] == [
            path for path in before if ".sqlite3" not in path.name
        ]
    finally:
        remove(home)


def test_a_full_disk_is_told_and_harms_nothing(mount: Callable[[str], Path], tmp_path: Path) -> None:
    store = open_store(mount("size=2m") / "store")
    commit(store)
    big = strategies.write_folder(tmp_path / "big", {"a": os.urandom(3 << 20)})
    with pytest.raises(OSError, match="No space left on device"):
        store.add_tree(big, scan(big), move=False)
    assert os.listdir(store.root / "work") == []
    small = strategies.write_folder(store.scratch_folder() / "out", {"a": b"new"})
    ballast = store.root.parent / "ballast"
    with pytest.raises(OSError, match="No space"), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    tree = scan(small)
    record = replace(store.lookup(fingerprint().key), key="f" * 64)  # type: ignore[type-var]
    with pytest.raises(OSError, match="No space left on device"):
        store.commit(record, {"a": (small, tree)})
    assert cached(store) == OUTPUTS
    assert store.lookup("f" * 64) == Miss("")
    ballast.unlink()
    commit(store, fingerprint(2), {"a": b"new"})
    assert cached(store, fingerprint(2)) == {"a": b"new"}
    assert not verify(store).damaged


def test_a_store_that_can_not_be_used_at_all_says_so(mount: Callable[[str], Path]) -> None:
    folder = mount("size=2m,nr_inodes=1")
    with pytest.raises(StoreException, match="can't be used"):
        open_store(folder / "store")


# Stores of earlier releases -------------------------------------------------------------------------------------------


def test_the_store_of_the_first_release_is_read_or_cleanly_missed(tmp_path: Path) -> None:
    shutil.copytree(FIXTURE, tmp_path / "store", symlinks=True)
    store = open_store(tmp_path / "store")
    expected = json.loads((FIXTURE / "expected.json").read_bytes())
    assert len(expected) == 2
    for key, outputs in expected.items():
        found = store.lookup(key)
        if isinstance(found, Miss):
            assert FORMAT != 1 and found.reason
            continue
        assert {name: artifact.digest for name, artifact in found.outputs.items()} == outputs
        assert found.fingerprint.key == key
    if FORMAT == 1:
        assert cached(store) == {
            "model": {"weights": b"0123", "sub": {"notes": b"fine"}, "link": b"0123"},
            "table": b"a,b\n1,2\n",
        }
        assert store.observed(fingerprint()) == ("side.txt",)
        assert store.nearest("train.py", fingerprint(11)) == store.lookup(fingerprint(10).key)
    exercise(store)
    verify(store)
    commit(store)
    assert cached(store) == OUTPUTS
    collect(store, days=0)


def test_what_can_not_be_believed_is_no_nearest_record_and_the_search_ends_with_one_changed_row(tmp_path, monkeypatch):
    store = open_store(tmp_path / "store")
    for number in range(6):
        commit(store, fingerprint(number, "b"))
    believed = list[str]()
    whole = store.read_record
    monkeypatch.setattr(store, "read_record", lambda key: (believed.append(key), whole(key))[1])
    found = store.nearest("train.py", fingerprint(9, "b"))
    assert found and found.fingerprint == fingerprint(5, "b")
    assert believed == [found.key]
    path = next((store.root / "records").glob(f"*/{found.key}.json"))
    path.write_text(path.read_text().replace('"seconds"', '"seconds" '))  # still claims the same rows
    path.write_text(path.read_text().replace(json.loads(path.read_text())["signature"], "0" * 64))
    found = store.nearest("train.py", fingerprint(9, "b"))
    assert found and found.fingerprint == fingerprint(4, "b")
    far = store.nearest("train.py", fingerprint(9, "c"))
    assert far and far.fingerprint == fingerprint(4, "b")
