"""What machines tell of runs is signed: who can only write to the datastore shows nothing that is believed."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from sharing_stores import Keys

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import shared_runs
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.blocks.store.runs.telling import Teller
from stepwell.blocks.system.living import NAME
from stepwell.flows.runs.summary import summarize

RUN, STEP = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
HEAD, LOG = f"runs/{RUN}/head.json", f"runs/{RUN}/steps/{STEP}/log.zip"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Returns the runs as a machine sees them, which signs with a key of its name unless it has another or, as earlier releases, none."""

    def be(name, keys="own"):
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / f"home of {name}"))
        monkeypatch.setenv(NAME, name)
        objects = RemoteObjects(f"file://{tmp_path / 'shared'}", pauses=())
        return SharedRuns(objects, tmp_path / name / "runs", keys=Keys(name) if keys == "own" else keys)

    return be


def told(shared, state="Finished", said="said"):
    run = RunFolder(shared._folder / RUN)
    run.describe({"id": RUN, "number": 1, "created": 5.0, "pipeline": {"name": "digits"}})
    run.append({"at": "t", "status": "Running"})
    (run.step_folder(STEP) / "logs").mkdir(parents=True)
    (run.step_folder(STEP) / "logs" / "70_driver_log.txt").write_text(said)
    run.append({"at": "t", "step": "a", "status": "done", "step_run_id": STEP, "seconds": 1.0})
    if state != "Running":
        run.append({"at": "t", "status": state})
    Teller(run, shared)._tell(last=True)
    return run


def seen(shared):
    """Return why a run is not trusted where it is seen, and its log; None if it is not seen."""
    if not shared.bring(RUN):
        return None
    copy = RunFolder(shared._folder / RUN)
    shared.bring_steps(copy)
    log = copy.step_folder(STEP) / "logs" / "70_driver_log.txt"
    return copy.distrust, log.read_text() if log.exists() else ""


def test_what_a_known_machine_tells_is_believed(machine):
    told(machine("a"))
    assert seen(machine("b")) == ("", "said")
    summary = summarize(RunFolder(machine("b")._folder / RUN))
    assert (summary.machine, summary.warnings) == ("a", ())


def test_what_is_not_signed_is_shown_and_not_trusted(machine):
    told(machine("a", keys=None))
    assert seen(machine("b")) == ("is not signed", "said")
    summary = summarize(RunFolder(machine("b")._folder / RUN))
    assert summary.machine == "a (not trusted)"
    assert summary.warnings[0].startswith("Not trusted: what is told of this run is not signed")


def test_what_a_key_tells_that_is_not_believed_is_not_trusted(machine):
    told(machine("a"))
    assert seen(machine("b", keys=Keys("b", distrusted=("a",)))) == ("is of somebody else", "said")


def test_releases_that_know_no_signatures_read_what_is_signed(machine):
    told(machine("a"))
    assert seen(machine("b", keys=None)) == ("", "said")


@pytest.mark.parametrize("change", [(b'"Finished"', b'"Failed"'), (RUN[:8].encode(), b"11111111"), (b'"a"', b'"b"')])
def test_a_head_that_was_changed_is_none(machine, change):
    shared = machine("a")
    told(shared)
    shared.objects.put(HEAD, shared.objects.get(HEAD).replace(*change))
    assert seen(machine("b")) is None


def test_the_head_of_another_run_is_none(machine):
    shared, other = machine("a"), RUN[:-1] + "9"
    told(shared)
    shared.objects.put(f"runs/{other}/head.json", shared.objects.get(HEAD))
    assert not machine("b").bring(other)


def test_nobody_writes_over_what_was_believed_without_a_key(machine):
    told(machine("a"), state="Running")
    there = machine("b")
    assert seen(there) == ("", "said")
    forged = json.loads(there.objects.get(HEAD))
    del forged["signature"], forged["key_id"]
    forged["state"] = "Failed"
    there.objects.put(HEAD, json.dumps(forged).encode())
    assert seen(there) == ("", "said") and RunFolder(there._folder / RUN).heard()["state"] == "Running"


def test_nobody_takes_a_run_from_its_machine_without_a_key(machine):
    own = machine("a")
    run = told(own, state="Running")
    forged = json.loads(own.objects.get(HEAD))
    del forged["signature"], forged["key_id"]
    forged["machine"] = {"id": "other", "kernel": "", "name": "eve"}
    own.objects.put(HEAD, json.dumps(forged).encode())
    assert not own.is_taken(run)
    assert not own.bring(RUN) and run.heard() == {}


