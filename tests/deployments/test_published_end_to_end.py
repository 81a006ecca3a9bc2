"""Published pipelines as their users meet them: `stepwell serve` with its worker and endpoint, and the real Prefect server."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import nbformat
import prefect_api
import psutil
import pytest
from ports import port_for_later
import requests
from nbconvert.preprocessors import ExecutePreprocessor
from shells import Shell
from waiting import PATIENCE, eventually

from stepwell import (
    AzureCliAuthentication,
    PipelineData,
    PipelineEndpoint,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
    Workspace,
)

ROOT = Path(__file__).parents[2]
SDK_NAMES = os.pathsep.join(map(str, (ROOT / "compat" / "src", ROOT / "tests" / "support")))
CLI = [sys.executable, "-m", "stepwell.deployments.cli"]


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    """The address of an endpoint that `stepwell serve`, started in a folder without sources, keeps running."""
    forget_waiting_runs(server)
    folder = tmp_path_factory.mktemp("elsewhere")
    port = port_for_later()
    with open(folder / "said", "wb") as said:
        words = ["serve", "--port", str(port), "--limit", "4"]
        variables = {**os.environ, "PYTHONPATH": SDK_NAMES}
        process = subprocess.Popen([*CLI, *words], stdout=said, stderr=said, cwd=folder, env=variables)

    def is_serving():
        assert process.poll() is None, (folder / "said").read_text()
        return b"is serving" in (folder / "said").read_bytes()

    eventually(is_serving)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert "Everything is stopped" in (folder / "said").read_text()
    assert "Traceback" not in (folder / "said").read_text()


def forget_waiting_runs(server):
    """Those of other tests, which no worker was meant to begin, would come first."""
    waiting = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}, "limit": 200}
    with httpx.Client(base_url=server, timeout=PATIENCE, auth=prefect_api.auth()) as api:
        while runs := api.post("/flow_runs/filter", json=waiting).json():
            for run in runs:
                api.delete(f"/flow_runs/{run['id']}")


def ended(address, run_id):
    def look():
        run = requests.get(f"{address}/runs/{run_id}", headers=header(), timeout=PATIENCE).json()
        return run if run["status"] in ("Finished", "Failed", "Canceled") else None

    return eventually(look)


def prefects_own(address, body):
    """Prefect's answer, asked again while its SQLite database is busy, as every client of Prefect does."""

    def ask():
        answer = httpx.post(address, json=body, timeout=PATIENCE, auth=prefect_api.auth())
        return answer if answer.status_code != 503 else None

    return eventually(ask)


def header():
    return AzureCliAuthentication().get_authentication_header()


def saying(project, text):
    """A pipeline whose only step writes the text and its parameter."""
    out = PipelineData("said", pipeline_output_name="said")
    body = f"open(args[1], 'w').write('{text} ' + args[0])"
    step = project.step("say.py", body, arguments=[PipelineParameter("pipeline_arg", 10), out], outputs=[out])
    return project.pipeline(step, name="saying")


def said(address, run):
    (output,) = run["steps"][0]["outputs"]
    return requests.get(output["url"], headers=header(), timeout=PATIENCE).text


def test_the_articles_own_call(served, project):
    pipeline1 = saying(project, "hello")
    published_pipeline1 = pipeline1.publish(
        name="My_Published_Pipeline", description="My Published Pipeline Description"
    )
    shutil.rmtree(project.source)
    aad_token = AzureCliAuthentication().get_authentication_header()

    response = requests.post(published_pipeline1.endpoint,
                             headers=aad_token,
                             json={"ExperimentName": "My_Pipeline",
                                   "ParameterAssignments": {"pipeline_arg": 20}})  # fmt: skip

    response.raise_for_status()
    run = ended(served, response.json()["Id"])
    assert run["status"] == "Finished"
    assert said(served, run) == "hello 20"
    known = project.workspace.experiments["My_Pipeline"].get_runs()
    assert [one.id for one in known] == [response.json()["Id"]]


