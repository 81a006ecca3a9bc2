"""Two machines, as far as processes can be kept apart here: what runs on one is seen, read, cancelled and buried from the other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from two_homes import machine
from waiting import eventually

from stepwell import Datastore
from stepwell.blocks.store.runs import shared_runs
from stepwell.deployments.serve.runs.lost_runs import LostRuns
from stepwell.deployments.serve.runs.orphaned_runs import OrphanedRuns
from stepwell.flows.public.pipeline_run import all_runs

PIPELINE = """
from stepwell import Pipeline, PythonScriptStep, Workspace
pipeline = Pipeline(Workspace.get({name!r}), [PythonScriptStep("wait.py", source_directory={source!r})], name="digits")
"""
SCRIPT = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


@contextmanager
def at_work_there(project, server, folder):
    """Run the pipeline on another machine: in a home, and where root can, with mounts and a name of its own."""
    apart = ["unshare", "--mount", "--uts", "--ipc"]
    possible = shutil.which("unshare") and subprocess.run([*apart, "true"], capture_output=True).returncode == 0
    (folder / "pipeline.py").write_text(PIPELINE.format(name=project.workspace.name, source=str(project.source)))
    variables = {"STEPWELL_HOME": str(folder / "there"), "STEPWELL_MACHINE": "you@there", "PREFECT_API_URL": server}
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("STEPWELL_OWN_")}
    command = [*(apart if possible else []), sys.executable, "-m", "stepwell.deployments.cli", "run", "pipeline.py"]
    log = folder / "there.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, start_new_session=True, stdout=output, stderr=output,
            env={**inherited, **variables, "PREFECT_LOGGING_LEVEL": "INFO", "STEPWELL_RESIDENT": "0"},
        )  # fmt: skip
    try:
        yield process
    except AssertionError:
        print(log.read_text())
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def working(workspace):
    """Return the run once its step is at work, and says so."""
    run = eventually(lambda: next(all_runs(workspace), None))
    eventually(lambda: [step.get_status() for step in run.get_steps()] == ["Running"])
    return run


@pytest.fixture
def shared(project, machine, tmp_path):
    project.write("wait.py", SCRIPT)
    url = f"file://{tmp_path / 'shared'}"
    Datastore.register(project.workspace, "shared", url, shared=True).set_as_default()
    return project


def test_a_run_at_work_is_seen_read_and_cancelled_from_another_machine(shared, server, tmp_path):
    with at_work_there(shared, server, tmp_path) as process:
        run = working(shared.workspace)
        assert (run.get_status(), run.folder.machine_name) == ("Running", "you@there")
        (step,) = run.get_steps()
        eventually(lambda: "begun" in step.get_job_log())
        run.cancel()
        process.wait()
    assert run.wait_for_completion(show_output=False) == "Canceled"


def test_the_run_of_a_machine_that_died_ends(shared, server, tmp_path, monkeypatch):
    with at_work_there(shared, server, tmp_path) as process:
        run = working(shared.workspace)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run.get_status() == "Running", "it may still be heard of"
    clock = shared_runs.RemoteObjects.now
    monkeypatch.setattr(shared_runs.RemoteObjects, "now", lambda objects: clock(objects) + 130.0)
    LostRuns(OrphanedRuns(lambda _: None)).settle()
    assert run.get_status() == "Failed"
    assert [step.get_status() for step in run.get_steps()] == ["Failed"]
    assert "you@there was not heard of" in run.summary().problem
