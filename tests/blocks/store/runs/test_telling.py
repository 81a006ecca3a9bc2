"""A run tells a shared store of itself, in few requests, whatever happens; others make a copy of what it told."""

from __future__ import annotations

import json
import zipfile

import pytest

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import shared_runs, telling
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.blocks.store.runs.telling import Teller, tell_missed
from stepwell.blocks.system.living import NAME
from stepwell.errors import DatastoreException

RUN, STEP = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Returns the runs as a machine sees them, and lets this process be one of it."""

    def be(name):
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / f"home of {name}"))
        monkeypatch.setenv(NAME, name)
        objects = RemoteObjects(f"file://{tmp_path / 'shared'}", pauses=())
        return SharedRuns(objects, tmp_path / name / "store" / "runs")

    return be


def begun(shared):
    run = RunFolder(shared._folder / RUN)
    run.describe({"id": RUN, "number": 1, "created": 5.0, "pipeline": {"name": "digits"}})
    run.append({"at": "t", "status": "Running"})
    return run


def ended(run, step="done"):
    run.append({"at": "t", "step": "a", "status": "starting", "step_run_id": STEP})
    for name, text in {
        "logs/70_driver_log.txt": "said",
        "control/context.json": "private",
        "outputs/m": "kept",
    }.items():
        (run.step_folder(STEP) / name).parent.mkdir(parents=True, exist_ok=True)
        (run.step_folder(STEP) / name).write_text(text)
    run.append({"at": "t", "step": "a", "status": step, "seconds": 1.0})
    run.append({"at": "t", "status": "Finished"})


def test_a_short_run_costs_three_requests_and_what_its_steps_left_two_for_each(machine):
    shared = machine("a")
    run = begun(shared)
    teller = Teller(run, shared)
    teller._tell(last=False)
    run.append({"at": "t", "status": "Finished"})
    teller._tell(last=True)
    assert shared.objects.traffic.requests == 3
    again = machine("a")
    ended(run)
    Teller(run, again)._tell(last=True)
    assert again.objects.traffic.requests == 4, "head, list, log, files"


def test_a_copy_has_what_was_told_and_what_is_asked_for(machine):
    shared = machine("a")
    ended(run := begun(shared))
    Teller(run, shared)._tell(last=True)
    there = machine("b")
    assert there.newest() == [RUN] and there.bring(RUN)
    copy = RunFolder(there._folder / RUN)
    assert (copy.journal(), copy.facts(), copy.machine_name) == (run.journal(), run.facts(), "a")
    assert not copy.step_folder(STEP).exists()
    there.bring_steps(copy)
    assert (copy.step_folder(STEP) / "logs" / "70_driver_log.txt").read_text() == "said"
    assert not (copy.step_folder(STEP) / "control" / "context.json").exists()
    assert not (copy.step_folder(STEP) / "outputs").exists()
    there.bring_step(RUN, STEP, files=True)
    assert (copy.step_folder(STEP) / "outputs" / "m").read_text() == "kept"
    before = there.objects.traffic.requests
    there.bring(RUN), there.bring_steps(copy), there.bring_step(RUN, STEP, files=True)
    assert there.objects.traffic.requests == before, "what has ended is asked for once"


def test_what_many_steps_left_is_asked_for_only_where_something_was_told(machine):
    theirs = machine("a")
    run = begun(theirs)
    ended(run)
    theirs.tell_step(run, STEP)
    ours = machine("b")
    used = RunFolder(ours._folder / STEP)
    used.describe({"id": STEP})
    steps = [STEP, *(f"00000000-0000-4000-8000-{number:012}" for number in range(50, 90))]
    used.append(
        *({"at": "t", "step": one, "status": "reused", "step_run_id": one, "from_run": RUN} for one in steps),
    )
    ours.bring_steps(used)
    assert (ours._folder / RUN / "steps" / STEP / "logs/70_driver_log.txt").read_text() == "said"
    assert ours.objects.traffic.requests <= 10


def test_a_long_journal_goes_in_parts_and_only_new_ones_come(machine, monkeypatch):
    monkeypatch.setattr(shared_runs, "_PART", 100)
    shared = machine("a")
    run, there = begun(shared), machine("b")
    copy, parts = RunFolder(there._folder / RUN), []
    for number in range(6):
        machine("a")
        run.append({"at": "t", "step": f"s{number}", "status": "running", "why": ["x" * 30]})
        parts = shared.tell(run, parts)
        machine("b")
        assert there.bring(RUN) and copy.journal() == run.journal()
    assert len(parts) > 1
    asked = []
    get = there.objects.get
    monkeypatch.setattr(there.objects, "get", lambda name: asked.append(name) or get(name))
    assert there.bring(RUN) and [name for name in asked if "/journal/" in name] == []


def test_what_could_not_be_told_is_told_later(machine, monkeypatch):
    shared = machine("a")
    ended(run := begun(shared))
    put = RemoteObjects.put

    def fails(*_):
        raise DatastoreException("It is away")

    monkeypatch.setattr(RemoteObjects, "put", fails)
    with telling.telling(run, shared):
        pass
    assert "It is away" in run.journal()[-1]["warning"] and run.status()["status"] == "Finished"
    monkeypatch.setattr(RemoteObjects, "put", put)
    tell_missed(shared)
    assert machine("b").newest() == [RUN] and shared.untold_runs() == []


def test_a_machine_that_was_away_too_long_does_not_tell_over_who_goes_on(machine, monkeypatch):
    shared = machine("a")
    run = begun(shared)
    teller = Teller(run, shared)
    teller._tell(last=False)
    there = machine("b")
    there.bring(RUN)
    copy = RunFolder(there._folder / RUN)
    assert there.claim(RUN, "1") and not _claims(machine("c"))
    machine("b")
    copy.take_over()
    there.tell(copy, [])
    machine("a")
    teller._answered -= 1000.0
    teller._tell(last=True)
    assert "goes on with it" in teller._reason
    assert shared.bring(RUN) and run.machine_name == "b", "here it is a copy of that from now on"


def _claims(shared):
    return shared.claim(RUN, "1")


@pytest.mark.parametrize("head", [b"", b"{", b"[]", b'{"format":2}', b'{"format":1,"machine":{},"state":1}'])
def test_a_damaged_head_is_none(head, machine):
    there = machine("b")
    there.objects.put(f"runs/{RUN}/head.json", head)
    assert not there.bring(RUN) and not (there._folder / RUN).exists()


def test_nothing_of_an_archive_stands_elsewhere(machine, tmp_path):
    shared = machine("a")
    ended(run := begun(shared))
    Teller(run, shared)._tell(last=True)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name in ("../up", "/top", "logs/../../up", "elsewhere/x", "logs/good"):
            archive.writestr(name, "x")
    shared.objects.put(f"runs/{RUN}/steps/{STEP}/log.zip", tmp_path / "bad.zip")
    there = machine("b")
    there.bring(RUN)
    there.bring_step(RUN, STEP)
    folder = RunFolder(there._folder / RUN).step_folder(STEP)
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [".log", "logs/good"]
    assert not list(tmp_path.rglob("up")) and json.loads((there._folder / RUN / "run.json").read_text())["number"] == 1
