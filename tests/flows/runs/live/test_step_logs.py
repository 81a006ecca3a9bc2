"""The lines of scripts as they come, of steps at work and of those that ended."""

from __future__ import annotations

import sys

import pytest
from waiting import eventually

from stepwell import Experiment, ScriptRunConfig
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.live.step_logs import LOG, StepLogs, follow_step


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def write(run):
    def add(step_run, text):
        path = run.step_folder(step_run) / LOG
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write(text)

    return add


def test_lines_have_their_step_and_the_rest_comes_with_the_steps_end(run, write):
    seen, bars = [], []
    logs = StepLogs(run, lambda *line: seen.append(line), lambda *bar: bars.append(bar))
    logs({"step": "a", "status": "starting"})
    logs({"step": "a", "status": "running", "step_run_id": "1"})
    logs({"step": "b", "status": "running", "step_run_id": "2"})
    logs.look()
    write("1", "one\ntwo")
    write("2", "10%\r")
    logs.look()
    assert (seen, bars) == ([("a", "one")], [("b", "10%")])
    logs({"step": "a", "status": "failed"})
    write("1", "too late\n")
    write("2", "\n")
    logs.look(to_end=True)
    assert seen == [("a", "one"), ("a", "two"), ("b", "10%")] and bars[-1] == ("b", "")


def test_a_thread_looks_while_the_run_is_at_work(run, write):
    seen = []
    logs = StepLogs(run, lambda *line: seen.append(line), lambda *_: None)
    with logs.looking():
        logs({"step": "a", "status": "running", "step_run_id": "1"})
        write("1", "one\n")
        eventually(lambda: seen == [("a", "one")])
        write("1", "two")
    assert seen == [("a", "one"), ("a", "two")]


BODY = """
import os, sys, time
print("it began", flush=True)
while not os.path.exists(args[0]):
    time.sleep(0.01)
print("it goes on", flush=True)
sys.stderr.write("\\r50%\\r100%\\n")
"""


def test_a_run_of_another_process_is_followed_while_it_is_at_work(project, capsys):
    go = project.folder / "go"
    step = project.step("a.py", BODY, arguments=[str(go)], allow_reuse=False)
    run = Experiment(project.workspace, "follow").submit(project.pipeline(step))
    eventually(lambda: run.find_step_run("a.py"))
    found, _ = [], capsys.readouterr()
    for text, is_line in run.find_step_run("a.py")[0].follow_log():
        found += [text] if is_line else []
        if text == "it began":
            go.touch()  # the step can not have ended before
    assert found == ["it began", "it goes on", "100%"]
    assert run.wait_for_completion() == "Finished"
    assert capsys.readouterr().out == "".join(f"a.py | {line}\n" for line in found)
    step = run.find_step_run("a.py")[0]
    assert step.wait_for_completion() == "Finished"
    assert capsys.readouterr().out == step.get_job_log() == "it began\nit goes on\n100%\n"
    assert list(follow_step(run.folder, "no such step")) == []


def test_a_script_that_is_its_own_run_is_shown_as_it_is_and_once(project, capsys):
    project.write("s.py", "print('only line')")
    run = Experiment(project.workspace, "one").submit(ScriptRunConfig(str(project.source), "s.py"))
    capsys.readouterr()
    run.wait_for_completion(show_output=True)
    assert capsys.readouterr().out == "only line\n"
