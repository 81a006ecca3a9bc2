"""Old runs go by age, count and size; what is pinned, published, at work, or shown by a kept result stays."""

from __future__ import annotations

import os
import time

import pytest
from keeping import commit, open_store

from stepwell.blocks.store.retention import PINNED, PUBLISHED, Limits, Removed, collect_runs
from stepwell.blocks.store.run_folder import RunFolder

ALL, DAY = Limits(days=1e6), 86_400


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def made(store, name, days, status="Finished", size=100):
    run = RunFolder(store.run_folder(name))
    run.describe({"id": name, "created": 1.0})
    run.append({"status": status})
    run.step_folder("s").mkdir(parents=True)
    (run.step_folder("s") / "log").write_bytes(b"x" * size)
    for file in ("run.json", "journal.jsonl"):
        os.utime(run.path / file, (time.time() - days * DAY,) * 2)
    return run


def left(store):
    return {path.name for path in store.run_folders()}


@pytest.mark.parametrize(
    ("limits", "kept"),
    [(ALL, {"a", "b", "c"}), (Limits(days=25), {"a", "b"}), (Limits(runs=1), {"a"}), (Limits(runs=0), set()),
     (Limits(bytes=12_000), {"a"})],
)  # fmt: skip
def test_the_oldest_go_first(store, limits, kept):
    for days, name in ((10, "a"), (20, "b"), (30, "c")):
        made(store, name, days, size=10_000)
    before = collect_runs(store, limits, dry_run=True)
    assert left(store) == {"a", "b", "c"}
    assert collect_runs(store, limits) == before and before.runs == 3 - len(kept)
    assert left(store) == kept
    assert collect_runs(store, limits) == Removed(0, 0)
    assert not list((store.root / "work").iterdir())


def test_what_is_pinned_published_at_work_or_unfinished_stays(store):
    for name in (PINNED, PUBLISHED):
        (made(store, name, 100).path / name).touch()
    made(store, "fresh", 0), made(store, "unfinished", 2, "Running"), made(store, "killed", 8, "Running")
    with made(store, "alive", 100, "Running").alive():
        collect_runs(store, Limits(days=0, runs=0, bytes=0))
    assert left(store) == {PINNED, PUBLISHED, "fresh", "unfinished", "alive"}


def test_the_logs_of_a_result_that_is_kept_stay(store):
    record = commit(store)
    run = made(store, "old", 100)
    (run.path / "steps" / record.step_run_id).mkdir()
    (run.path / "steps" / record.step_run_id / "log").touch()
    assert collect_runs(store, Limits()).runs == 1
    assert left(store) == set()
    assert [path.name for path in (run.path / "steps").iterdir()] == [record.step_run_id]
    assert collect_runs(store, Limits()).runs == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_runs_that_can_not_be_understood_stay_and_are_named(store, content):
    run, other = made(store, "other", 100), made(store, "old", 100)
    (run.path / "run.json").write_bytes(content)
    os.utime(run.path / "run.json", (1, 1))
    removed = collect_runs(store, Limits(days=0, runs=0))
    assert (removed.runs, removed.unreadable) == (1, (run.path,))
    assert (run.path / "steps" / "s" / "log").exists() and not other.path.exists()


def test_logs_that_a_result_of_another_version_may_need_stay(store):
    record = commit(store)
    path = next((store.root / "records").glob("*/*"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    run = made(store, "old", 100)
    collect_runs(store, Limits())
    assert record and (run.path / "steps" / "s" / "log").exists() and left(store) == set()