@pytest.mark.parametrize("kind", ["not signed", "of another step", "changed"])
def test_a_log_that_its_machine_did_not_tell_is_not_shown(machine, kind):
    shared = machine("a")
    told(shared)
    real, data = shared.objects.get(LOG), io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("logs/70_driver_log.txt", "forged")
    signature = zipfile.ZipFile(io.BytesIO(real)).comment
    forged = {
        "not signed": data.getvalue(),
        "changed": data.getvalue()[:-2] + len(signature).to_bytes(2, "little") + signature,
        "of another step": shared_runs.signed_archive("runs/x/log.zip", data.getvalue(), Keys("a")),
    }[kind]
    shared.objects.put(LOG, forged)
    assert seen(machine("b")) == ("", "")


def test_a_part_of_a_journal_that_was_changed_makes_no_copy(machine, monkeypatch):
    monkeypatch.setattr(shared_runs, "_PART", 50)
    shared = machine("a")
    told(shared)
    part = f"runs/{RUN}/journal/0.jsonl"
    real = shared.objects.get(part)
    shared.objects.put(part, real.replace(b'"seconds": 1.0', b'"seconds": 9.0') + b" ")
    assert seen(machine("b")) is None
    shared.objects.put(part, real)
    assert seen(machine("b")) == ("", "said")


def test_an_earlier_head_that_somebody_puts_back_is_not_heard(machine, tmp_path):
    shared = machine("a")
    run = told(shared, state="Running")
    head = tmp_path / "shared" / HEAD
    earlier = head.read_bytes()
    run.append({"at": "t", "step": "b", "status": "running"})
    shared.tell(run, [])
    there, copy = machine("b"), RunFolder(machine("b")._folder / RUN)
    assert there.bring(RUN) and "b" in copy.steps()
    head.write_bytes(earlier)
    assert there.bring(RUN) and "b" in copy.steps()
    machine("a")
    shared.tell(run, [])
    machine("b")
    assert there.bring(RUN) and "b" in copy.steps()


def test_who_writes_a_head_again_is_no_sign_of_life(machine, tmp_path, monkeypatch):
    told(machine("a"), state="Running")
    there, copy = machine("b"), RunFolder(machine("b")._folder / RUN)
    there.bring(RUN)
    assert copy.is_alive()
    real = shared_runs.time.time
    monkeypatch.setattr("time.time", lambda: real() + 130.0)
    (tmp_path / "shared" / HEAD).write_bytes((tmp_path / "shared" / HEAD).read_bytes())  # now, by the store's clock
    there.bring(RUN)
    assert copy.silent_seconds() >= 130.0 and not copy.is_alive()
    machine("a").tell(RunFolder(machine("a")._folder / RUN), [])
    machine("b")
    there.bring(RUN)
    assert copy.is_alive()


def test_a_clock_that_is_put_back_tells_on(machine, monkeypatch):
    shared = machine("a")
    run = told(shared, state="Running")
    there = machine("b")
    there.bring(RUN)
    machine("a")
    real = shared_runs.time.time
    monkeypatch.setattr("time.time", lambda: real() - 3600.0)
    shared.tell(run, [])
    machine("b")
    heard = RunFolder(there._folder / RUN).heard()["heartbeat"]
    there.bring(RUN)
    assert RunFolder(there._folder / RUN).heard()["heartbeat"] > heard


def test_what_is_said_of_a_run_at_work_is_told_by_it(machine):
    from stepwell.blocks.store.runs.words import Subject, say, words_of

    shared = machine("a" * 16)
    run = RunFolder(shared._folder / RUN)
    run.describe({"id": RUN, "created": 5.0})
    run.append({"at": "t", "status": "Running"})
    teller = Teller(run, shared)
    teller._tell(last=False)
    say(run, {Subject("note"): "look"}, lambda: 1.0)
    shared.words.untold.note(RUN)
    teller._tell(last=False)
    there = machine("b" * 16)
    there.bring(RUN)
    there.words.bring(RUN)
    assert words_of(RunFolder(there._folder / RUN))[Subject("note")].value == "look"
