"""The commands about runs: what they list and find, whatever state a run's files are in."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from functools import partial

import prefect_api
import pytest
from shells import Shell
from typer.testing import CliRunner

from stepwell import Pipeline, PipelineData, Schedule, ScheduleRecurrence, Workspace
from stepwell.blocks.datastores.datastore_files import DatastoreBlock
from stepwell.blocks.server import documents
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.workspace_store import BLOB_STORE, WorkspaceBlock
from stepwell.deployments.cli.main import app
from stepwell.deployments.reports.report import report
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.publishing.removal import remove_workspace


@pytest.fixture
def command(project):
    """Runs a command of the project's workspace, or of another or all."""
    return lambda *words, workspace=project.workspace.name: invoke(*words, workspace=workspace)


def invoke(*words: str, workspace: str):
    """Run a command in this process, and return its result."""
    return CliRunner().invoke(app, [*words, *(["-w", workspace] if workspace else [])])


DAMAGED = {
    "journal.jsonl": [
        b"",
        b"\0" * 50,
        b"[" * 100_000,
        b'{"status":"Canceled"}\n',
        b'{"step":"a.py"}\n{"status":[]}\n',
        b'{"step":"a.py","status":"done","seconds":1' + b"0" * 400 + b"}\n",
        b'{"step":"a.py","status":"reused","saved":NaN}\n{"at":7,"status":"Finished"}\n',
        b'{"at":"\x1b[2J","status":"Run\\u001b[2Jning"}\n',
    ],
    "run.json": [b"{", b'{"created":1e300,"number":1e9}', b'{"created":-5e10}', b'{"pipeline":{"name":[],"steps":7}}'],
}


@pytest.fixture(scope="module")
def two_runs(shared_project):
    pipeline = shared_project.pipeline(shared_project.step("a.py", ""))
    return shared_project.run(pipeline), shared_project.run(pipeline)


@pytest.fixture
def damaged(shared_workspace, two_runs):
    """The folder of a run, whose files are again as they were after the test."""
    folder = shared_workspace.store.run_folder(two_runs[0].run_id)
    kept = {name: (folder / name).read_bytes() for name in DAMAGED}
    yield folder
    for name, content in kept.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_run_costs_no_more_than_its_own_line(name, content, damaged, two_runs, shared_workspace):
    command, (broken, whole) = partial(invoke, workspace=shared_workspace.name), two_runs
    (damaged / name).write_bytes(content)
    listed = command("runs")
    assert listed.exit_code == 0, listed.output
    assert whole.run_id[:8] in listed.stdout
    assert "\x1b" not in listed.stdout
    assert command("runs", "--json").exit_code == 0
    assert command("show", whole.run_id).exit_code == 0
    shown = command("show", broken.run_id)
    assert shown.exit_code == 0, shown.output


def test_what_is_no_file_is_never_waited_for_and_told(project, command):
    pipeline = project.pipeline(project.step("a.py", ""))
    damaged, whole = project.run(pipeline), project.run(pipeline)
    folder = project.workspace.store.run_folder(damaged.run_id)
    (folder / "journal.jsonl").unlink()
    os.mkfifo(folder / "journal.jsonl")
    (folder / "alive.lock").unlink()
    (folder / "alive.lock").mkdir()
    listed = command("runs", "--json")
    assert whole.run_id in [run["id"] for run in json.loads(listed.stdout)]


def test_a_run_has_one_name_everywhere_and_every_command_takes_it(project, command, server):
    pipeline = project.pipeline(
        project.step("a.py", "open(args[0], 'w')", arguments=[out := PipelineData("o")], outputs=[out]), name="digits"
    )
    first = project.run(pipeline)
    again = project.run(pipeline)
    assert [run.label for run in (first, again)] == ["digits#1", "digits#2"]
    assert again.steps[0].why[0].startswith("the same as in digits#1 of ")
    assert prefect_api.get(f"{server}/flow_runs/{again.run_id}").json()["name"] == "digits#2"
    listed = command("runs").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [[again.run_id[:8], "digits#2"], [first.run_id[:8], "digits#1"]]
    for word in ("digits#1", "#1", "1", first.run_id[:8]):
        assert json.loads(command("show", word, "--json").stdout)["name"] == "digits#1"
    for words in (
        ["logs", "#2", "a.py"],
        ["outputs", "#2"],
        ["cancel", "#2"],
        ["runs", "pin", "#2"],
        ["runs", "unpin", "#2"],
    ):
        assert command(*words).exit_code == 0
    assert "digits#2" in command("show", "digits#2").stdout.splitlines()[0]


