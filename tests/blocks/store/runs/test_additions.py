"""What is added to a run on several machines comes together, whole and once, in whatever order it comes."""

from __future__ import annotations

import io
import itertools
import json
import zipfile

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import additions
from stepwell.script.events import read_events

METRIC = {"type": "metric", "scope": "parent", "kind": "scalar", "name": "loss", "value": 1.5, "time": 2.0}
KEPT = {"type": "file", "scope": "parent", "name": "", "value": "plots/a.txt", "time": 3.0}


@pytest.fixture
def run(tmp_path):
    found = RunFolder(tmp_path / "runs" / "one")
    found.describe({"id": "one"})
    return found


def archive(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as written:
        for name, text in files.items():
            written.writestr(name, text)
    return data.getvalue()


def test_what_is_pending_has_its_files_and_is_forgotten_as_far_as_it_was_told(run):
    assert not additions.is_pending(run) and additions.pending(run) == (0, {})
    (run.path / "control/parent_files/plots").mkdir(parents=True)
    (run.path / "control/parent_files/plots/a.txt").write_text("seen")
    additions.note(run, "control", METRIC)
    additions.note(run, "control", KEPT)
    size, told = additions.pending(run)
    additions.note(run, "control/steps/a", METRIC)
    additions.forget_pending(run, size, ["told"])
    assert additions.taken(run) == {"told"}
    assert list(told) == ["files", "events"], "who sees the events finds the files"
    with zipfile.ZipFile(io.BytesIO(told["files"])) as files:
        assert files.read("control/parent_files/plots/a.txt") == b"seen"
    with zipfile.ZipFile(io.BytesIO(additions.pending(run)[1]["events"])) as rest:
        assert rest.namelist() == ["control/steps/a/events.jsonl"]


def test_readers_have_the_same_in_whatever_order_it_comes_and_twice(tmp_path):
    lines = [json.dumps({**METRIC, "time": float(number)}) for number in range(3)]
    parts = [archive(**{"control/events.jsonl": f"\n{line}\n"}) for line in lines]
    seen = []
    for order in itertools.permutations(parts):
        run = RunFolder(tmp_path / str(len(seen)))
        for part in (*order, order[0]):
            additions.take(run, "x", part)
        seen.append(sorted(event["time"] for event in read_events(run.path / "control")))
    assert seen == [[0.0, 1.0, 2.0]] * 6


def test_a_torn_line_takes_none_along_and_what_is_here_stays(run):
    log = run.path / "control/events.jsonl"
    log.parent.mkdir()
    log.write_text('{"torn')
    (run.path / "control/files").mkdir()
    (run.path / "control/files/a").write_text("ours")
    line = json.dumps(METRIC)
    additions.merge(run, archive(**{"control/events.jsonl": f"\n{line}\n", "control/files/a": "theirs"}))
    assert read_events(run.path / "control") == [METRIC]
    assert (run.path / "control/files/a").read_text() == "ours"


@pytest.mark.parametrize("name", ["control/../run.json", "run.json", "/control/x", "control//x", "control/./x"])
def test_nothing_stands_elsewhere(run, name):
    before = sorted(run.path.parent.rglob("*"))
    additions.merge(run, archive(**{name: "x"}))
    additions.merge(run, b"garbage")
    assert sorted(run.path.parent.rglob("*")) == before


def test_damaged_notes_cost_themselves_only(run):
    additions.note(run, "control", METRIC)
    with open(run.path / "said/pending.jsonl", "ab") as notes:
        notes.write(
            b'{"folder": 3}\nnone\n{"folder":"../..","event":{"type":"file","scope":"parent","value":"/etc/passwd"}}\n'
        )
    _, told = additions.pending(run)
    assert "files" not in told
    with zipfile.ZipFile(io.BytesIO(told["events"])) as events:
        assert "loss" in events.read("control/events.jsonl").decode()
