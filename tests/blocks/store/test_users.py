"""Two users of one group share a store, whatever their umasks; what one may not read, the other is told of."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from keeping import OUTPUTS, cached, commit, fingerprint, in_child, open_store

from stepwell.blocks.store.claims import claim
from stepwell.blocks.store.maintenance import collect
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home, make_folder, make_key
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import StoreException
from stepwell.model.tree import scan

ANNE, BERT, TEAM = 70_001, 70_002, 70_100

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


def as_user(user: int, action: Callable[[], object], umask: int = 0o022) -> None:
    """Do something as a user of the team, in a child."""

    def become() -> None:
        os.setgroups([TEAM])
        os.setgid(user)
        os.setuid(user)
        os.umask(umask)
        action()

    assert in_child(become) == 0


@pytest.fixture
def shared() -> Iterator[Path]:
    """Give a folder that a team shares: its group's, and handed on."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name) / "team"
        folder.mkdir()
        os.chown(folder, ANNE, TEAM)
        os.chmod(folder, 0o2770)
        yield folder


def opened(folder: Path) -> Store:
    return Store(folder / "store", "5" * 64, cache(folder))


def cache(folder: Path) -> StatCache:
    return StatCache(folder / "cache" / "digests.sqlite3")


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_what_one_makes_the_other_reuses_and_adds_to(shared: Path, umask: int) -> None:
    def anne() -> None:
        store = opened(shared)
        commit(store, fingerprint(1))
        store.observe(fingerprint(1), ["/data/a"])
        run = RunFolder(store.run_folder("run"))
        run.describe({"id": "run", "name": "run", "number": 1})
        run.append({"status": "Running"})
        claim(store, "x", {"snapshots": {}})
        store.next_run_number()
        path = shared / "file"
        path.write_bytes(b"1")
        store.digests.digest_file(str(path), path.stat())

    def bert() -> None:
        store = opened(shared)
        assert not store.read_only
        assert cached(store, fingerprint(1)) == OUTPUTS
        commit(store, fingerprint(2))
        mine = Path(tempfile.mkdtemp())
        (mine / "a.py").write_text("1")
        store.add_snapshot(mine, scan(mine))
        commit(store, replace(fingerprint(1)), {"a": b"other"})
        store.observe(fingerprint(1), ["/data/b"])
        assert store.observed(fingerprint(1)) == ("/data/a", "/data/b")
        run = RunFolder(store.run_folder("run"))
        run.append({"status": "Canceled"})
        run.describe({"tags": {}})
        assert [path.name for path in store.run_folders()] == ["run"]
        assert store.next_run_number() == 3
        collect(store)

    as_user(ANNE, anne, umask)
    as_user(BERT, bert, umask)
    as_user(ANNE, lambda: _check(cached(opened(shared), fingerprint(1)) == {"a": b"other"}), umask)
    kept = [
        path
        for name in ("records", "trees", "blobs", "runs", "observed", "manifests")
        for path in (shared / "store").glob(f"{name}/*")
    ]
    assert kept and all(path.stat().st_gid == TEAM for path in kept)


def _check(holds: bool) -> None:
    assert holds


def test_a_shared_home_is_the_groups_without_what_is_private(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(shared))

    def anne() -> None:
        store = Store(home() / "workspaces" / "w" / ".stepwell", "5" * 64, cache(home()))
        commit(store, fingerprint(1))
        make_key(home() / "signing.key")
        write_atomically(home() / "tokens.json", b"{}", private=True)
        make_folder(home() / "locks")
        with exclusive(home() / "locks" / "x"):
            pass
        (home() / "server").mkdir(mode=0o700)
        write_atomically(home() / "server" / "port", b"1")

    def bert() -> None:
        store = Store(home() / "workspaces" / "w" / ".stepwell", "5" * 64, cache(home()))
        assert cached(store, fingerprint(1)) == OUTPUTS
        commit(store, fingerprint(2))
        with exclusive(home() / "locks" / "x"):
            pass
        for name in ("signing.key", "tokens.json", "server/port"):
            with pytest.raises(PermissionError):
                (home() / name).read_bytes()

    as_user(ANNE, anne)
    as_user(BERT, bert)
    work = shared / "workspaces" / "w" / ".stepwell" / "work"
    assert all(not path.stat().st_mode & 0o077 for path in work.iterdir())  # where steps are at work is nobody else's


def closed_to_others(store: Path, pattern: str) -> None:
    (path,) = [path for path in store.glob(pattern) if path.name != "partial"]
    path.chmod(0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("pattern", ["records/*/*.json", "records/*", "records"])
def test_a_record_that_may_not_be_read_is_told_and_no_absent_one(shared: Path, pattern: str) -> None:
    as_user(ANNE, lambda: commit(opened(shared), fingerprint(1)))
    closed_to_others(shared / "store", pattern)

    def bert() -> None:
        found = opened(shared).lookup(fingerprint(1).key)
        assert isinstance(found, Miss)
        assert found.reason.startswith("the kept record can't be read: Permission denied (")
        assert found.reason.endswith(f"owned by user {ANNE})")

    as_user(BERT, bert)


def test_a_tree_that_may_not_be_read_is_told_and_not_put_beside(shared: Path) -> None:
    as_user(ANNE, lambda: commit(opened(shared), fingerprint(1), {"a": {"x": b"1"}}))
    (tree,) = (shared / "store").glob("trees/*/*")
    tree.chmod(0o700)
    tree.parent.chmod(0o2750)

    def bert() -> None:
        store = opened(shared)
        found = store.lookup(fingerprint(1).key)
        assert isinstance(found, Miss) and "the kept output 'a' can't be read: Permission denied" in found.reason
        with pytest.raises(StoreException, match="can't be put into the store") as error:
            commit(store, fingerprint(1), {"a": {"x": b"1"}})
        assert error.value.facts["owner"] == f"user {ANNE}" and "chmod" in error.value.hint

    as_user(BERT, bert)


def test_reads_that_may_not_be_known_are_an_error_and_runs_that_may_not_be_seen_a_warning(shared: Path) -> None:
    def anne() -> None:
        store = opened(shared)
        store.observe(fingerprint(1), ["/data/a"])
        RunFolder(store.run_folder("mine")).describe({"id": "mine"})
        RunFolder(store.run_folder("open")).describe({"id": "open"})

    as_user(ANNE, anne)
    closed_to_others(shared / "store", "observed/*/*.json")
    closed_to_others(shared / "store", "runs/mine")

    def bert() -> None:
        store = opened(shared)
        with pytest.raises(StoreException, match="was seen to read can't be read"):
            store.observed(fingerprint(1))
        with pytest.warns(UserWarning, match=f"1 runs are left out.*user {ANNE}"):
            assert [path.name for path in store.run_folders()] == ["open"]

    as_user(BERT, bert)


def test_without_the_groups_bit_the_umask_decides(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        store = open_store(tmp_path / "store")
        commit(store)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.root.glob("records/*/*")}
    trees = {stat.S_IMODE(path.stat().st_mode) for path in store.root.glob("trees/*/*")}
    assert (modes, trees) == ({0o640}, {0o750})