def test_a_name_that_two_workspaces_have_is_an_error_that_lists_them(project, command, server):
    other = Workspace.create(f"o-{uuid.uuid4().hex[:12]}")
    name = f"twice-{uuid.uuid4().hex[:6]}"
    for workspace in (project.workspace, other):
        Pipeline(workspace, [project.step("a.py", "")], name=name)()
    error = command("show", f"{name}#1", workspace="").exception
    assert isinstance(error, UserErrorException)
    assert {key.rpartition(" ")[2] for key in error.facts} == {project.workspace.name, other.name}
    assert command("show", f"{name}#1", workspace=other.name).exit_code == 0


def no_datastore(name):
    for datastore in Workspace.get(name).datastores:
        documents.delete_named(DatastoreBlock, name, datastore)


def unknown_default(name):
    edit(name, default_datastore="gone")


def no_protocol(name):
    datastore = documents.load_named(DatastoreBlock, name, BLOB_STORE)
    datastore.url = "nowhere-at-all://x"
    documents.save_named(datastore)


def a_file_in_place_of_the_store(name):
    folder = Workspace.get(name).folder
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def edit(name, **facts):
    block = documents.load_named(WorkspaceBlock, name)
    for field, value in facts.items():
        setattr(block, field, value)
    documents.save_named(block)


def unreadable_document(name):
    (document,) = documents._documents_of(WorkspaceBlock, (name,))
    with documents.client() as api:
        api.request("PATCH", f"/block_documents/{document.id}", json={"data": {**document.data, "tags": 7}})