def test_the_articles_listings_run_in_a_notebook_with_the_sdks_own_imports(served, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SDK_NAMES)
    Workspace.create("article-v1").set_stand_ins(gpu="cpu")
    folder = shutil.copytree(ROOT / "examples" / "article_v1", tmp_path / "article")
    book = nbformat.read(folder / "pipeline.ipynb", 4)
    ExecutePreprocessor(timeout=PATIENCE * 4).preprocess(book, {"metadata": {"path": str(folder)}})
    *_, answer, _, _, again = [cell for cell in book.cells if cell.cell_type == "code"]
    assert again.outputs[-1]["text"].split("\n")[-2] == "[True, True, True]", again.outputs
    adla = next(cell for cell in book.cells if "Attach ADLA" in cell.source)
    attached = "".join(output["text"] for output in adla.outputs)
    assert attached.startswith("compute not found\nadla_compute_name adla-compute\n")
    assert attached.endswith('Provisioning operation finished, operation "Succeeded"\n')
    run_id = ast.literal_eval(answer.outputs[0]["data"]["text/plain"])["Id"]
    found = ended(served, run_id)
    assert found["status"] == "Finished"
    run = PipelineRun.get(Workspace.get("article-v1"), run_id)
    assert run.get_metrics() == {"compared words": 20}
    assert {step.name: step.reused for step in run.get_steps()} == {
        "train.py": True,
        "extract.py": True,
        "compare.py": False,
    }
    shown = [one["data"] for cell in book.cells for one in cell.get("outputs", []) if "data" in one]
    assert any("<table" in one.get("text/html", "") and "compare.py" in one["text/html"] for one in shown)


def test_two_versions_and_a_switched_default(served, project):
    first = saying(project, "first").publish("versions")
    endpoint = PipelineEndpoint.publish(project.workspace, f"e-{project.workspace.name}", "", first)
    second = saying(project, "second").publish("versions")
    endpoint.add(second)
    body = {"ExperimentName": "versions"}

    def call(address):
        """Return what the run was of, and its id."""
        response = requests.post(address, headers=header(), json=body, timeout=PATIENCE)
        assert response.status_code == 202, response.text
        return response.json()["PipelineId"], response.json()["Id"]

    calls = [call(second.endpoint), call(endpoint.endpoint)]  # all other ways to name a version: test_app.py
    endpoint.set_default_version("1")
    calls += [call(endpoint.endpoint_by_name)]
    one, two = first.id, second.id
    assert [pipeline for pipeline, _ in calls] == [two, one, two]
    texts = [said(served, ended(served, run)) for _, run in calls]
    assert texts == [{one: "first 10", two: "second 10"}[pipeline] for pipeline, _ in calls]


def test_a_disabled_pipeline_is_refused_by_both_ways(served, server, project):
    published = saying(project, "never").publish("closed")
    published.disable()
    response = requests.post(published.endpoint, headers=header(), json={"ExperimentName": "x"}, timeout=PATIENCE)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "Disabled")
    own = prefects_own(f"{server}/deployments/{published.block.deployment_id}/create_flow_run", {})
    assert own.status_code == 409
    published.enable()
    response = requests.post(published.endpoint, headers=header(), json={"ExperimentName": "x"}, timeout=PATIENCE)
    assert said(served, ended(served, response.json()["Id"])).startswith("never")


def test_prefects_own_way_runs_it_as_well(served, server, project):
    published = saying(project, "prefect").publish("own-way")
    address = f"{server}/deployments/{published.block.deployment_id}/create_flow_run"
    assert prefects_own(address, {"parameters": {"nope": 1}}).status_code == 409
    assert prefects_own(address, {"parameters": {"pipeline_arg": "x"}}).status_code == 409
    made = prefects_own(address, {"parameters": {"pipeline_arg": 7, "experiment_name": "form"}})
    assert made.status_code == 201
    run = ended(served, made.json()["id"])
    assert (run["status"], run["experiment"], said(served, run)) == ("Finished", "form", "prefect 7")


