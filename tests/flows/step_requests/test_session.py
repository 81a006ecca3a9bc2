"""The host's side: what a step may ask, with what, for how long, and which of its answers count."""

from __future__ import annotations

import json
import os
import socket
import uuid
from contextlib import closing, suppress
from pathlib import Path

import pytest
from stepwell import DataReference, Model, Workspace
from stepwell.blocks.processes.step_channel import listening
from stepwell.errors import ComputeTargetException, DatastoreException, StepwellError, UserErrorException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.step_requests import session as session_module
from stepwell.flows.step_requests.asking import Asker
from stepwell.flows.step_requests.looks import asked_again
from stepwell.flows.step_requests.operations import OPERATIONS
from stepwell.model.digests import bytes_digest
from stepwell.model.fingerprint import TOO_MANY, Row
from stepwell.flows.step_requests.session import Session
from stepwell.script import channel
from stepwell.script.frames import read_frame, write_frame


def looked(session):
    return sorted(session.looks(1))


def test_datastores_are_read_and_written_by_their_paths_alone(session, project):
    store = project.workspace.get_default_datastore()
    (store.local_root / "raw").mkdir()
    (store.local_root / "raw" / "a.csv").write_text("1")
    (store.local_root / "rawer.csv").write_text("2")
    assert channel.ask("datastore.get")["name"] == store.name
    assert store.name in channel.ask("datastore.list")["datastores"]
    assert channel.ask("datastore.files", prefix="raw/") == ["raw/a.csv"]
    got = Path(channel.receive("datastore.download", prefix="raw"))
    assert sorted(p.relative_to(got).as_posix() for p in got.rglob("*.csv")) == ["raw/a.csv", "rawer.csv"]
    (project.folder / "made").mkdir()
    (project.folder / "made" / "a.csv").write_text("new")
    done = channel.send("datastore.upload", project.folder / "made", target="raw")
    assert done["uploaded"] == [] and done["skipped"] == ["raw/a.csv"] and "it differs" in done["told"][0]
    done = channel.send("datastore.upload", project.folder / "made" / "a.csv", target="raw", overwrite=True)
    assert done["uploaded"] == ["raw/a.csv"] and (store.local_root / "raw" / "a.csv").read_text() == "new"
    for operation, arguments in (
        ("datastore.files", {"prefix": "../.."}),
        ("datastore.download", {"prefix": ".stepwell/x"}),
        ("datastore.exists", {"path": "/etc/passwd"}),
        ("datastore.get", {"name": "nowhere"}),
    ):
        with pytest.raises(DatastoreException):
            channel.ask(operation, **arguments)
    with pytest.raises(DatastoreException):
        channel.send("datastore.upload", project.folder / "made", target="../out")
    assert not (store.local_root.parent / "out").exists()
    (project.folder / "made" / ".stepwell").mkdir()
    (project.folder / "made" / ".stepwell" / "x").write_text("1")
    (project.folder / "made" / "-first").write_text("1")
    with pytest.raises(DatastoreException):
        channel.send("datastore.upload", project.folder / "made", overwrite=True)
    assert not (store.local_root / "-first").exists(), "all or nothing"


def test_content_that_was_read_through_a_datastore_counts(session, project, context, call):
    store = project.workspace.get_default_datastore()
    (store.local_root / "a.csv").write_text("1")
    channel.receive("datastore.download", prefix="a")
    ((name, value),) = session.looks(1).items()
    assert asked_again(Asker(context, call), name) == value
    (store.local_root / "b.csv").write_text("1")
    assert asked_again(Asker(context, call), name) == value
    (store.local_root / "a.csv").write_text("2")
    assert asked_again(Asker(context, call), name) != value


