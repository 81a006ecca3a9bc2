"""Files by content: each once, however often what stands beside it changes, and read again only if it may have changed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from keeping import open_store

from stepwell.blocks.store import stat_cache, write_back
from stepwell.blocks.store.claims import claim, disclaim
from stepwell.blocks.store.maintenance import Amount, collect, measure, verify
from stepwell.blocks.store.snapshots.snapshot import place_in
from stepwell.blocks.store.store import Store
from stepwell.errors import StoreException
from stepwell.model.tree import Tree, scan


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def blobs(store: Store) -> list[Path]:
    return sorted(path for path in (store.root / "blobs").rglob("*") if path.is_file())


def keep(store: Store, folder: Path, files: strategies.Folder) -> Tree:
    tree = scan(strategies.write_folder(folder, files))
    store.add_snapshot(folder, tree)
    return tree


class Snapshots(RuleBasedStateMachine):
    """Sources are kept, claimed, given up, damaged and collected in any order: what is served is what was kept, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.store = open_store(self.root / "store")
        self.sources: list[tuple[Path, Tree]] = []
        self.claimed: set[str] = set()
        self.count = 0

    @rule(files=st.dictionaries(st.sampled_from("abc"), st.sampled_from([b"", b"1", b"2", b"33"]), max_size=3))
    def keeps(self, files: dict[str, bytes]) -> None:
        self.count += 1
        source = self.root / f"source{self.count}"
        tree = keep(self.store, source, files)  # type: ignore[arg-type]
        claim(self.store, tree.digest, {"snapshots": {"x": tree.digest}})
        self.claimed.add(tree.digest)
        self.sources.append((source, tree))
        assert self.store.snapshot_damage(tree.digest) == ""

    @rule(number=st.integers(0, 20))
    def gives_up(self, number: int) -> None:
        for _, tree in self.sources[number : number + 1]:
            disclaim(self.store, tree.digest)
            self.claimed.discard(tree.digest)

    @rule(number=st.integers(0, 20), harm=st.sampled_from([b"2", b"damaged", None]))
    def is_damaged(self, number: int, harm: bytes | None) -> None:
        for path in blobs(self.store)[number : number + 1]:
            path.unlink()
            if harm is not None:
                path.write_bytes(harm)

    @rule()
    def is_collected(self) -> None:
        collect(self.store)
        needed = {e.digest for _, tree in self.sources if tree.digest in self.claimed for e in tree.entries}
        assert {path.name for path in blobs(self.store)} <= needed

    @rule(number=st.integers(0, 20))
    def is_kept_again(self, number: int) -> None:
        for source, tree in self.sources[number : number + 1]:
            self.store.add_snapshot(source, tree)
            assert self.store.snapshot_damage(tree.digest) == ""

    @invariant()
    def serves_what_was_kept_or_nothing(self) -> None:
        assert len(blobs(self.store)) <= 4
        for _, tree in self.sources:
            self.count += 1
            copy, found = self.root / f"copy{self.count}", self.store.snapshot(tree.digest)
            whole = self.store.snapshot_damage(tree.digest) == ""
            assert found is not None and found.is_whole() == whole
            if whole:
                found.copy_to(copy)
                assert scan(copy) == tree
        wrong = [path for path in blobs(self.store) if scan(path).entries[0].digest != path.name]
        gone = [
            tree
            for digest in self.claimed
            for tree in [self.store.manifest(digest)]
            if tree and any(e.kind == "file" and not self.at(e.digest).exists() for e in tree.entries)
        ]
        assert len(verify(self.store).damaged) == len(wrong) + len(gone)

    def at(self, content: str) -> Path:
        return Path(place_in([self.store.root / "blobs"], content))

    def teardown(self) -> None:
        self.folder.cleanup()


TestSnapshots = Snapshots.TestCase
TestSnapshots.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


def test_a_large_file_is_kept_once_however_often_the_script_changes(store: Store, tmp_path: Path) -> None:
    for version in range(3):
        keep(
            store, tmp_path / f"{version}", {"train.py": b"%d" % version, "big.bin": b"x" * 3_000_000, "too.bin": b"y"}
        )
    assert len(blobs(store)) == 5
    assert measure(store) == Amount(0, 0, 3_000_004, files=5)


