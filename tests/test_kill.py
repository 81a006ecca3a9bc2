"""Power cuts, as near as a test can come: kill -9 at random moments, and two processes at once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest
from forked import Forked
from waiting import PATIENCE

ROUNDS = int(os.environ.get("STEPWELL_KILL_ROUNDS", "8"))
RUN = """
from stepwell import Pipeline, PipelineData, PythonScriptStep, Workspace
ws, before, steps = Workspace.get(args[0]), None, []
for i in range(5):
    out = PipelineData(f"out{i}")
    inputs = [before] if before else []
    steps.append(PythonScriptStep("work.py", f"s{i}", [i, *inputs, out], inputs=inputs, outputs=[out], source_directory=args[1]))
    before = out if i % 2 else before
pipeline = Pipeline(ws, steps)
tell("ready")
hear()
tell([(name, *(artifact.digest for artifact in result.values())) for name, result in sorted(pipeline().items())])
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
        process = Forked(RUN, workspace, str(project.source))
        assert process.hear() == "ready"
        return process

    return start


def finish(process):
    process.tell("go")
    told = process.hear()
    process.join()
    return told


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
        process.tell("go")
        time.sleep(randomly.uniform(0.02, max(0.3, takes * 0.6)))
        process.kill()
    kept = len(list((victim.store.root / "records").glob("*/*.json")))
    finished = sum(project.finished().values())
    assert finish(start(victim.name)) == expected
    assert sum(project.finished().values()) - finished == 5 - kept
    before = project.finished()
    assert finish(start(victim.name)) == expected and project.finished() == before


def test_two_processes_at_once_run_each_step_once(project, start):
    both = [start(project.workspace.name) for _ in range(2)]
    for process in both:
        process.tell("go")
    first, second = (process.hear() for process in both)
    for process in both:
        process.join()
    assert first == second and len(first) == 5
    assert project.executions == {"work.py": 5}