def test_models_are_found_given_and_changed(session, project):
    path = project.folder / "m.bin"
    path.write_text("one")
    Model.register(project.workspace, path, "m", tags={"a": "1"}, properties={"p": "1"})
    path.write_text("two")
    assert channel.send("model.register", path, name="m", tags={"a": "2"})["version"] == 2
    assert [m["version"] for m in channel.ask("model.find", name="m", all=True)["models"]] == [2, 1]
    assert channel.ask("model.find", name="m", tags=[["a", "1"]])["models"][0]["version"] == 1
    assert channel.ask("model.find", id="m:1")["models"][0]["properties"] == {"p": "1"}
    assert Path(channel.receive("model.files", name="m", version="1")).read_text() == "one"
    assert channel.ask("model.update", name="m", version=1, add_tags={"b": "x"}, remove_tags=["a"])["tags"] == {
        "b": "x"
    }
    with pytest.raises(UserErrorException, match="'p' already"):
        channel.ask("model.update", name="m", version=1, add_properties={"p": "2"})
    channel.ask("model.delete", name="m", version=2)
    assert channel.ask("model.find", name="m")["models"][0]["version"] == 1
    assert all(name.startswith(("model.find", "model.files")) for name in looked(session))


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        ("model.find", {"nam": "m"}, "no argument 'nam'"),
        ("model.find", {"name": ["m"]}, "`name` of model.find must be a text"),
        ("model.find", {"tags": [1]}, "A mark is a name"),
        ("model.files", {}, "needs its argument 'name'"),
        ("model.register", {"name": "m"}, "needs a file or folder"),
        ("datastore.upload", {"asker": None}, "no argument 'asker'"),
        ("run.metrics", {"step": "other"}, "no such step"),
        ("__class__", {}, "no such operation"),
        ("compute.list", {}, "can't manage compute"),
    ],
)
def test_a_wrong_request_is_told_why(session, operation, arguments, words):
    with pytest.raises(StepwellError, match=words):
        channel.ask(operation, **arguments)


def raw(data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[channel.SOCKET])
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 16):
                answer += chunk
        return answer


def test_garbage_is_answered_or_hung_up_on_and_the_next_request_is_served(session):
    for data in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x02[]", b"\xff" * 100, os.urandom(1000)):
        answer = raw(data)
        assert not answer or b"can't read" in answer
    with_no_operation = json.dumps({"token": session.token, "operation": 1, "arguments": []}).encode()
    assert b"no operation" in raw(len(with_no_operation).to_bytes(4, "big") + with_no_operation)
    assert channel.ask("datastore.list")["datastores"]


def test_who_has_not_the_steps_token_is_told_nothing_and_nobody_is_when_it_has_ended(session, monkeypatch):
    monkeypatch.setenv(channel.TOKEN, "0" * 48)
    with pytest.raises(UserErrorException, match="does not know this step"):
        channel.ask("datastore.list")
    monkeypatch.setenv(channel.TOKEN, session.token)
    session.close()
    with pytest.raises(UserErrorException, match="does not know this step"):
        channel.ask("datastore.list")
    assert not looked(session)


def test_a_step_learns_nothing_of_other_runs(session, project):
    summary = project.run(project.pipeline(project.step("other.py", "print('x')")))
    with pytest.raises(StepwellError):
        channel.ask("run.metrics", step=summary.steps[0].step_run_id)
    with pytest.raises(StepwellError):
        channel.ask("run.details", run_id=summary.run_id)
    assert channel.ask("run.children") == {"steps": []}


def test_the_files_of_a_step_that_runs_are_others_than_those_that_it_leaves(session, context, call):
    context.run.append({"step": "one.py", "status": "running", "step_run_id": "1"})
    assert list(Path(channel.receive("run.files", step="one.py")).iterdir()) == []
    ((name, value),) = session.looks(1).items()
    assert asked_again(Asker(context, call), name) == value
    context.run.append({"step": "one.py", "status": "done", "step_run_id": "1"})
    assert asked_again(Asker(context, call), name) != value


def test_a_secret_that_is_asked_with_or_registered_is_in_no_row_and_no_block(session, project, context):
    project.workspace.get_default_keyvault().set_secret("pin", "tulip-4711-mania")
    secret, path = channel.ask("secret.get", name="pin"), project.folder / "w"
    path.write_text("w")
    assert channel.ask("model.find", name=secret)["models"] == []
    names = looked(session)
    assert names[0].startswith("model.find") and not any(secret in name for name in names)
    assert session.looks(1)[names[0]] == "changed while the step ran (1)"
    made = channel.send(
        "model.register", path, name="m", tags={"t": secret}, properties={"p": secret}, description=secret
    )
    assert (made["tags"], made["properties"], made["description"]) == ({"t": "***"}, {"p": "***"}, "***")
    assert channel.ask("model.update", name="m", add_tags={"u": f"a {secret}"})["tags"] == {"t": "***", "u": "a ***"}


def test_a_request_that_is_too_large_is_refused(session):
    with pytest.raises(StepwellError, match="can't read a request"):
        channel.ask("model.find", name="x" * (9 << 20))


