"""The index of runs lists them newest first, reads each `run.json` once, and is never wrong."""

from __future__ import annotations

import json
import shutil

import pytest
from keeping import open_store

from stepwell.blocks.store import run_folder
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import runs_of


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def made(store, number):
    run = RunFolder(store.run_folder(f"run-{number}"))
    run.describe({"number": number, "created": float(number), "pipeline": {"name": "digits"}, "experiment": "e"})
    return run


def numbers(store):
    return [run.number for run in runs_of(store)]


@pytest.fixture
def read(monkeypatch):
    """Counts the files of runs that are read."""
    paths = []
    real = run_folder.read_bytes
    monkeypatch.setattr(run_folder, "read_bytes", lambda path: paths.append(path) or real(path))
    return paths


def test_what_is_known_is_not_read_again(store, read):
    for number in range(1, 30):
        made(store, number)
    assert numbers(store) == list(range(29, 0, -1))
    read.clear()
    assert numbers(store) == list(range(29, 0, -1)) and read == []
    made(store, 30)
    read.clear()
    assert numbers(store)[:2] == [30, 29]
    assert {path.parent.name for path in read} == {"run-30"}
    newest = runs_of(store)[0]
    assert (newest.run_id, newest.label, newest.experiment) == ("run-30", "digits#30", "e")


def test_changes_by_whatever_hand_are_seen(store):
    for number in (1, 2, 3):
        made(store, number)
    assert numbers(store) == [3, 2, 1]
    shutil.rmtree(store.run_folder("run-3"))
    (store.run_folder("run-1") / "run.json").write_text(json.dumps({"number": 7}))
    assert numbers(store) == [7, 2]


@pytest.mark.parametrize("index", ["", "[]", "{", '{"format":1,"runs":[]}', '{"format":2,"runs":{}}', None])
def test_a_lost_or_damaged_index_is_made_anew(store, index):
    made(store, 1)
    assert numbers(store) == [1]
    path = store.root / "runs.index"
    known = json.loads(path.read_text())
    if index is None:
        (row,) = known["runs"].values()
        row[1] = ["x", *row[1][1:]]
    path.write_text(json.dumps(known) if index is None else index)
    assert numbers(store) == [1]
    assert json.loads(path.read_text())["format"] == 1


@pytest.mark.parametrize(
    "facts", ["", "{", "[]", '{"number": "x", "published": {"id": 7}, "machine": []}', '{"trial": 3}']
)
def test_damaged_facts_cost_their_own_run_only(store, facts):
    made(store, 1)
    broken = store.run_folder("broken")
    broken.mkdir()
    (broken / "run.json").write_text(facts)
    (store.root / "runs" / "no-run").mkdir()
    assert numbers(store) == [1, 0]


def test_a_lost_counter_repeats_no_number(store):
    """Also where older runs were collected, so that there are fewer than the last number says."""
    made(store, store.next_run_number())
    made(store, 41)
    (store.root / "runs" / "counter").unlink()
    assert store.next_run_number() == 42
