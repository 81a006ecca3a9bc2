"""Tags, notes and pins travel: put on a run from any machine, seen on every one, and heeded by the tidying of its own."""

from __future__ import annotations

import json
import os
import threading

import pytest
from two_homes import machine, shared
from typer.testing import CliRunner

from stepwell import PipelineData, Workspace
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.cli.main import app
from stepwell.deployments.lookup.runs import find_run
from stepwell.errors import DatastoreException
from stepwell.flows.runs.elsewhere import saying

SCRIPT = "from stepwell import Run\nRun.get_context().parent.tag('stage', 'script')\nopen(args[0], 'w').write('made')\n"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(saying, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def run(shared):
    out = PipelineData("told")
    step = shared.step("say.py", SCRIPT, arguments=[out], outputs=[out])
    return shared.run(shared.pipeline(step, name="digits"))


def command(workspace, *words):
    found = CliRunner().invoke(app, [*words, "-w", workspace.name])
    assert found.exit_code == 0, found.output
    return found.output


def test_what_is_said_on_one_machine_is_seen_on_the_other_in_every_view(run, shared, machine):
    name = shared.workspace.name
    command(shared.workspace, "tag", run.run_id, "best", "stage=chosen")
    command(shared.workspace, "note", run.run_id, "shown to the team")
    machine("you@there")
    there = Workspace.get(name)
    shown = command(there, "show", run.run_id)
    assert "best" in shown and "stage=chosen" in shown and "Note: shown to the team" in shown
    assert [one["id"] for one in json.loads(command(there, "runs", "--json", "--tag", "stage=chosen"))] == [run.run_id]
    assert "chosen" in command(there, "compare", run.run_id, "--json")
    warned = command(there, "tag", run.run_id, "checked=by you", "--remove", "best")
    assert "alone" not in warned
    command(there, "note", run.run_id, "")
    find_run(run.run_id, name).get_steps().__next__().tag("slow")
    machine("me@here")
    found = find_run(run.run_id, name)
    assert found.get_tags() == {"stage": "chosen", "checked": "by you"}
    assert found.description is None
    assert found.find_step_run("say.py")[0].get_tags() == {"slow": None}
    machine("you@there")
    find_run(run.run_id, name).update(display_name="The one", description="x", tags={"y": 1})
    machine("me@here")
    assert (found.display_name, found.description, found.tags["y"]) == ("The one", "x", "1")


def test_a_run_of_this_machine_is_shown_with_what_others_said_and_nobody_is_asked_where_there_are_none(
    run, shared, machine
):
    traffic = shared.workspace.shared_runs.objects.traffic
    before = traffic.requests
    saying.hear_now(shared.workspace, RunFolder(shared.workspace.store.run_folder(run.run_id)))
    assert traffic.requests == before, "the workspace knows no other home"
    machine("you@there")
    command(Workspace.get(shared.workspace.name), "tag", run.run_id, "best")
    machine("me@here")
    assert "Tags: stage=script, best" in command(shared.workspace, "show", run.run_id)


def test_what_is_added_on_any_machine_after_the_end_is_seen_on_all(run, shared, machine, monkeypatch, tmp_path):
    monkeypatch.setattr(saying, "_GATHERED_SECONDS", 0.0)
    name = shared.workspace.name
    (tmp_path / "plot.txt").write_text("seen")
    machine("you@there")
    there = find_run(run.run_id, name)
    there.log("judged", 0.5)
    there.upload_file("plots/plot.txt", tmp_path / "plot.txt")
    there.find_step_run("say.py")[0].log("drift", 0.25)
    all_is_told()
    machine("me@here")
    here = find_run(run.run_id, name)
    assert here.get_metrics(recursive=True) == {"judged": 0.5, "say.py": {"drift": 0.25}}
    assert here.get_file_names() == ["plots/plot.txt"]
    here.download_file("plots/plot.txt", tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "seen"
    assert here.find_step_run("say.py")[0].get_metrics() == {"drift": 0.25}
    here.log("judged", 0.75)
    all_is_told()
    machine("you@there")
    assert find_run(run.run_id, name).get_metrics("judged") == {"judged": [0.5, 0.75]}
    assert "drift" in command(Workspace.get(name), "show", run.run_id, "--json")


def test_what_is_added_while_the_datastore_is_away_is_added_later(run, shared, machine, monkeypatch):
    monkeypatch.setattr(saying, "_GATHERED_SECONDS", 0.0)
    with monkeypatch.context() as away:
        away.setattr(RemoteObjects, "put", _fails)
        find_run(run.run_id, shared.workspace.name).log("judged", 0.5)
        all_is_told()
    command(shared.workspace, "runs")
    machine("you@there")
    assert find_run(run.run_id, shared.workspace.name).get_metrics() == {"judged": 0.5}


def all_is_told():
    for thread in threading.enumerate():
        if thread.name == "stepwell-adding":
            thread.join()


def test_a_pin_of_any_machine_keeps_a_run(run, shared, machine):
    name, folder = shared.workspace.name, RunFolder(shared.workspace.store.run_folder(run.run_id))
    for file in folder.path.glob("*.json*"):
        os.utime(file, (1e9, 1e9))
    machine("you@there")
    command(Workspace.get(name), "runs", "pin", run.run_id)
    machine("me@here")
    assert "Removed 0 runs" in command(shared.workspace, "runs", "gc", "--older-than", "1")
    refused = CliRunner().invoke(app, ["runs", "delete", run.run_id, "-w", name])
    assert refused.exit_code and "is pinned" in refused.output + str(refused.exception)
    machine("you@there")
    command(Workspace.get(name), "runs", "unpin", run.run_id)
    machine("me@here")
    assert "Removed 1 runs" in command(shared.workspace, "runs", "gc", "--older-than", "1")


def test_no_run_is_collected_while_pins_of_others_can_t_be_read(run, shared, monkeypatch):
    monkeypatch.setattr(shared.workspace.shared_runs.words, "bring", _fails)
    monkeypatch.setattr("stepwell.deployments.lookup.workspaces.find_stores", lambda _: [shared.workspace])
    found = CliRunner().invoke(app, ["runs", "gc", "--older-than", "0", "-w", shared.workspace.name])
    assert "Removed" not in found.output and found.exit_code


def test_what_is_said_while_the_datastore_is_away_is_told_later(run, shared, machine, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(shared.workspace.shared_runs.words, "tell", _fails)
        with pytest.warns(UserWarning, match="on this machine alone: away. It is told once"):
            find_run(run.run_id, shared.workspace.name)  # a command of its own
            saying.say(
                shared.workspace,
                RunFolder(shared.workspace.store.run_folder(run.run_id)),
                {saying.words.Subject("note"): "n"},
            )
    command(shared.workspace, "runs")
    machine("you@there")
    assert "Note: n" in command(Workspace.get(shared.workspace.name), "show", run.run_id)


def test_all_of_it_is_said_or_nothing(run, shared):
    found = find_run(run.run_id, shared.workspace.name)
    with pytest.raises(ValueError, match="stop"), found._words.together():
        found.tag("half")
        raise ValueError("stop")
    assert found.get_tags() == {"stage": "script"}


def test_a_machine_that_only_reads_says_so(run, shared, machine, monkeypatch):
    machine("you@there")
    monkeypatch.setenv("STEPWELL_SHARED", "read")
    assert "on this machine alone" in command(Workspace.get(shared.workspace.name), "tag", run.run_id, "mine")
    assert "mine" in command(Workspace.get(shared.workspace.name), "show", run.run_id)


def _fails(*_):
    raise DatastoreException("It fails", {"reason": "away"})