def test_a_schedule_fires(served, project):
    published = saying(project, "scheduled").publish("by-time")
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 4))
    recurrence = ScheduleRecurrence("Minute", 1, soon)  # should it be past by then, in a minute
    schedule = Schedule.create(
        project.workspace, "often", published.id, "timed", recurrence, pipeline_parameters={"pipeline_arg": 3}
    )
    run = eventually(schedule.get_last_pipeline_run)
    assert said(served, ended(served, run.id)) == "scheduled 3"
    assert (run.get_status(), ended(served, run.id)["experiment"]) == ("Finished", "timed")
    schedule.disable()


def test_the_command_line_publishes_and_calls(served, project, monkeypatch, capfd):
    (project.folder / "pipeline.py").write_text(
        f"""
from stepwell import Pipeline, PipelineParameter, PythonScriptStep, Workspace
step = PythonScriptStep("echo.py", source_directory={str(project.source)!r}, arguments=[PipelineParameter("n", 1)])
pipeline = Pipeline(Workspace.get({project.workspace.name!r}), [step], name="echo")
"""
    )
    project.script("echo.py", "print('got', args[0])")

    shell = Shell(project.folder, project.workspace.name, monkeypatch, capfd)

    def stepwell(*words):
        done = shell.here(*words)
        return done.returncode, done.stdout + done.stderr

    code, text = stepwell("publish", "pipeline.py", "--endpoint", f"e-{project.workspace.name}")
    assert code == 0, text
    assert "Published echo, version 1" in text
    code, text = stepwell("call", f"e-{project.workspace.name}", "-p", "n=5", "--wait")
    assert (code, "Finished: 1 ran" in text) == (0, True), text
    code, text = stepwell("call", f"e-{project.workspace.name}", "-p", "n=five")
    assert (code, "ParameterAssignments.n" in text) == (1, True), text
    code, text = stepwell("pipelines", "-w", project.workspace.name)
    assert f"e-{project.workspace.name}" in text
    code, text = stepwell("disable", "echo", "-w", project.workspace.name)
    assert (code, "echo, version 1, is disabled" in text) == (0, True), text
    assert [one.status for one in PublishedPipeline.list(project.workspace, active_only=False)] == ["Disabled"]


def test_a_run_goes_on_though_worker_and_process_were_killed(served, project):
    """The reconciler schedules it again, and what was done is reused."""
    mark = project.folder / "mark"
    again = f"again = os.path.exists({str(mark)!r} + '2')"  # before it is told that it may be killed
    slow = f"import os, time\n{again}\nopen({str(mark)!r}, 'a').close()\ntime.sleep(0 if again else 900)"
    quick = PipelineData("quick")
    steps = [
        project.step("quick.py", "open(args[0], 'w').write('x')", arguments=[quick], outputs=[quick]),
        project.step("slow.py", slow, inputs=[quick]),
    ]
    published = project.pipeline(*steps, name="killed").publish()
    response = requests.post(published.endpoint, headers=header(), json={"ExperimentName": "killed"}, timeout=PATIENCE)
    run_id = response.json()["Id"]
    eventually(mark.exists)
    Path(f"{mark}2").touch()
    for process in processes("serve.worker worker start", "stepwell.flows.worker_run"):
        process.kill()
    run = ended(served, run_id)
    assert run["status"] == "Finished"
    assert {step["name"]: step["status"] for step in run["steps"]} == {"quick.py": "reused", "slow.py": "ran"}


def processes(*words):
    """The processes of this test's home whose command lines hold one of the words."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if (
                any(word in command for word in words)
                and process.environ().get("STEPWELL_HOME") == os.environ["STEPWELL_HOME"]
            ):
                yield process
