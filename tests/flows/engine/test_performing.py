"""Steps that wait for a place: prepared while others are at work, and as if they had not been when their turn comes, or never."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from waiting import PATIENCE, eventually

from stepwell import LocalCompute, PipelineData
from stepwell.blocks.compute.job import Job
from stepwell.flows.engine import execution, performing, tasks
from stepwell.model.definitions import EnvironmentDefinition


def meet(project, then):
    """Return a script that waits until another working directory is there than its own, then does what is asked."""
    look = f"glob.glob({str(project.workspace.store.root / 'work')!r} + '/*/source/logs')"
    return f"import glob, time\nwhile len({look}) < 2:\n    time.sleep(0.01)\n{then}"


@pytest.fixture
def narrow(project):
    """Return what names a compute target with one place."""
    LocalCompute(max_concurrent=1).attach_to(project.workspace, "narrow")
    return {"compute_target": "narrow"}


def test_what_waits_is_prepared_and_sees_the_world_as_it_is_in_its_turn(project, narrow):
    told, out = project.folder / "told", PipelineData("out")
    first = meet(project, f"open({str(told)!r}, 'w').write('of the first')\ntime.sleep(0.2)")
    second = f"open(args[0], 'w').write(open({str(told)!r}).read())"
    steps = [
        project.step("a.py", first, timeout_seconds=PATIENCE, **narrow),
        project.step("b.py", second, arguments=[out], outputs=[out], **narrow),
    ]
    pipeline = project.pipeline(*steps)
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "ran"}
    result = pipeline()  # what it read was no change while it ran: that would have it run again
    assert project.executions == {"a.py": 1, "b.py": 1}
    assert project.workspace.store.tree_path(result["b.py"]["out"].digest).read_text() == "of the first"


def test_what_was_prepared_and_never_had_its_turn_leaves_nothing(project, narrow):
    failing = project.step("a.py", meet(project, "sys.exit(1)"), timeout_seconds=PATIENCE, **narrow)
    steps = [failing, project.step("b.py", "", **narrow)]
    summary = project.run(project.pipeline(*steps))
    assert {step.id: step.happened for step in summary.steps} == {"a.py": "failed", "b.py": "cancelled"}
    store = project.workspace.store
    eventually(lambda: not list((store.root / "work").iterdir()))
    recorded = store.run_folder(summary.run_id) / "steps"
    eventually(lambda: len(list(recorded.iterdir())) == 1)


def test_a_step_whose_preparation_fails_is_prepared_again_in_its_turn(project, narrow, monkeypatch):
    tried, prepare = project.folder / "tried", LocalCompute.prepare

    def full(self, job):
        prepare(self, job).close()
        tried.touch()
        raise OSError("No space left on device")

    monkeypatch.setattr(LocalCompute, "prepare", full)
    wait = f"import os, time\nwhile not os.path.exists({str(tried)!r}):\n    time.sleep(0.01)"
    steps = [project.step("a.py", wait, timeout_seconds=PATIENCE, **narrow), project.step("b.py", "", **narrow)]
    assert project.happened(project.pipeline(*steps)) == {"a.py": "ran", "b.py": "ran"}


@pytest.mark.parametrize("kind", ["copied", "elsewhere", "stale"])
def test_what_costs_more_or_was_prepared_long_ago_is_made_in_the_steps_turn(project, narrow, monkeypatch, kind):
    data = project.workspace.get_default_datastore()
    (data.local_root / "raw.txt").write_text("raw")
    raw, out = data.path("raw.txt", "raw"), PipelineData("out")
    tried, ready = project.folder / "tried", []

    def prepare_ahead(context, call, step_run_id):
        prepared = execution.prepare_ahead(context, call, step_run_id)
        ready.append(prepared and prepared.job.ready)
        tried.touch()
        return prepared

    monkeypatch.setattr(performing, "prepare_ahead", prepare_ahead)
    monkeypatch.setattr(performing, "_FRESH_SECONDS", 0.0 if kind == "stale" else PATIENCE)
    if kind == "elsewhere":
        monkeypatch.setattr(execution.RunContext, "at_hand", lambda _, call: call.definition.id != "b.py")
    wait = f"import os, time\nwhile not os.path.exists({str(tried)!r}):\n    time.sleep(0.01)"
    copy = "open(args[1], 'w').write(open(args[0]).read())"
    given = raw.as_download() if kind == "copied" else raw
    steps = [
        project.step("a.py", wait, timeout_seconds=PATIENCE, **narrow),
        project.step("b.py", copy, arguments=[given, out], inputs=[given], outputs=[out], **narrow),
    ]
    assert project.happened(project.pipeline(*steps)) == {"a.py": "ran", "b.py": "ran"}
    assert [one is None for one in ready] == [kind != "stale"]


def test_no_environment_is_made_before_a_steps_turn(tmp_path) -> None:
    step = SimpleNamespace(inputs=(), environment=EnvironmentDefinition(requirements=("six",)))
    job = Job(SimpleNamespace(definition=step), "id", None, {}, tmp_path, tmp_path, {})
    assert LocalCompute().prepare(job) is None


def test_what_was_prepared_with_bytes_that_are_gone_is_prepared_again(project, narrow, monkeypatch):
    at_hand, looks = execution.RunContext.at_hand, []

    def gone_in_its_turn(context, call):
        looks.append(call.definition.id)
        return looks.count(call.definition.id) == 1 and at_hand(context, call)

    monkeypatch.setattr(execution.RunContext, "at_hand", gone_in_its_turn)
    first = project.step("a.py", meet(project, ""), timeout_seconds=PATIENCE, **narrow)
    used = []
    perform = tasks.perform
    monkeypatch.setattr(tasks, "perform", lambda *given: used.append(given[-1]) or perform(*given))
    assert project.happened(project.pipeline(first, project.step("b.py", "", **narrow))) == {
        "a.py": "ran",
        "b.py": "ran",
    }
    assert looks == ["b.py", "b.py"] and used == [None, None]
