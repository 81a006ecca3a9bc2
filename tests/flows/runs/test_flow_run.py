"""Runs whose server hangs: before the first step, while one runs, and at the end. The server is real, and stopped."""

from __future__ import annotations

import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from waiting import eventually

from stepwell.blocks.server import connection, patience
from stepwell.blocks.server.documents import client
from stepwell.blocks.store import untold
from stepwell.deployments.serve.runs.untold_runs import UntoldRuns
from stepwell.errors import ServerException
from stepwell.flows.runs import flow_run, launch
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.task_runs import served

BODY = """
import os, signal
if os.path.exists({flag!r}):
    os.kill({pid}, signal.SIGSTOP)
open(args[0], "w").write("1")
"""


@pytest.fixture
def hanging(project, server, monkeypatch):
    """A pipeline whose second step stops the server if there is a flag, all deadlines short; the server is continued."""
    from stepwell import PipelineData

    pid = connection.status().pid
    flag = project.folder / "flag"
    outs = [PipelineData(name) for name in ("a", "b", "c")]
    one = project.step("one.py", "open(args[0], 'w').write('1')", arguments=[outs[0]], outputs=[outs[0]])
    body = BODY.format(flag=str(flag), pid=pid)
    two = project.step("two.py", body, arguments=[outs[1], outs[0]], inputs=[outs[0]], outputs=[outs[1]])
    three = project.step("three.py", "open(args[0], 'w').write('3')", arguments=[outs[2], outs[1]], inputs=[outs[1]], outputs=[outs[2]])  # fmt: skip
    pipeline = project.pipeline(one, two, three)
    pipeline.flow  # noqa: B018  (makes the block that results are read through)
    for name, empty in (("_silent", {}), ("_faltered", set())):
        monkeypatch.setattr(patience, name, empty)
    monkeypatch.setattr(patience, "_SECONDS_ONCE_SILENT", 0.5)

    def hurry():
        monkeypatch.setattr(patience, "SECONDS_WITHOUT_ANSWER", 1.0)
        monkeypatch.setattr(flow_run, "SECONDS_WITHOUT_ANSWER", 1.0)
        monkeypatch.setattr(served, "SECONDS_WITHOUT_ANSWER", 1.0)

    yield pipeline, flag, hurry, pid
    flag.unlink(missing_ok=True)  # whatever is still at work stops it no more
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def in_prefect(run_id):
    with client() as api:
        state = api.read_flow_run(run_id).state
        found = api.request("POST", "/task_runs/filter", json={"task_runs": {"flow_run_id": {"any_": [run_id]}}}).json()
        about = api.request("POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run_id]}}}).json()
    return state.type.value, {task["name"]: task["state_type"] for task in found}, len(about)


def test_a_run_ends_without_a_server_that_hangs_which_is_told_when_it_is_back(hanging):
    pipeline, flag, hurry, pid = hanging
    flag.touch()
    options = RunOptions(listeners=(lambda event: event.get("step") == "two.py" and hurry(),))
    run = launch.register(pipeline, "e", pipeline.values({}), {"owner": "me"}, options)
    summary = launch.execute(pipeline, run, pipeline.values({}), options)
    assert summary.headline.startswith("Finished: 3 ran")
    assert launch.server_was_lost(run) and "stepwell server sync" in summary.warnings[-1]
    assert run.run_id in [noted.run_id for noted, _ in untold.untold()]
    os.kill(pid, signal.SIGCONT)
    told = []
    UntoldRuns(told.append).tell()
    assert [line for line in told if run.run_id[:8] in line]
    done = dict.fromkeys(("one.py", "two.py", "three.py"), "COMPLETED")
    eventually(lambda: in_prefect(run.run_id) == ("COMPLETED", done, 1))
    assert not launch.server_was_lost(run)
    assert run.run_id not in [noted.run_id for noted, _ in untold.untold()]
    told.clear()
    UntoldRuns(told.append).tell_now()  # tells what other tests left, too
    assert not [line for line in told if run.run_id[:8] in line]


def test_a_call_from_python_gives_the_results_of_a_run_that_the_server_missed_and_says_so(hanging, capsys):
    pipeline, flag, hurry, _ = hanging
    flag.touch()
    hurry()
    assert sorted(pipeline()) == ["one.py", "three.py", "two.py"]
    assert "does not know how the run ended" in capsys.readouterr().err


def test_a_server_that_hangs_before_the_run_is_told_in_a_sentence(hanging):
    pipeline, _, hurry, pid = hanging
    hurry()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ServerException, match="does not answer"):
        pipeline()


def test_a_registered_run_that_the_server_does_not_let_begin_has_failed(hanging):
    pipeline, _, hurry, pid = hanging
    run = launch.register(pipeline, "e", pipeline.values({}), {}, RunOptions())
    hurry()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ServerException, match="does not answer"):
        launch.execute(pipeline, run, pipeline.values({}), RunOptions())
    assert run.status()["status"] == "Failed" and "does not answer" in run.status()["problem"]
    os.kill(pid, signal.SIGCONT)
    UntoldRuns(print).tell_now()
    assert in_prefect(run.run_id)[0] == "FAILED"


def test_a_run_that_a_hung_server_registered_is_ended(project, server, monkeypatch):
    pipeline = project.pipeline(project.step("one.py", "pass"))
    request = SyncPrefectClient.request

    def unheard(self, method, path, *args, **more):
        answer = request(self, method, path, *args, **more)
        if path == "/flow_runs/":
            raise patience.ServerSilent("no answer")
        return answer

    with monkeypatch.context() as patch, pytest.raises(ServerException, match="does not answer"):
        patch.setattr(SyncPrefectClient, "request", unheard)
        launch.register(pipeline, "e", pipeline.values({}), {}, RunOptions())
    tokens = untold.unanswered("")
    (run,) = [one for one in flow_runs() if one["state"]["message"] in tokens]
    UntoldRuns(print).tell_now()
    assert [one["state_type"] for one in flow_runs() if one["id"] == run["id"]] == ["CANCELLED"]


def flow_runs():
    with client() as api:
        body = {"sort": "EXPECTED_START_TIME_DESC", "limit": 50}
        return api.request("POST", "/flow_runs/filter", json=body).json()


def test_a_run_that_hears_of_its_server_leaves_no_note_at_the_end_of_the_process(hanging):
    pipeline, _, _, _ = hanging
    patience._sent.clear()
    result = pipeline()["one.py"]
    run_id = result.record.run_id
    assert (Path(os.environ["STEPWELL_HOME"]) / "untold" / run_id).exists()
    patience._all_sent()
    assert not (Path(os.environ["STEPWELL_HOME"]) / "untold" / run_id).exists()


@pytest.mark.parametrize("frozen", [False, True])
def test_while_a_run_lasts_garbage_is_looked_for_in_what_it_makes(project, monkeypatch, frozen):
    def looked(*args, **more):
        seen.append(gc.get_freeze_count() > 0)
        return preflight(*args, **more)

    seen, preflight = list[bool](), flow_run.preflight
    monkeypatch.setattr(flow_run, "preflight", looked)
    gc.unfreeze()
    if frozen:
        gc.freeze()
    try:
        project.pipeline(project.step("a.py", ""))()
        assert (seen, gc.get_freeze_count() > 0) == ([True], frozen)
    finally:
        gc.unfreeze()
