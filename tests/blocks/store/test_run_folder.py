"""A run's folder: a journal that survives cuts, and a mark of life that dies with its process."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.blocks.store import run_folder
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system import living
from stepwell.flows.runs.summary import summarize


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "the-id")


def journal(run: RunFolder) -> Path:
    return run.path / "journal.jsonl"


def test_a_run_that_is_not_there_is_empty_and_dead(run: RunFolder) -> None:
    assert (run.run_id, run.facts(), run.journal(), run.steps(), run.status()) == ("the-id", {}, [], {}, {})
    assert not run.is_alive()
    assert not run.path.exists()


def test_facts_are_added_to_what_is_known(run: RunFolder) -> None:
    run.describe({"name": "one", "tags": {"a": "b"}})
    run.describe({"name": "two", "pid": 3})
    assert run.facts() == {"name": "two", "tags": {"a": "b"}, "pid": 3}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_damaged_facts_are_none(content: bytes, run: RunFolder) -> None:
    run.describe({"name": "one"})
    (run.path / "run.json").write_bytes(content)
    assert run.facts() == {}
    run.describe({"name": "two"})
    assert run.facts() == {"name": "two"}


def test_the_latest_state_of_each_step_and_of_the_run_is_known(run: RunFolder) -> None:
    events = [
        {"state": "Running"},
        {"step": "b", "state": "Pending"},
        {"step": "a", "state": "Running", "why": ["new"]},
        {"step": "b", "state": "Done"},
        {"state": "Completed", "seconds": 2},
    ]
    for event in events:
        run.append(event)
    assert run.journal() == events
    assert run.steps() == {
        "b": {"step": "b", "state": "Done"},
        "a": {"step": "a", "state": "Running", "why": ["new"]},
    }
    assert list(run.steps()) == ["b", "a"]
    assert run.status() == {"state": "Completed", "seconds": 2}


NAMES = st.text().filter(lambda name: name not in run_folder._EVENT_TYPES)  # Hypothesis knows the words of the code


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.dictionaries(NAMES, strategies.json_values, max_size=3), max_size=5))
def test_any_event_is_read_as_it_was_written(events: list[dict[str, object]], run: RunFolder) -> None:
    journal(run).unlink(missing_ok=True)
    for event in events:
        run.append(event)
    assert run.journal() == events


def test_a_journal_cut_off_anywhere_loses_only_its_last_event_and_goes_on(run: RunFolder) -> None:
    run.append({"state": "one"})
    kept = journal(run).read_bytes()
    run.append({"state": "two"})
    whole = journal(run).read_bytes()
    for length in range(len(kept), len(whole)):
        journal(run).write_bytes(whole[:length])
        run.append({"state": "three"})
        states = [event["state"] for event in run.journal()]
        assert states in (["one", "three"], ["one", "two", "three"])


@pytest.mark.parametrize("line", [b"{", b"7", b"\xff", b"[]", b"[" * 100_000, b""])
def test_a_damaged_line_is_left_out(line: bytes, run: RunFolder) -> None:
    run.append({"state": "one"})
    with open(journal(run), "ab") as file:
        file.write(line + b"\n")
    run.append({"state": "two"})
    assert [event["state"] for event in run.journal()] == ["one", "two"]


def test_events_written_at_once_are_all_kept_whole(run: RunFolder) -> None:
    def write(writer: int) -> None:
        for number in range(50):
            run.append({"writer": writer, "number": number, "padding": "x" * 3000})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    events = run.journal()
    assert len(events) == 400
    for writer in range(8):
        assert [event["number"] for event in events if event["writer"] == writer] == list(range(50))


def test_a_run_lives_while_it_is_marked(run: RunFolder) -> None:
    with run.alive():
        assert run.is_alive()
        assert RunFolder(run.path).is_alive()
    assert not run.is_alive()


def test_many_who_ask_at_once_do_not_make_a_dead_run_look_alive(run: RunFolder) -> None:
    with run.alive():
        pass
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: run.is_alive(), range(2000)))


def test_a_killed_process_takes_its_mark_of_life_along(run: RunFolder) -> None:
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        with run.alive():
            os.write(begun, b"x")
            signal.pause()
    os.read(ready, 1)
    assert run.is_alive()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not run.is_alive()


def test_each_step_has_a_folder(run: RunFolder) -> None:
    assert run.step_folder("7") == run.path / "steps" / "7"


def test_facts_are_readable_json(run: RunFolder) -> None:
    run.describe({"name": "é"})
    assert json.loads((run.path / "run.json").read_text()) == {"name": "é"}


GARBAGE = [
    *({"step": ["x"]}, {"step": {}}, {"step": None}, {"status": 5}, {"at": 1}, {"seconds": "long"}, {"seconds": True}),
    *({"saved": []}, {"why": "text"}, {"why": [1]}, {"upstream": {}}, {"ran_on": []}, {"ran_on": {"a": 1}}),
    *({"warning": {}}, {"error": 1}, {"problem": None}, {"key": 1}, {"step_run_id": "../../x"}, {"from_run": ".."}),
    *({"step_run_id": 7},),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
def test_what_is_no_event_is_left_out(garbage: dict, run: RunFolder) -> None:
    run.append({"at": "2026", "status": "Running"})
    run.append({"step": "a", "status": "done", **garbage})
    run.append({"step": "b", "status": "done"})
    assert [event.get("step") for event in run.journal()] == [None, "b"]
    assert summarize(run).steps[0].id == "b"


@pytest.mark.parametrize(
    "garbage",
    [{"created": "now"}, {"number": "1"}, {"number": True}, {"pipeline": []}, {"tags": "x"}, {"parameters": 1}],
)
def test_facts_of_a_wrong_type_are_left_out(garbage: dict, run: RunFolder) -> None:
    run.describe({"name": "one"})
    (run.path / "run.json").write_text(json.dumps({"name": "one", **garbage}))
    assert run.facts() == {"name": "one"}
    assert summarize(run).pipeline == "one"


def test_a_journal_whose_events_have_no_time_can_be_shown(run: RunFolder) -> None:
    run.append({"status": "Canceled"})
    assert (summarize(run).status, summarize(run).started, summarize(run).ended) == ("Canceled", "", "")


def test_the_name_of_a_run_is_read_once_however_often_it_is_asked_for_and_anew_when_it_changed(tmp_path, monkeypatch):
    run, reads = RunFolder(tmp_path / "run"), []
    read = run_folder.read_bytes
    monkeypatch.setattr(run_folder, "read_bytes", lambda path: reads.append(path) or read(path))
    assert (run.label, run.runs) == ("run", "")
    run.describe({"number": 7, "pipeline": {"name": "digits"}})
    del reads[:]
    assert {(RunFolder(run.path).label, RunFolder(run.path).runs) for _ in range(50)} == {("digits#7", "digits")}
    assert len(reads) == 1
    run.describe({"number": 12})
    assert run.label == "digits#12"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file system take locks along."""
    monkeypatch.setattr(living, "locks_travel", lambda _: False)
    monkeypatch.setattr(run_folder, "locks_travel", lambda _: False)


