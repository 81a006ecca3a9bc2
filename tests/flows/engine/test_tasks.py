"""Steps as Prefect tasks of a user's own flow, by call and by submit, in threads and on Dask."""

from __future__ import annotations

import logging
import uuid

import prefect_api
import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from waiting import PATIENCE, eventually

from stepwell import PipelineData, PipelineParameter, Workspace
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.workspace.entered import entered_workspace
from stepwell.errors import DatastoreException, StepFailedException, UserErrorException


@pytest.fixture
def steps(project):
    """Return `make`, which writes a word, and `double`, which writes its input twice."""
    word, data = PipelineData("word"), PipelineData("data")
    make = project.step(
        "make.py", "open(args[1], 'w').write(args[0])", arguments=[PipelineParameter("text", "a"), word], outputs=[word],
        workspace=project.workspace,
    )  # fmt: skip
    body = "open(args[1], 'w').write(2 * open(args[0]).read())"
    doubled = PipelineData("doubled")
    double = project.step(
        "double.py", body, arguments=[data, doubled], inputs=[data], outputs=[doubled], workspace=project.workspace
    )
    return make, double


def text(workspace, artifact):
    return workspace.store.tree_path(artifact.digest).read_text()


def run(body, **options):
    with client_settings():
        return flow(**options)(body)()


def test_a_called_step_returns_its_outputs_and_takes_those_of_others(project, steps):
    make, double = steps

    def body():
        return double(data=make(text="xy")["word"])

    for _ in range(2):
        assert text(project.workspace, run(body)["doubled"]) == "xyxy"
    assert project.executions == {"make.py": 1, "double.py": 1}