def test_of_unchanged_files_nothing_is_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_back, "interval_ns", lambda: 1)
    monkeypatch.setattr(write_back, "_STEP_NS", 1)
    monkeypatch.setattr(write_back, "_file_system", lambda _: 0xEF53)
    keep(store, tmp_path / "source", {f"{number}.py": b"%d" % number for number in range(30)})
    time.sleep(0.02)
    store.snapshot_damage(scan(tmp_path / "source").digest)  # read once, when they are at rest
    (tmp_path / "source" / "7.py").write_text("changed")
    tree = scan(tmp_path / "source")
    reads: list[str] = []
    plain = stat_cache._read
    monkeypatch.setattr(stat_cache, "_read", lambda path: reads.append(path) or plain(path))
    store.add_snapshot(tmp_path / "source", tree)
    assert reads == [] and len(blobs(store)) == 31


@settings(max_examples=20, deadline=None)
@given(strategies.folders, strategies.folders)
def test_a_file_that_changes_while_it_is_kept_is_not(before: strategies.Folder, after: strategies.Folder) -> None:
    with tempfile.TemporaryDirectory() as place:
        store, source = open_store(Path(place, "store")), Path(place, "source")
        tree = scan(strategies.write_folder(source, before))
        now = scan(strategies.write_folder(Path(place, "other"), after))
        lacks = {entry.digest for entry in tree.entries} - {
            entry.digest for entry in now.entries if entry in tree.entries
        }
        if any(entry.kind == "file" and entry.digest in lacks for entry in tree.entries):
            with pytest.raises((StoreException, OSError)):
                store.add_snapshot(Path(place, "other"), tree)
        assert all(scan(path).entries[0].digest == path.name for path in blobs(store))


def test_a_snapshot_of_an_earlier_release_is_read_where_it_is(store: Store, tmp_path: Path) -> None:
    source = strategies.write_folder(tmp_path / "source", {"train.py": b"1"})
    tree = scan(source)
    store.add_tree(source, tree, move=False)
    assert store.add_snapshot(source, tree) == () and blobs(store) == []
    assert store.snapshot_damage(tree.digest) == ""
    kept = store.tree_path(tree.digest) / "train.py"
    kept.unlink()
    kept.write_text("2")
    assert store.snapshot_damage(tree.digest) == "it was damaged"
    store.add_snapshot(source, tree)  # from now on by content
    assert store.snapshot_damage(tree.digest) == "" and not store.tree_path(tree.digest).exists()


def test_what_a_store_that_can_not_be_written_has_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = keep(open_store(tmp_path / "store"), tmp_path / "source", {"a.py": b"1", "b.py": b"2"})
    monkeypatch.setattr("stepwell.blocks.store.trees.can_be_written", lambda _: False)
    store = open_store(tmp_path / "store")
    assert store.read_only and store.add_snapshot(tmp_path / "source", tree) == ()
    assert not (store.written / "blobs").exists()
    changed = keep(store, tmp_path / "changed", {"a.py": b"1", "b.py": b"3"})
    found = store.snapshot(changed.digest)
    assert found and found.is_whole() and found.read("a.py") == b"1" and found.read("b.py") == b"3"
    assert len(list((store.written / "blobs").glob("*/*"))) == 1


def test_a_damaged_file_is_named_as_people_know_it(store: Store, tmp_path: Path) -> None:
    tree = keep(store, tmp_path / "source", {"lib": {"a.py": b"1"}, "b.py": b"2"})
    claim(store, "published", {"snapshots": {"/source": tree.digest}})
    assert verify(store).damaged == () and verify(store).files == 2
    found = store.snapshot(tree.digest)
    assert found
    place = found.place("lib/a.py")
    assert place
    place.chmod(0o644)
    place.write_bytes(b"x")
    assert store.snapshot_damage(tree.digest) == "lib/a.py was damaged"
    (damage,) = verify(store).damaged
    assert damage.startswith("file lib/a.py of snapshots (") and damage.endswith("not those that were kept")
    place.unlink()
    assert verify(store).damaged == (f"snapshot {tree.digest[:12]} of what is published: lib/a.py is gone",)


def test_files_that_no_needed_snapshot_names_go(store: Store, tmp_path: Path) -> None:
    needed = keep(store, tmp_path / "one", {"a.py": b"1", "same.py": b"both"})
    keep(store, tmp_path / "two", {"a.py": b"22", "same.py": b"both"})
    claim(store, "published", {"snapshots": {"/source": needed.digest}})
    assert collect(store, dry_run=True) == Amount(0, 0, 2, files=1)
    assert len(blobs(store)) == 3
    assert collect(store) == Amount(0, 0, 2, files=1)
    assert store.snapshot_damage(needed.digest) == ""
    (store.root / "records" / "aa").mkdir(parents=True)
    (store.root / "records" / "aa" / "unknown.cbor").touch()
    disclaim(store, "published")
    assert collect(store).files == 0  # what can't be understood may need them
