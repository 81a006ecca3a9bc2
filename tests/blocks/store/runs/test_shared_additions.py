"""What is added to a run on one machine comes to the others by one listing, once; large files when somebody needs them."""

from __future__ import annotations

import os

import pytest
from sharing_stores import Keys

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import additions, shared_words
from stepwell.blocks.store.runs.shared_words import SharedWords
from stepwell.blocks.store.runs.words import Subject, say, words_of
from stepwell.errors import DatastoreException
from stepwell.script.events import read_events

RUN = "00000000-0000-4000-8000-000000000001"
ANA, BEN = "a" * 16, "b" * 16
METRIC = {"type": "metric", "scope": "parent", "kind": "scalar", "name": "loss", "value": 1.5, "time": 2.0}
KEPT = {"type": "file", "scope": "parent", "name": "", "value": "plots/a.txt", "time": 3.0}


class Machine:
    """A machine with a folder of the run, which shares it at the URL."""

    def __init__(self, folder, url, key, **more) -> None:
        self.run = RunFolder(folder / "runs" / RUN)
        self.run.describe({"id": RUN})
        self.objects = RemoteObjects(url, pauses=())
        self.words = SharedWords(self.objects, folder / "runs", Keys(key, **more))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    return lambda key, **more: Machine(tmp_path / key, f"file://{tmp_path / 'shared'}", key, **more)


def add(machine, event=METRIC):
    additions.note(machine.run, "control", event)
    assert machine.words.tell(machine.run) == ""


def events(machine):
    return read_events(machine.run.path / "control")


def test_what_one_adds_the_other_has_by_a_listing_and_once(machine):
    ana, ben = machine(ANA), machine(BEN)
    add(ana)
    ben.words.bring()
    assert events(ben) == [METRIC]
    before = ben.objects.traffic.requests, ben.objects.traffic.received
    ben.words.bring(RUN)
    ana.words.bring(RUN)
    assert (ben.objects.traffic.requests - before[0], ben.objects.traffic.received) == (1, before[1])
    assert events(ben) == [METRIC]


def test_what_is_added_and_said_is_told_together(machine):
    ana, ben = machine(ANA), machine(BEN)
    additions.note(ana.run, "control", METRIC)
    ana.words.untold.note(RUN)
    say(ana.run, {Subject("tag", "best"): "yes"}, ana.words.now)
    assert ana.words.tell(ana.run) == ""
    assert not ana.words.untold.has(RUN) and not additions.is_pending(ana.run)
    ben.words.bring()
    assert [of.name for of in words_of(ben.run)] == ["best"] and events(ben) == [METRIC]


def test_large_files_come_when_they_are_needed(machine, monkeypatch):
    ana, ben = machine(ANA), machine(BEN)
    kept = ana.run.path / "control/parent_files/plots/a.txt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(os.urandom(10_000))
    add(ana, KEPT)
    copy = ben.run.path / "control/parent_files/plots/a.txt"
    ben.words.bring()
    assert events(ben) == [KEPT] and not copy.exists(), "who lists runs fetches no files"
    monkeypatch.setattr(shared_words, "SMALL", 5000)
    ben.words.bring(RUN)
    assert not copy.exists()
    ben.words.bring(RUN, files=True)
    assert copy.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("change", [lambda data: b"x" + data[1:], lambda _: b"", lambda data: data[:-300]])
def test_what_was_changed_or_is_of_nobody_known_is_not_taken(machine, change):
    ana, ben = machine(ANA), machine(BEN)
    add(ana)
    (name,) = [entry.name for entry in ana.objects.list("marks/")]
    told = ana.objects.get(name)
    ana.objects.put(name, change(told))
    ben.words.bring(RUN)
    assert events(ben) == []
    ana.objects.put(name, told)
    machine(BEN, distrusted=(ANA,)).words.bring(RUN)
    assert events(ben) == []
    ben.words.bring(RUN)
    assert events(ben) == [METRIC]


def test_who_could_not_tell_tells_later_and_what_came_meanwhile_too(machine, monkeypatch):
    ana, ben = machine(ANA), machine(BEN)
    ana.words.untold.note(RUN)
    additions.note(ana.run, "control", METRIC)
    with monkeypatch.context() as away:
        away.setattr(ana.objects, "put", _fails)
        with pytest.raises(DatastoreException):
            ana.words.tell(ana.run)
    assert ana.words.untold.has(RUN)
    ana.words.tell_missed()
    assert not ana.words.untold.has(RUN)
    ben.words.bring()
    assert events(ben) == [METRIC]


def _fails(*_):
    raise DatastoreException("It fails", {"reason": "away"})