def test_every_operation_that_is_no_look_changes_something():
    silent = {name for name, operation in OPERATIONS.items() if not operation.look}
    silent -= {name for name in silent if name.startswith(("trial.", "input."))}  # what the step has made, or declares
    assert {name.partition(".")[2] for name in silent} <= {
        "upload",
        "register",
        "update",
        "delete",
        "cancel",
        "submit_child",
        "child",
        "progress",
    }


def test_the_frames_of_both_sides_are_the_same(session):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_frame(theirs, {"token": session.token, "operation": "datastore.list", "arguments": {}})
        theirs.shutdown(socket.SHUT_WR)
        session.serve(ours, True)
        assert "datastores" in read_frame(theirs)["value"]


def test_who_asks_too_much_to_be_asked_again_is_answered_but_never_served_later(session, monkeypatch):
    monkeypatch.setattr(session_module, "_MOST_LOOKS", 3)
    for number in range(6):
        assert channel.ask("datastore.exists", path=f"x{number}") is False
    values = session.looks(1)
    assert len(values) == 4 and "while the step ran" in values[TOO_MANY]
    assert asked_again(Asker(session._host, session._asker.call), TOO_MANY) != values[TOO_MANY]
    assert "too much" in Row("look", TOO_MANY, "").label


def test_of_the_workspace_counts_what_it_is_and_not_when_it_was_saved_or_where_the_server_is(
    project, context, call, monkeypatch
):
    def value():
        context.workspace = Workspace.get(project.workspace.name)
        return asked_again(Asker(context, call), "workspace.details {}")

    before = value()
    project.workspace.update()
    monkeypatch.setattr("stepwell.blocks.server.documents.ui_url", lambda path="": f"http://elsewhere{path}")
    assert value() == before
    project.workspace.update(description="another")
    assert value() != before


def test_a_step_in_a_container_keeps_its_runs_in_there(session, project, context, monkeypatch):
    monkeypatch.setattr(type(context.compute("local")), "uses_images", True)
    (project.folder / "child").mkdir()
    for target in ("docker", "LocalCompute(max_concurrent=2)"):
        with pytest.raises(ComputeTargetException, match="in a container"):
            channel.send("run.submit_child", project.folder / "child", command="true", target=target)


def test_a_step_tells_how_far_it_is_and_its_result_does_not_depend_on_that(session, context):
    channel.ask("run.progress", words="3 of 5 files\n")
    (event,) = [event for event in context.run.journal() if "progress" in event]
    assert event["progress"] == "3 of 5 files\\n"
    assert looked(session) == []


def test_a_step_gets_the_digests_of_an_inputs_files_and_its_result_does_not_depend_on_that(
    project, context, tmp_path, monkeypatch
):
    store = project.workspace.get_default_datastore()
    (store.local_root / "raw").mkdir()
    (store.local_root / "raw" / "a.csv").write_text("1")
    data = DataReference(store, "raw", path_on_datastore="raw")
    step = project.pipeline(project.step("s.py", "pass", inputs=[data])).definition.steps[0]
    made, place = Session(context, context.call(step, {}, {}), "step-run"), tmp_path / "other" / "channel"
    place.parent.mkdir()
    monkeypatch.setenv(channel.SOCKET, str(place))
    monkeypatch.setenv(channel.TOKEN, made.token)
    with listening(made.serve, place, same_files=False), closing(made):
        told = Path(channel.receive("input.files", name="raw")).read_text()
        (entry,) = json.loads(told)
        assert json.loads(told.splitlines()[1]) == entry
        with pytest.raises(UserErrorException, match="Nothing is known of the files of an input 'other'"):
            channel.receive("input.files", name="other")
        assert entry[:4] == ["a.csv", "file", bytes_digest(b"1"), 1]
        assert looked(made) == []


def test_a_script_makes_no_trials_of_itself(session):
    for operation, arguments in {
        "trial.slots": {}, "trial.look": {}, "trial.metrics": {}, "trial.submit": {"arguments": [], "about": {}},
        "trial.cancel": {"id": "x", "why": "y"}, "trial.files": {"id": "x", "name": "y"}, "trial.output": {"id": "x", "name": "y"},
    }.items():  # fmt: skip
        with pytest.raises(UserErrorException, match="A script makes no trials of itself"):
            channel.ask(operation, **arguments)
    assert looked(session) == []
