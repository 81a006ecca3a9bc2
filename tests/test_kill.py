"""Power cuts, as near as a test can come: kill -9 at random moments, and two processes at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from waiting import PATIENCE

SOURCE = Path(__file__).resolve().parents[1] / "src"
ROUNDS = int(os.environ.get("STEPWELL_KILL_ROUNDS", "8"))
RUN = """
import sys
from stepwell import Pipeline, PipelineData, PythonScriptStep, Workspace
ws, before, steps = Workspace.get(sys.argv[1]), None, []
for i in range(5):
    out = PipelineData(f"out{i}")
    inputs = [before] if before else []
    steps.append(PythonScriptStep("work.py", f"s{i}", [i, *inputs, out], inputs=inputs, outputs=[out], source_directory=sys.argv[2]))
    before = out if i % 2 else before
pipeline = Pipeline(ws, steps)
print("ready", flush=True)
sys.stdin.readline()
for name, result in sorted(pipeline().items()):
    print(name, *(artifact.digest for artifact in result.values()))
"""
WORK = """
import os, time
os.mkdir(args[-1])
for i in range(20):
    open(f'{args[-1]}/{i}', 'w').write('|'.join(map(str, (args[0], i, len(args)))))
    time.sleep(0.002)
open(LOG, 'a').write(args[0] + '\\n')
"""


@pytest.fixture
def start(project):
    """Starts a process that is about to run the pipeline in the workspace of that name."""
    log = project.folder / "finished"
    project.script("work.py", WORK.replace("LOG", repr(str(log))))
    project.finished = lambda: Counter(log.read_text().split()) if log.exists() else Counter()

    def start(workspace):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, workspace, str(project.source)], env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "ready\n", process.communicate()[1]
        return process

    return start


def finish(process):
    out, err = process.communicate("go\n", timeout=PATIENCE)
    assert process.returncode == 0, err
    return out


@pytest.mark.timeout(PATIENCE * (ROUNDS + 4))
def test_after_a_kill_at_any_moment_a_run_to_the_end_gives_the_same_bytes(project, start, server):
    from stepwell import Workspace

    began = time.monotonic()
    expected = finish(start(project.workspace.name))
    takes = time.monotonic() - began
    victim = Workspace.create(f"{project.workspace.name}-k")
    randomly = random.Random(7)
    for _ in range(ROUNDS):
        process = start(victim.name)
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(randomly.uniform(0.02, max(0.3, takes * 0.6)))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    kept = len(list((victim.store.root / "records").glob("*/*.json")))
    finished = sum(project.finished().values())
    assert finish(start(victim.name)) == expected
    assert sum(project.finished().values()) - finished == 5 - kept
    before = project.finished()
    assert finish(start(victim.name)) == expected and project.finished() == before


def test_two_processes_at_once_run_each_step_once(project, start):
    both = [start(project.workspace.name) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    first, second = (process.communicate(timeout=PATIENCE) for process in both)
    assert [process.returncode for process in both] == [0, 0], (first[1], second[1])
    assert first[0] == second[0] and first[0].count("\n") == 5
    assert project.executions == {"work.py": 5}