@pytest.mark.parametrize(
    "broken", [no_datastore, unknown_default, no_protocol, a_file_in_place_of_the_store, unreadable_document]
)
def test_a_broken_workspace_costs_no_more_than_its_own_line(broken, project, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = Workspace.create(f"o-{uuid.uuid4().hex[:12]}")
    theirs = Pipeline(other, [project.step("a.py", "")], name="theirs").publish()
    Schedule.create(other, "s", theirs.id, "e", recurrence=ScheduleRecurrence("Day", 1))
    run = project.run(pipeline := project.pipeline(project.step("a.py", ""), name=f"mine-{uuid.uuid4().hex[:6]}"))
    mine = pipeline.publish()
    broken(other.name)
    try:
        for words, expected in (
            (["runs", "-n", "20"], run.run_id[:8]),
            (["show", f"{mine.name}#1"], mine.name),
            (["show", "last"], ""),
            (["pipelines"], mine.id),
            (["schedule", "list"], ""),
            (["schedule", "create", mine.name, "--every", "day"], ""),
            (["workspaces"], project.workspace.name),
            (["store", "size"], str(project.workspace.store.root)),
            (["store", "gc", "--dry-run"], str(project.workspace.store.root)),
            (["runs", "gc", "--dry-run"], str(project.workspace.store.root)),
        ):
            done = command(*words, workspace="")
            assert done.exit_code == 0, (words, done.exception)
            assert expected in done.stdout, (words, done.stdout)
        without_store = broken in (no_datastore, unknown_default, a_file_in_place_of_the_store)
        told = [line for line in command("runs", workspace="").stderr.splitlines() if other.name in line]
        assert len(told) == without_store, told
        checked = command("store", "verify", workspace="").stdout
        assert (f"Damaged: The workspace {other.name} is left out" in checked) == without_store
        if without_store:
            named = command("runs", workspace=other.name)  # it alone is asked for
            assert isinstance(named.exception, (StepwellError, OSError))
    finally:
        remove_workspace(other.name)


def test_trials_of_searches_are_listed_when_asked_for(project, command):
    pipeline = project.pipeline(project.step("a.py", ""))
    run, trial = project.run(pipeline), project.run(pipeline)
    RunFolder(project.workspace.store.run_folder(trial.run_id)).describe({"trial": {"number": 0}})
    assert [line.split()[0] for line in command("runs").stdout.splitlines()] == [run.run_id[:8]]
    assert len(command("runs", "--trials").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "trial",
    [
        {},
        {"hyperparameters": []},
        {"hyperparameters": {}, "number": "x"},
        {"hyperparameters": {"x": {}}, "number": 1, "goal": 3},
    ],
)
def test_a_damaged_trial_is_no_trial(damaged, two_runs, shared_workspace, trial):
    folder, run_id = RunFolder(damaged), two_runs[0].run_id
    folder.describe({"trial": trial})
    folder.append({"step": "a.py", "trial": run_id})
    shown = invoke("show", run_id, workspace=shared_workspace.name)
    assert shown.exit_code == 0, shown.output
    assert ("Trials of a.py" in shown.stdout) == ("goal" in trial)


def test_logs_of_a_run_are_shown_as_they_come_and_again(project, command, monkeypatch, capfd):
    body = "import sys\nprint('one')\nsys.stderr.write('\\r10%\\r20%\\n')\nprint('three')"
    pipeline = project.pipeline(project.step("a.py", body))
    project.run(pipeline)
    followed = command("logs", "last", "a.py", "--follow")
    assert followed.exit_code == 0 and sorted(followed.stdout.splitlines()) == ["20%", "one", "three"]
    assert followed.stdout == command("logs", "last", "a.py").stdout
    (project.folder / "p.py").write_text(
        "from stepwell import Pipeline, PythonScriptStep, Workspace\n"
        f"ws = Workspace.get({project.workspace.name!r})\n"
        f"pipeline = Pipeline(ws, [PythonScriptStep('a.py', source_directory={str(project.source)!r}, allow_reuse=False)])\n"
    )
    shell = Shell(project.folder, project.workspace.name, monkeypatch, capfd)
    done = shell.here("run", "p.py", "--logs", "--json")
    assert json.loads(done.stdout)["status"] == "Finished"
    lines = done.stderr.splitlines()
    assert {"a.py | one", "a.py | 20%", "a.py | three"} <= set(lines) and not any("10%" in line for line in lines)
    assert lines.index("a.py: running (allow_reuse is False)") < lines.index("a.py | one")
    assert lines[-1].startswith("a.py: ran in")


def test_warnings_that_were_told_are_not_reported_again(project):
    script = "open(args[0], 'w')\nopen('undeclared.txt')"
    project.write("undeclared.txt", "")
    out = PipelineData("o")
    summary = project.run(project.pipeline(project.step("a.py", script, arguments=[out], outputs=[out])))
    assert summary.warnings
    folder = RunFolder(project.workspace.store.run_folder(summary.run_id))
    assert "Warning: " in report(folder)
    assert "Warning: " not in report(folder, told=summary.warnings)


def test_logs_need_no_step_of_a_run_that_has_one_and_name_those_of_another(project, command):
    first = project.run(project.pipeline(project.step("a.py", "print('alone')")))
    assert command("logs", first.run_id).stdout == "alone\n"
    two = project.run(project.pipeline(project.step("a.py", "print('alone')"), project.step("b.py", "")))
    refused = command("logs", two.run_id).exception
    assert isinstance(refused, UserErrorException)
    assert "has 2 steps" in refused.title and refused.facts == {"steps": "a.py, b.py"}


def test_a_workspace_without_runs_says_how_to_begin(project, command):
    asked = command("show", "last").exception
    assert isinstance(asked, UserErrorException) and asked.title == "There is no run yet"
    listed = command("runs")
    assert (listed.stdout, listed.exit_code) == ("", 0) and "stepwell run FILE" in listed.stderr
    assert json.loads(command("runs", "--json").stdout) == []
