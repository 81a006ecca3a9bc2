"""Secrets stay out of everything that is written or shown of a run: while it runs, after it was killed, at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from waiting import PATIENCE
from stepwell import Experiment, PipelineData, PipelineParameter

SECRET, PASSWORD, SHORT = "tK9q8W7e6R5t4Z3u2", "sw0rd-fish", "4711"  # noqa: S105
URL = f"postgres://admin:{PASSWORD}@db/x"
LOG = """
import os, time
from stepwell import Run
run, secrets = Run.get_context(), [os.environ[n] for n in ("MY_PLAIN", "AML_PARAMETER_url", "AML_PARAMETER_code")]
for number, text in enumerate([*secrets, os.environ["MY_PLAIN"].upper().lower(), "pw " + secrets[1][17:27]]):
    run.log(f"m{number}", text)
    run.parent.log(f"p{number}", {"deep": [text]})
    run.parent.tag(f"t{number}", text)
    run.tag(f"own {text}", text)
    run.add_properties({f"prop{number}": text})
    print(text, flush=True)
open(args[0], "w").write("done")
"""


@pytest.fixture
def secretive(project, monkeypatch):
    """A pipeline whose step logs its secrets in all ways, and waits at its end for the file `go`."""
    monkeypatch.setenv("MY_PLAIN", SECRET)
    monkeypatch.setenv("MY_SECRET", SECRET)
    url, code = PipelineParameter("url", "", secret=True), PipelineParameter("code", "", secret=True)
    go = project.folder / "go"
    body = LOG + f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    out = PipelineData("out")
    step = project.step("a.py", body, arguments=[out], outputs=[out], params={"u": url, "c": code})
    return project.pipeline(step), {"url": URL, "code": SHORT}, go


def leaks(folder):
    """The files below the folder that hold a secret."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "a.py":
            data = path.read_bytes()
            found += [f"{path.name}: {s}" for s in (SECRET, PASSWORD, f'"{SHORT}"') if s.encode() in data]
    return found


def wait_for(found, process=None):
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nobody_meets_a_secret_while_a_step_runs_or_after_it_was_killed(secretive, project):
    pipeline, values, go = secretive
    run = Experiment(project.workspace, "secretive").submit(
        pipeline, pipeline_parameters=values, tags={"submitted": f"with {SECRET}", "db": URL}
    )
    root = run.folder.path
    try:
        wait_for(lambda: [e for step in run.summary().steps for e in step.events if "4" in e["name"]])
        assert not leaks(root)
        (step,) = run.summary().steps
        assert step.happened == "running"
        metrics = run.get_metrics(recursive=True)
        shown = json.dumps([metrics, run.tags, run.get_details(), next(run.get_steps()).get_metrics()])
        assert not any(secret in shown for secret in (SECRET, PASSWORD, f'"{SHORT}"')) and "***" in shown
        assert metrics["a.py"]["m0"] == metrics["a.py"]["m1"] == metrics["a.py"]["m2"] == "***"
        assert run.tags["submitted"] == "with ***"
        os.kill(run.folder.facts()["pid"], signal.SIGKILL)
        wait_for(lambda: not run.folder.is_alive())
    finally:
        go.touch()
    assert not leaks(root)
    shown = subprocess.run(
        [sys.executable, "-m", "stepwell.deployments.cli", "show", run.id[:12], "--json"],
        env={name: text for name, text in os.environ.items() if not name.startswith("MY_")},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not any(secret in shown for secret in (SECRET, PASSWORD, f'"{SHORT}"')) and "***" in shown


def test_nor_at_the_end(secretive, project):
    pipeline, values, go = secretive
    go.touch()
    summary = project.run(pipeline, **values)
    assert summary.steps[0].happened == "ran"
    folder = project.workspace.store.run_folder(summary.run_id)
    assert not leaks(folder)
    assert not leaks(project.workspace.store.root / "records")
