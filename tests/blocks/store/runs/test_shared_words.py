"""What people say of runs on any machine is heard on all, of each field the latest; who has no key is not heard."""

from __future__ import annotations

import json
import uuid

import pytest
from sharing_stores import Keys

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.shared_words import SharedWords
from stepwell.blocks.store.runs.words import GONE, Subject, own_words, say, words_of

RUN = "00000000-0000-4000-8000-000000000001"
NOTE, BEST = Subject("note"), Subject("tag", "best")
ANA, BEN = "a" * 16, "b" * 16


class Machine:
    """A machine with a folder of runs, which shares them at the URL."""

    def __init__(self, folder, url, key, **more) -> None:
        self.run = RunFolder(folder / "runs" / RUN)
        self.run.describe({"id": RUN})
        self.objects = RemoteObjects(url, pauses=())
        self.words = SharedWords(self.objects, folder / "runs", Keys(key, **more))

    def say(self, **said) -> None:
        say(
            self.run,
            {NOTE if name == "note" else Subject("tag", name): text for name, text in said.items()},
            self.words.now,
        )
        assert self.words.tell(self.run) == ""

    def heard(self) -> dict[str, str | None]:
        self.words.bring()
        return {of.name or of.kind: word.value for of, word in words_of(self.run).items() if not word.gone}


@pytest.fixture(params=["folder", "any"])
def machine(request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    url = f"file://{tmp_path / 'shared'}" if request.param == "folder" else f"memory://{uuid.uuid4().hex}"

    def opened(key, name="", **more):
        return Machine(tmp_path / (name or key), url, key, **more)

    return opened


def test_each_hears_the_latest_of_each_field(machine):
    ana, ben = machine(ANA), machine(BEN)
    ana.say(note="by Ana", best="yes")
    ben.say(note="by Ben", good=None)
    assert ana.heard() == ben.heard() == {"note": "by Ben", "best": "yes", "good": None}
    ana.say(best=GONE, good="very")
    assert ana.heard() == ben.heard() == {"note": "by Ben", "good": "very"}
    names = [entry.name for entry in ana.objects.list("marks/")]
    assert names == [f"marks/{RUN}.{ANA}.2.json", f"marks/{RUN}.{BEN}.1.json"]


def test_who_speaks_at_once_loses_no_other_field(machine):
    ana, ben = machine(ANA), machine(BEN)
    say(ana.run, {BEST: "ana", Subject("tag", "a"): "1"}, ana.words.now)
    say(ben.run, {BEST: "ben", Subject("tag", "b"): "1"}, ben.words.now)
    assert ben.words.tell(ben.run) == "" == ana.words.tell(ana.run)
    assert ana.heard() == ben.heard()
    assert ana.heard().keys() == {"best", "a", "b"}


def test_nothing_is_read_again_that_is_known(machine):
    ana, ben = machine(ANA), machine(BEN)
    ana.say(note="once")
    ben.heard()
    before = ben.objects.traffic.received
    assert ben.heard() == {"note": "once"} and ben.objects.traffic.received == before


def test_who_has_no_key_or_puts_back_what_was_is_not_heard(machine):
    ana, ben = machine(ANA), machine(BEN)
    ana.say(note="old")
    (name,) = [entry.name for entry in ana.objects.list("marks/")]
    old = ana.objects.get(name)
    ana.say(note="new")
    assert ben.heard() == {"note": "new"}
    forged = json.loads(old) | {
        "sequence": 9,
        "said": [{"kind": "note", "name": "", "step": "", "at": 9e9, "value": "f"}],
    }
    for number, data in ((1, old), (7, old), (8, b"{}"), (9, json.dumps(forged).encode())):
        ana.objects.put(f"marks/{RUN}.{ANA}.{number}.json", data)
    assert ben.heard() == {"note": "new"}
    stranger = machine(BEN, "other", distrusted=(ANA,))
    assert stranger.heard() == {}


def test_what_a_key_said_that_was_revoked_is_forgotten(machine):
    ana, ben = machine(ANA), machine(BEN)
    ana.say(note="by Ana")
    assert ben.heard() == {"note": "by Ana"}
    ben.words._keys.distrusted = (ANA,)
    assert ben.heard() == {}


def test_who_lost_the_folder_of_a_run_goes_on_from_what_others_know(machine):
    ana = machine(ANA)
    ana.say(note="kept", best="1")
    ana.say(best="2")
    again = machine(ANA, "anew")
    assert again.heard() == {"note": "kept", "best": "2"}
    again.say(best="3")
    assert own_words(again.run)[0] == 3
    assert machine(BEN).heard() == {"note": "kept", "best": "3"}


def test_who_spoke_before_it_heard_of_its_earlier_words_loses_none(machine):
    machine(ANA).say(note="kept")
    again = machine(ANA, "anew")
    again.say(best="2")
    assert machine(BEN).heard() == {"note": "kept", "best": "2"}


def test_what_could_not_be_told_is_told_later(machine):
    ana = machine(ANA)
    say(ana.run, {NOTE: "later"}, lambda: 1.0)
    ana.words.untold.note(RUN)
    ana.words.untold.note("00000000-0000-4000-8000-000000000002")
    ana.words.tell_missed()
    assert machine(BEN).heard() == {"note": "later"}
    assert not ana.words.untold.has(RUN)
    ana.words.remove(RUN)
    assert list(ana.objects.list("marks/")) == []
