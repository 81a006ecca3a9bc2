"""Runs from the outside: what is kept and what is not, failures and whom they touch, retries, limits, Prefect's view."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import prefect_api
import pytest
from waiting import PATIENCE, eventually, has_ended, in_time

from stepwell import CommandStep, LocalCompute, PipelineData
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import ActivityFailedException


def happened(summary):
    return {step.id: step.happened for step in summary.steps}


def error_of(summary, step):
    return next(s.error for s in summary.steps if s.id == step)


# What is not kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", ["Declared output missing", "did not write 'out'"]),
        ("open(args[0], 'w').write('half'); sys.exit(3)", ["failed with exit code 3"]),
        (
            "open(args[0], 'w'); raise ValueError('broken heart')",
            ["failed with exit code 1", "ValueError: broken heart"],
        ),
        ("import os, signal; open(args[0], 'w'); os.kill(os.getpid(), signal.SIGKILL)", ["ended by signal 9"]),
    ],
)
def test_a_failed_step_is_not_kept_and_runs_again(project, body, words):
    out = PipelineData("out")
    pipeline = project.pipeline(project.step("a.py", body, arguments=[out], outputs=[out]))
    for count in (1, 2):
        summary = project.run(pipeline)
        assert (summary.status, happened(summary)) == ("Failed", {"a.py": "failed"})
        assert all(word in error_of(summary, "a.py") for word in words), error_of(summary, "a.py")
        assert "Hint: " in error_of(summary, "a.py")
        assert project.records() == [] and project.executions["a.py"] == count


def test_a_result_is_not_kept_when_its_input_changed_meanwhile(project):
    data = project.workspace.get_default_datastore()
    place = data.local_root / "raw.txt"
    place.write_text("before")
    raw, out = data.path("raw.txt", "raw"), PipelineData("out")
    body = f"open(args[1], 'w').write(open(args[0]).read())\nopen({str(place)!r}, 'a').write('!')"
    pipeline = project.pipeline(project.step("a.py", body, arguments=[raw, out], inputs=[raw], outputs=[out]))
    summary = project.run(pipeline)
    assert "The input 'raw' changed while step 'a.py' read it" in error_of(summary, "a.py")
    assert project.records() == []


def test_a_step_that_spoils_what_another_wrote_fails_and_nobody_gets_the_spoilt_bytes(project, chain):
    pipeline, steps = chain("a.py", "b.py")
    spoil = "import os\nos.chmod(args[0], 0o644)\nopen(args[0], 'w').write('spoilt')\nopen(args[1], 'w')"
    project.script("b.py", spoil)
    assert "The input 'a' changed" in error_of(project.run(pipeline), "b.py")
    assert [decision.action for decision in pipeline.plan()] == ["run", "run"]
    chain("a.py", "b.py")
    result = pipeline()
    assert project.workspace.store.tree_path(result["b.py"]["b"].digest).read_text() == "a.py b.py "


def test_a_strict_step_may_read_only_what_it_declares(project):
    project.write("config.json", "{}")
    body = "open('config.json').read()"
    summary = project.run(project.pipeline(project.step("a.py", body, strict=True)))
    assert "The strict step 'a.py' read what it does not declare" in error_of(summary, "a.py")
    assert "config.json" in error_of(summary, "a.py") and project.records() == []
    declared = project.step("a.py", strict=True, hash_paths=["config.json"])
    assert project.happened(project.pipeline(declared)) == {"a.py": "ran"}


# Whom a failure touches ---------------------------------------------------------------------------------------------


@pytest.fixture
def two_branches(project):
    """bad -> after_bad, good -> after_good."""
    steps = []
    for name, body in (("bad.py", "sys.exit(1)"), ("good.py", "import time; time.sleep(0.3); open(args[0], 'w')")):
        out = PipelineData(Path(name).stem)
        steps.append(project.step(name, body, arguments=[out], outputs=[out]))
        steps.append(project.step(f"after_{name}", "", inputs=[out]))
    return project.pipeline(*steps)


def test_a_failure_skips_only_what_needs_the_failed_step(project, two_branches):
    summary = project.run(two_branches, continue_on_step_failure=True)
    assert happened(summary) == {
        "bad.py": "failed",
        "good.py": "ran",
        "after_bad.py": "skipped",
        "after_good.py": "ran",
    }
    assert summary.status == "Failed"
    project.script("bad.py", "open(args[0], 'w')")
    assert project.happened(two_branches) == {
        "bad.py": "ran",
        "good.py": "reused",
        "after_bad.py": "ran",
        "after_good.py": "reused",
    }


def test_without_being_told_to_go_on_a_failure_stops_the_run(project, two_branches):
    found = happened(project.run(two_branches))
    assert found["bad.py"] == "failed" and found["after_bad.py"] == "skipped"
    assert found["good.py"] in ("cancelled", "ran") and found["after_good.py"] in ("cancelled", "skipped")
    assert project.executions["after_good.py"] == 0


def test_a_failed_pipeline_raises_with_the_first_failure(two_branches):
    with pytest.raises(ActivityFailedException, match="1 of 4 steps failed") as caught:
        two_branches(continue_on_step_failure=True)
    assert "failed with exit code 1" in caught.value.facts["first failure"]


def test_a_step_that_fails_by_itself_after_another_failed_is_no_cancelled_one(project, monkeypatch):
    run, began = LocalCompute.run, project.folder / "began"

    def late(self, job, on_output, stop, redact):
        finished = run(self, job, on_output, stop, redact)
        if job.call.definition.name == "late.py":  # its process ended before anything was stopped
            eventually(lambda: stop.stopped)
        return finished

    monkeypatch.setattr(LocalCompute, "run", late)
    project.script(
        "first.py", f"import os, time\nwhile not os.path.exists({str(began)!r}):\n    time.sleep(0.01)\nsys.exit(2)"
    )
    project.script("late.py", f"print('my reason')\nopen({str(began)!r}, 'w')\nsys.exit(3)")
    names = ("first.py", "late.py", "slow.py")
    project.script("slow.py", "import time\ntime.sleep(900)")
    LocalCompute(max_concurrent=3).attach_to(project.workspace, "wide")
    steps = [project.step(name, retries=int(name == "late.py"), compute_target="wide") for name in names]
    summary = project.run(project.pipeline(*steps))
    assert happened(summary) == {"first.py": "failed", "late.py": "failed", "slow.py": "cancelled"}
    error = error_of(summary, "late.py")
    assert "failed with exit code 3" in error and "my reason" in error and "70_driver_log.txt" in error
    assert summary.status == "Failed" and project.executions["late.py"] == 1  # a run that ends tries nothing again


def test_a_failure_is_told_to_all_that_wait_for_it_however_many_ways_lead_there(project):
    script, before, steps = project.script("a.py"), [], []
    for layer in range(30):
        before, earlier = [project.step(script, name=f"{layer}-{i}") for i in range(2)], before
        steps += before
        for step in before:
            for other in earlier:
                step.run_after(other)
    failing = project.step("bad.py", "sys.exit(1)")
    for step in steps[:2]:
        step.run_after(failing)
    summary = project.run(project.pipeline(failing, *steps), continue_on_step_failure=True)
    assert Counter(happened(summary).values()) == {"failed": 1, "skipped": 60}


def test_a_failure_at_the_start_of_a_long_chain_skips_the_rest(project):
    script, steps = project.script("a.py"), [project.step("bad.py", "sys.exit(1)")]
    for number in range(1100):  # more than Python's calls may be nested
        steps.append(project.step(script, name=str(number)))
        steps[-1].run_after(steps[-2])
    summary = project.run(project.pipeline(*steps))
    assert Counter(happened(summary).values()) == {"failed": 1, "skipped": 1100}


# Retries, limits, places --------------------------------------------------------------------------------------------


def test_a_step_is_tried_again_as_often_as_asked(project):
    body = f"import os\nfor i in range(3):\n    try:\n        os.mkdir({str(project.folder / 'try')!r} + str(i))\n        sys.exit(1)\n    except FileExistsError:\n        pass\n"
    twice = project.pipeline(project.step("a.py", body, retries=1))
    assert project.happened(twice) == {"a.py": "failed"}
    assert project.executions["a.py"] == 2
    assert project.happened(project.pipeline(project.step("a.py", retries=1))) == {"a.py": "ran"}
    assert project.executions["a.py"] == 4


def test_a_step_that_takes_too_long_is_ended_with_its_children(project):
    place = project.folder / "child"
    body = f"""
        import subprocess, time
        child = subprocess.Popen([sys.executable, '-c', "import time; time.sleep(900)"])
        open({str(place)!r}, 'w').write(str(child.pid))
        time.sleep(900)
    """
    project.script("a.py", body)

    def limited(seconds):
        summary = project.run(project.pipeline(project.step("a.py", timeout_seconds=seconds)))
        assert f"took longer than its {seconds:g} seconds" in error_of(summary, "a.py")

    in_time(limited, lambda _: place.exists() and place.read_text())
    eventually(lambda: has_ended(int(place.read_text())))
    assert project.records() == []


def test_a_compute_target_runs_no_more_steps_at_once_than_it_has_places(project):
    LocalCompute(max_concurrent=1).attach_to(project.workspace, "narrow")
    body = "import time\nlog = open(args[0], 'a')\nlog.write('(')\nlog.flush()\ntime.sleep(0.1)\nlog.write(')')"
    log = project.folder / "times"
    steps = [project.step("a.py", body, name=str(i), arguments=[log, i], compute_target="narrow") for i in range(4)]
    assert set(project.happened(project.pipeline(*steps)).values()) == {"ran"}
    assert log.read_text() == "()" * 4


def test_max_concurrent_alone_says_how_many_steps_without_resources_run_at_once(project):
    count, folder = 66, project.folder / "here"
    folder.mkdir()
    LocalCompute(max_concurrent=count).attach_to(project.workspace, "wide")
    meet = f"touch {folder}/$AML_PARAMETER_i; until test $(ls {folder} | wc -l) = {count}; do sleep 0.2; done"
    steps = [
        CommandStep(meet, name=str(i), params={"i": i}, compute_target="wide", timeout_seconds=PATIENCE)
        for i in range(count)
    ]
    found = project.happened(project.pipeline(*steps, default_source_directory=project.source))
    assert Counter(found.values()) == {"ran": count}


def test_steps_that_wait_for_nothing_run_side_by_side(project):
    meet = "import os, time\nopen(args[0], 'w')\nuntil = time.time() + 300\nwhile not os.path.exists(args[1]):\n    assert time.time() < until\n    time.sleep(0.01)"
    places = [project.folder / "one", project.folder / "two"]
    steps = [project.step("a.py", meet, name=str(i), arguments=pair) for i, pair in enumerate((places, places[::-1]))]
    assert project.happened(project.pipeline(*steps)) == {"0": "ran", "1": "ran"}


# What Prefect shows -------------------------------------------------------------------------------------------------


def test_prefect_shows_edges_names_and_cached_states(project, chain, server):
    pipeline, _ = chain("a.py", "b.py", "c.py")

    def nodes(summary):
        response = prefect_api.get(f"{server}/flow_runs/{summary.run_id}/graph-v2").raise_for_status().json()
        found = dict(response["nodes"])
        label = {key: node["label"] for key, node in found.items()}
        edges = {(label.get(p["id"]), node["label"]) for node in found.values() for p in node["parents"]}
        return edges if edges >= {("a.py", "b.py"), ("b.py", "c.py")} else None

    def states(summary):
        query = {"task_runs": {"flow_run_id": {"any_": [summary.run_id]}}}
        found = prefect_api.post(f"{server}/task_runs/filter", json=query).raise_for_status().json()
        states = {task["name"]: task["state_name"] for task in found}
        return states if len(states) == 3 and not {"Pending", "Running"} & set(states.values()) else None

    for state in ("Completed", "Cached"):
        summary = project.run(pipeline)
        assert eventually(lambda summary=summary: nodes(summary)) == {("a.py", "b.py"), ("b.py", "c.py")}
        assert eventually(lambda summary=summary: states(summary)) == dict.fromkeys(("a.py", "b.py", "c.py"), state)


def test_the_flow_runs_state_tells_how_the_run_ended(project, server):
    for body, expected in (("", "COMPLETED"), ("sys.exit(1)", "FAILED")):
        pipeline = project.pipeline(project.step("a.py", body))
        with client_settings():
            state = pipeline.flow(return_state=True)
        run = prefect_api.get(f"{server}/flow_runs/{state.state_details.flow_run_id}").json()
        assert run["state_type"] == state.type.value == expected


@pytest.mark.parametrize(
    ("body", "passed", "words"),
    [
        (
            "",
            False,
            ["arguments  its path stands in none of them", "Hint: Put the output into the step's `arguments=[…]`"],
        ),
        ("", True, ["Hint: Let the script write a file or folder at the path"]),
        ("open(args[0] + '/model.bin', 'w')", True, ["Hint: Let the script make the folder first"]),
        ("open('../beside.csv')", True, ["Hint: Move ", "beside.csv into the step's source_directory"]),
    ],
)
def test_first_mistakes_are_told_with_what_to_do(project, body, passed, words):
    (project.folder / "beside.csv").write_text("")
    out = PipelineData("out")
    step = project.step("a.py", body, arguments=[out] if passed else [], outputs=[out])
    error = error_of(project.run(project.pipeline(step)), "a.py")
    assert all(word in error for word in words), error