def from_elsewhere(path: Path) -> None:
    """Let the lock file be that of a machine whose locks can't be seen."""
    path.write_text(json.dumps({"id": "1" * 16, "kernel": "2" * 16, "name": "anne@far"}))


def test_a_free_lock_of_another_machine_proves_nothing_until_it_is_silent(tmp_path: Path, network: None) -> None:
    run = RunFolder(tmp_path / "run")
    with run.alive():
        assert run.machine == living.machine()
    assert not run.is_alive()  # of this machine: it does prove that
    from_elsewhere(run.path / "alive.lock")
    run.append({"status": "Running"})
    assert run.is_alive()
    long_ago = time.time() - 3600
    os.utime(run.path / "alive.lock", (long_ago, long_ago))
    assert run.is_alive()  # its heart beat since
    os.utime(run.path / "heartbeat", (long_ago, long_ago))
    assert not run.is_alive()
    (run.path / "heartbeat").touch()
    run.append({"status": "Finished"})
    assert not run.is_alive()


def test_where_locks_are_seen_a_free_one_is_proof_enough(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.alive():
        assert run.is_alive()
        assert not (run.path / "heartbeat").exists()
    from_elsewhere(run.path / "alive.lock")
    assert not run.is_alive()


def test_what_a_journal_has_got_is_understood_once_and_each_reader_has_events_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, understood = RunFolder(tmp_path / "run"), list[object]()
    monkeypatch.setattr(run_folder, "_is_event", lambda event: understood.append(event) or True)
    run.append({"step": "a", "status": "running"})
    run.journal()[0]["status"] = "changed by who read it"
    assert RunFolder(run.path).journal() == [{"step": "a", "status": "running"}] and len(understood) == 1
    run.append({"step": "a", "status": "done"})
    assert [event["status"] for event in run.journal()] == ["running", "done"] and len(
        understood
    ) == 2  # what is new alone
    (run.path / "journal.jsonl").unlink()
    assert run.journal() == []


def test_many_events_are_appended_together_and_what_is_new_is_read_after_what_was(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.append({"step": "a", "status": "waiting"}, {"step": "b", "status": "waiting"})
    assert [event["step"] for event in run.journal()] == ["a", "b"]
    run.append()
    with open(run.path / "journal.jsonl", "ab") as journal:
        journal.write(b'{"step": "cut')
    assert [event["step"] for event in run.journal()] == ["a", "b"]
    run.append({"step": "c"})
    assert [event["step"] for event in run.journal()] == ["a", "b", "c"]
    (run.path / "journal.jsonl").write_text('{"step": "z"}\n')
    assert [event["step"] for event in run.journal()] == ["z"]