@pytest.fixture
def dask_cluster(server):
    """Start a cluster of one worker process, which lasts for several flows, and return its address."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("runner", ["threads", "dask"])
def test_submitted_steps_run_on_the_flows_task_runner(project, steps, runner, server, request):
    make, double = steps
    ids, chosen = [], ThreadPoolTaskRunner(max_workers=2)
    if runner == "dask":
        from prefect_dask import DaskTaskRunner

        chosen = DaskTaskRunner(address=request.getfixturevalue("dask_cluster"))

    def body():
        from prefect.runtime import flow_run

        ids.append(flow_run.id)
        words = [make.submit(text=word) for word in ("x", "y")]
        return [double.submit(data=word).result() for word in words]

    for state in ("Completed", "Cached"):
        results = run(body, task_runner=chosen)
        assert [text(project.workspace, result["doubled"]) for result in results] == ["xx", "yy"]
        query = {"task_runs": {"flow_run_id": {"any_": [ids[-1]]}}}

        def ended(query=query):
            found = prefect_api.post(f"{server}/task_runs/filter", json=query).json()
            states = [run["state_name"] for run in found]
            return states if len(states) == 4 and not {"Pending", "Running"} & set(states) else None

        assert eventually(ended) == [state] * 4
    assert project.executions == {"make.py": 2, "double.py": 2}


def test_a_step_may_be_mixed_with_a_users_tasks(project, steps):
    make, double = steps

    @task
    def choose():
        return "z"

    def body():
        made = make.submit(text=choose.submit())
        return double.submit(data=made, wait_for=[made]).result()

    assert text(project.workspace, run(body)["doubled"]) == "zz"


def test_a_failed_step_fails_its_task_and_is_not_kept(project):
    step = project.step("bad.py", "sys.exit(2)", workspace=project.workspace)
    with pytest.raises(StepFailedException, match="failed with exit code 2"):
        run(lambda: step())
    assert project.records() == []


def test_a_pipeline_and_a_flow_share_their_results(project, steps):
    make, _ = steps
    pipeline = project.pipeline(make)
    assert project.happened(pipeline, text="q") == {"make.py": "ran"}
    run(lambda: make(text="q"))
    run(lambda: make(text="r"))
    assert project.happened(pipeline, text="r") == {"make.py": "reused"}
    assert project.executions == {"make.py": 2}


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"data": 3}, "can't be filled with a int"),
        ({}, "needs its input 'data'"),
        ({"data": 1, "dta": 2}, "no parameter or input 'dta'"),
    ],
)
def test_wrong_bindings_are_reported(steps, bindings, words):
    with pytest.raises(UserErrorException, match=words):
        run(lambda: steps[1](**bindings))


def test_a_step_in_a_flow_leaves_a_run_with_its_log_under_its_name(project, server):
    step = project.step("say.py", "print('hello')", workspace=project.workspace)

    def body():
        return step()

    run_id = run(body).record.run_id
    known = Workspace.get(project.workspace.name).get_run("body#1")
    assert known.id == run_id and prefect_api.get(f"{server}/flow_runs/{run_id}").json()["name"] == "body#1"
    (found,) = known.get_steps()
    assert (found.get_stdout_log(), found.get_status()) == ("hello\n", "Finished")


@pytest.fixture
def other_workspace(server):
    return Workspace.create(f"o-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def nameless(project):
    """Returns a step that names no workspace, and one that reads what it wrote."""
    word, data, doubled = PipelineData("word"), PipelineData("data"), PipelineData("doubled")
    make = project.step("make.py", "open(args[0], 'w').write('a')", arguments=[word], outputs=[word])
    double = project.step(
        "double.py", "open(args[1], 'w').write(2 * open(args[0]).read())", arguments=[data, doubled], inputs=[data],
        outputs=[doubled],
    )  # fmt: skip
    return make, double


def test_a_step_runs_in_the_workspace_that_is_entered_before_all_others(project, nameless, other_workspace):
    make, double = nameless
    make.workspace = other_workspace
    with other_workspace, project.workspace:
        results = run(lambda: (one := make.submit()).result() and [one.result(), double(data=one)])
    assert [result.workspace for result in results] == [project.workspace.name] * 2
    assert project.workspace.path_of(results[1]["doubled"]).read_text() == "aa"
    assert entered_workspace() is None


def test_a_step_runs_in_its_own_workspace_or_that_of_the_steps_before_it(project, nameless):
    make, double = nameless
    make.workspace = project.workspace
    results = run(lambda: [one := make(), double(data=one), run(lambda: double(data=one["word"]))])
    assert {result.workspace for result in results} == {project.workspace.name}
    again = run(lambda: [make(), double(data=make())])  # what is reused knows it too
    assert {result["doubled"].workspace for result in again[1:]} == {project.workspace.name}


def test_a_step_that_nothing_places_is_refused_with_the_choices(nameless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserErrorException, match="Nothing names the workspace") as error:
        run(lambda: nameless[0]())
    assert "with ws:" in error.value.hint
    assert "default" not in Workspace.list()


def test_a_config_file_names_the_workspace_where_nothing_else_does(project, nameless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.workspace.write_config()
    assert run(lambda: nameless[0]()).workspace == project.workspace.name


def test_data_of_another_workspace_are_refused_and_not_looked_for_here(project, nameless, other_workspace):
    make, double = nameless
    make.workspace = other_workspace
    made = run(lambda: make())
    with pytest.raises(DatastoreException, match=f"is in workspace '{other_workspace.name}'"):
        project.workspace.path_of(made["word"])
    for data in (made["word"], made, other_workspace.get_default_datastore().path("word.txt")):
        with project.workspace, pytest.raises(UserErrorException, match="its data are in"):
            run(lambda data=data: double(data=data))
    assert other_workspace.path_of(made["word"]).read_text() == "a"


@pytest.fixture
def logged():
    """The lines of task runs, which the tests' settings leave out."""
    lines: list[str] = []
    logger, handler = logging.getLogger("prefect.task_runs"), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_prefect_is_told_why_a_step_ran_or_was_reused(project, nameless, server, logged):
    make, double = nameless

    def body():
        return double.submit(data=make()).result()

    def messages(run_id):
        found = prefect_api.post(f"{server}/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}}).json()
        told = [(one["state"] or {}).get("message") for one in found if one["state_type"] == "COMPLETED"]
        return told if len(told) == 2 and None not in told else None

    with client_settings(), project.workspace:
        first = flow(name="why")(body)(return_state=True).state_details.flow_run_id
        again = flow(name="why")(body)(return_state=True).state_details.flow_run_id
    assert eventually(lambda: messages(str(first))) == ["ran: no earlier result of this step is known"] * 2
    reused = eventually(lambda: messages(str(again)))
    assert all(text.startswith("reused: the same as in why#1 of ") for text in reused)
    assert logged.count("runs: no earlier result of this step is known") == 2
    assert set(reused) <= set(logged)
    for run_id, words in ((first, "2 ran"), (again, "2 reused")):
        query = {"artifacts": {"flow_run_id": {"any_": [str(run_id)]}}}
        (summary,) = prefect_api.post(f"{server}/artifacts/filter", json=query).json()
        assert words in summary["data"]
