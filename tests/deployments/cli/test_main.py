"""The command line, as a user's shell starts it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from shells import SOURCE, Shell
from waiting import PATIENCE, eventually

from stepwell.blocks.store import stat_cache
from stepwell.errors import UserErrorException

PIPELINE = """
from stepwell import Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace
ws = Workspace.create({workspace!r}, exist_ok=True)
rate, table, model = PipelineParameter("rate", 10), PipelineData("table"), PipelineData("model")
prepare = PythonScriptStep("prepare.py", arguments=[table], outputs=[table], source_directory={source!r})
train = PythonScriptStep("train.py", arguments=[table, rate, model], inputs=[table], outputs=[model], source_directory={source!r})
pipeline = Pipeline(ws, steps=[train])
"""


@pytest.fixture
def shell(project, monkeypatch, capfd):
    project.script("prepare.py", "open(args[0], 'w').write('t')\nprint('prepared')")
    project.script("train.py", "open(args[2], 'w').write(open(args[0]).read() + args[1])\nprint('trained', args[1])")
    text = PIPELINE.format(workspace=project.workspace.name, source=str(project.source))
    (project.folder / "pipeline.py").write_text(text)
    return Shell(project.folder, project.workspace.name, monkeypatch, capfd)


def test_the_words_of_a_users_first_day(project, shell):
    plan = json.loads(shell.good("plan", "pipeline.py", "--json"))["steps"]
    assert [(step["name"], step["action"]) for step in plan] == [("prepare.py", "run"), ("train.py", "run")]
    assert not project.executions
    text = shell.good("run", "pipeline.py")
    assert "Finished: 2 ran" in text and "no earlier result of this step is known" in text
    changed = json.loads(shell.good("run", "pipeline.py", "-p", "rate=20", "--json"))
    assert [(s["name"], s["happened"], s["why"]) for s in changed["steps"]][1] == (
        "train.py",
        "ran",
        ["parameter rate: 10 → 20"],
    )
    assert changed["status"] == "Finished" and changed["parameters"] == {"rate": "20"}
    shown = shell.good("show", changed["id"][:8])
    assert "prepare.py  reused" in shown and "parameter rate: 10 → 20" in shown
    assert shell.good("logs", changed["id"], "train.py") == "trained 20\n"
    assert shell.good("logs", changed["id"], "prepare.py") == "prepared\n"
    hashes = dict(line.split()[::-1] for line in shell.good("outputs", changed["id"], "--hash").splitlines())
    assert set(hashes) == {"prepare.py/table", "train.py/model"} and all(len(found) == 64 for found in hashes.values())
    assert "Copied 2 files" in shell.good("outputs", changed["id"], "--to", "copies")
    assert (project.folder / "copies" / "train.py" / "model").read_text() == "t20"
    listed = json.loads(shell.good("runs", "--workspace", shell.workspace, "--json"))
    assert len(listed) == 2 and listed[0]["id"] == changed["id"]


def test_the_version_is_told(project, shell):
    assert shell.good("--version") == f"stepwell {version('stepwell')}\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_a_terminal_can_not_show_is_replaced(monkeypatch, encoding):
    from stepwell.deployments.cli import main

    told = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in told.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(main, "command", lambda: lambda: print("l\u00f3g \u2603 \udcff\x80"))
    main.main()
    monkeypatch.setattr(
        main, "command", lambda: lambda: (_ for _ in ()).throw(UserErrorException("\u2603", {}, "Do \udcff."))
    )
    with pytest.raises(SystemExit):
        main.main()
    for stream in told.values():
        stream.flush()
    shown = {name: stream.buffer.getvalue().decode(encoding) for name, stream in told.items()}
    monkeypatch.undo()
    snow = "\u2603" if encoding == "utf-8" else "?"
    assert snow in shown["stdout"] and "?" in shown["stdout"]
    assert shown["stderr"] == f"Error: {snow}\nHint: Do ?.\n"


def test_errors_are_one_message_with_a_hint(project, shell):
    assert "There is no file missing.py" in shell.bad("run", "missing.py")
    assert "no parameter 'rat'" in shell.bad("run", "pipeline.py", "-p", "rat=1")
    assert "must be of type int" in shell.bad("plan", "pipeline.py", "-p", "rate=fast")
    assert "assigns nothing" in shell.bad("plan", "pipeline.py", "-p", "rate")
    assert "There is no run 'nope'" in shell.bad("show", "nope")
    (project.folder / "broken.py").write_text("x = 1\nraise KeyError('oops')\n")
    assert "KeyError: 'oops'" in (said := shell.bad("run", "broken.py")) and "line 2" in said
    (project.source / "train.py").unlink()
    assert "script not found at" in shell.bad("plan", "pipeline.py")
    assert not project.executions


def test_verify_reads_what_a_remembered_digest_hides(project, shell):
    shell.good("run", "pipeline.py")
    script, digests = project.source / "prepare.py", project.workspace.digests
    [before] = project.workspace.store.tree_at(script).entries
    script.write_text(script.read_text() + "# more\n")
    path = os.path.realpath(script)
    digests._save([stat_cache._row(path, os.stat(path), before.digest, time.time_ns())])
    assert "prepare.py  reuse" in shell.good("plan", "pipeline.py")
    assert "prepare.py  run" in shell.good("plan", "pipeline.py", "--verify")
    assert "Finished: 1 ran, 1 reused" in shell.good("run", "pipeline.py", "--verify")


def test_a_run_is_repeated_exactly(project, shell):
    shell.good("run", "pipeline.py", "-p", "rate=20")
    project.script("prepare.py", "raise SystemExit('changed since')")
    run = json.loads(shell.good("runs", "--workspace", shell.workspace, "--json"))[0]["id"]
    said = shell.good("rerun", run[:8], "--exact").splitlines()
    assert said == ["prepare.py  1 output as recorded", "train.py  1 output as recorded"]
    assert project.executions == {"prepare.py": 2, "train.py": 2}
    for path in (project.workspace.store.root / "records").glob("*/*"):
        path.unlink()
    done = shell.here("rerun", run, "--exact", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["steps"][1] == {
        "step": "train.py", "same": False, "differs": [], "not_repeated": ["the record of its result was removed"]
    }  # fmt: skip
    assert "Hint: Pass --exact" in shell.bad("rerun", run)


def test_steps_are_checked_by_running_them_twice(project, shell):
    out = shell.good("check", "pipeline.py", "--twice", "-p", "rate=3")
    assert out.splitlines() == ["prepare.py  1 output the same twice", "train.py  1 output the same twice"]
    project.script("train.py", "import os\nopen(args[2], 'w').write(args[1] + '\\n' + os.urandom(4).hex())")
    (project.folder / "train.py").write_text("raise SystemExit('a step of the run, not a pipeline')")
    shell.good("run", "pipeline.py", "-p", "rate=3")
    run = json.loads(shell.good("runs", "--workspace", shell.workspace, "--json"))[0]["id"]
    done = shell.here("check", "train.py", "--twice", "--run", run)
    assert done.returncode == 1, done.stderr
    assert "Step train.py of run pipeline#1" in done.stderr
    assert done.stdout.startswith("train.py  DIFFERS\n    output 'model', the file: line 2: '")
    assert shell.good("check", "prepare.py", "--twice", "--run", run) == "prepare.py  1 output the same twice\n"
    assert "no step of run" in (said := shell.bad("check", "none.py", "--twice", "--run", run)) and "prepare.py" in said
    assert "Hint: Pass --twice" in shell.bad("check", "pipeline.py")


def test_a_failed_step_fails_the_command_and_shows_why(project, shell):
    project.script("train.py", "raise ValueError('too steep')")
    done = shell.here("run", "pipeline.py")
    assert done.returncode == 1
    assert "ValueError: too steep" in done.stdout and "failed with exit code 1" in done.stdout
    assert "Failed: 1 ran, 1 failed" in done.stdout
    assert "stepwell/flows" not in done.stdout + done.stderr


def test_a_server_that_does_not_answer_is_told_at_once(shell):
    started = time.monotonic()
    said = shell.bad("run", "pipeline.py", PREFECT_API_URL="http://127.0.0.1:1/api", STEPWELL_OWN_API_URL="")
    assert time.monotonic() - started < PATIENCE  # Prefect tries again for minutes
    assert "does not answer" in said and "PREFECT_API_URL" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_run_and_its_steps(project, shell, number):
    pid_file = project.folder / "pid"
    project.script(
        "train.py", f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(900)"
    )
    command = [sys.executable, "-m", "stepwell.deployments.cli", "run", "pipeline.py"]
    process = subprocess.Popen(
        command, cwd=project.folder, env={**os.environ, "PYTHONPATH": str(SOURCE)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    eventually(lambda: pid_file.exists() and pid_file.read_text())
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "Canceled: 1 ran, 1 cancelled" in out
    assert not Path(f"/proc/{pid_file.read_text()}").exists()
    assert "prepare.py  reuse" in shell.good("plan", "pipeline.py")


def test_a_disk_that_fails_anywhere_is_told_in_words(monkeypatch, capsys):
    from stepwell.deployments.cli import main

    def full():
        raise OSError(28, "No space left on device", "/full/file")

    monkeypatch.setattr(main, "command", lambda: full)
    with pytest.raises(SystemExit, match="1"):
        main.main()
    words = capsys.readouterr().err
    assert "/full/file" in words and "No space left" in words and "Hint: Free space" in words and "--debug" not in words


def test_runs_are_pinned_and_collected(project, shell):
    shell.good("run", "pipeline.py")
    assert "2 ran" in shell.good("runs", "-n", "1")
    assert "is pinned" in shell.good("runs", "pin", "last")
    assert "Would remove 0 runs" in shell.good("runs", "gc", "--older-than", "0", "--dry-run")
    assert "no longer pinned" in shell.good("runs", "unpin", "last")
    assert "Removed 0 runs" in shell.good("store", "gc")
    assert "2 ran" in shell.good("runs")


def test_help_has_a_short_name_in_every_command(shell):
    for words in ((), ("run",), ("schedule", "create"), ("compute",)):
        assert shell.good(*words, "-h") == shell.good(*words, "--help")


def test_shells_can_complete_commands():
    asked = {"_STEPWELL_COMPLETE": "complete_bash", "COMP_WORDS": "stepwell sche", "COMP_CWORD": "1"}
    program = Path(sys.executable).with_name("stepwell")
    done = subprocess.run([program], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["schedule"]
