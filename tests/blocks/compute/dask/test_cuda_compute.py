"""GPUs as a compute target: whose GPU a step sees, who waits for one, and what is reported where there are none."""

from __future__ import annotations

import logging
import importlib.util
import json
import subprocess
import sys
import time

import fake_gpu
import pytest
from waiting import eventually

from stepwell import PipelineData
from stepwell.blocks.compute.dask.cuda_compute import CudaCompute
from stepwell.blocks.compute.dask.clusters.cluster import ClusterSpec, cluster_of, known_cluster
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import EnvironmentDefinition, Resources, StepDefinition

pytest.importorskip("distributed")
needs_library = pytest.mark.skipif(bool(fake_gpu.why_not()), reason=fake_gpu.why_not())
needs_no_driver = pytest.mark.skipif(fake_gpu.has_driver(), reason="this machine has a GPU's driver")

WRITES_ITS_GPU = """
import os
with open(args[0], 'w') as out:
    out.write(os.environ['CUDA_VISIBLE_DEVICES'] + ' ' + os.environ['CUDA_DEVICE_ORDER'])
"""
MEETS_THE_OTHER = """
import os, time
open(args[1] + '/' + args[2], 'w').close()
deadline = time.time() + 300
while len(os.listdir(args[1])) < 2 and time.time() < deadline:
    time.sleep(0.02)
met = 'met' if len(os.listdir(args[1])) == 2 else 'alone'
open(args[0], 'w').write(os.environ['CUDA_VISIBLE_DEVICES'] + ' ' + met)
"""
IS_ALONE = """
import os, time
os.mkdir(args[1] + '/here')  # fails if the other is there
time.sleep(0.5)
os.rmdir(args[1] + '/here')
open(args[0], 'w').write('x')
"""


@pytest.fixture
def attach(workspace):
    """Return a function that attaches a target; what it connected to is closed after the test."""
    made = []

    def target(**fields):
        made.append(CudaCompute(**fields).attach_to(workspace, "gpus"))
        return made[-1]

    yield target
    for compute in made:
        cluster = known_cluster(compute.spec())
        if cluster is not None:
            cluster.close()


def step_of(project, name, body, *arguments, **more):
    out = PipelineData(name.removesuffix(".py"))
    return project.step(name, body, arguments=[out, *arguments], outputs=[out], **more)


def written(project, summary, step):
    (run,) = project.workspace.get_run(summary.run_id).find_step_run(step)
    return run.get_output_data(step.removesuffix(".py")).local_path.read_text()


@needs_library
def test_a_step_sees_its_own_gpu_which_is_told_of(project, attach, tmp_path, monkeypatch):
    pytest.importorskip("pynvml")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_gpu.library(tmp_path)))
    with fake_gpu.workers("1,0") as address:
        compute = attach(address=address)
        summary = project.run(project.pipeline(step_of(project, "a.py", WRITES_ITS_GPU, compute_target=compute)))
        (step,) = summary.steps
        assert step.happened == "ran", step.error
        assert written(project, summary, "a.py") == "1 PCI_BUS_ID"
        facts = {"device": "1", "GPU": "Fake H-0", "GPU memory": "8192 MiB", "driver": "999.01"}
        assert facts.items() <= step.ran_on.items()
        metrics = project.workspace.get_run(summary.run_id).find_step_run("a.py")[0].get_metrics()
        assert metrics == {"gpu_utilization_mean": 41.0, "gpu_utilization_max": 41, "gpu_memory_peak_mb": 0.0}


def test_steps_at_once_have_a_gpu_each(project, attach, tmp_path):
    with fake_gpu.workers("0,1", "1,0") as address:
        attach(address=address)
        summary = project.run(meeting(project, tmp_path, "gpus"))
        assert [step.happened for step in summary.steps] == ["ran", "ran"], [step.error for step in summary.steps]
        assert {written(project, summary, name) for name in ("a.py", "b.py")} == {"0 met", "1 met"}


def test_steps_share_a_gpu_if_they_ask_for_parts(project, attach, tmp_path):
    with fake_gpu.workers("0") as address:
        attach(address=address)
        summary = project.run(meeting(project, tmp_path, "gpus", resources={"gpus": 0.5}))
        assert [step.happened for step in summary.steps] == ["ran", "ran"], [step.error for step in summary.steps]
        assert {written(project, summary, name) for name in ("a.py", "b.py")} == {"0 met"}


def meeting(project, folder, target, **more):
    """Return a pipeline of two steps that end when both are there."""
    (folder / "meeting").mkdir()
    given = {"compute_target": target, **more}
    return project.pipeline(
        *[step_of(project, f"{n}.py", MEETS_THE_OTHER, folder / "meeting", n, **given) for n in "ab"]
    )


def test_steps_that_take_a_whole_gpu_wait_for_it(project, attach, tmp_path):
    with fake_gpu.workers("0") as address:
        attach(address=address)
        steps = [step_of(project, f"{n}.py", IS_ALONE, tmp_path, n, compute_target="gpus") for n in "ab"]
        summary = project.run(project.pipeline(*steps))
        assert [step.happened for step in summary.steps] == ["ran", "ran"], [step.error for step in summary.steps]


# Where there is no GPU --------------------------------------------------------------------------------------------------


@needs_no_driver
def test_without_a_driver_nothing_starts(project):
    first = step_of(project, "first.py", "open(args[0], 'w').write('x')")
    steps = [first, step_of(project, "a.py", WRITES_ITS_GPU, compute_target="cuda")]
    pipeline = project.pipeline(*steps)
    assert [decision.action for decision in pipeline.plan()] == ["run", "run"]  # plans are made anywhere
    with client_settings(), pytest.raises(ComputeTargetException, match="no NVIDIA driver") as caught:
        pipeline.flow()
    assert "libnvidia-ml.so.1" in caught.value.facts["missing"]
    assert 'fallback="cpu"' in caught.value.hint
    assert not project.executions


@needs_no_driver
def test_a_reused_step_asks_for_no_gpu(project):
    body = "open(args[0], 'w').write('x')"
    assert project.happened(project.pipeline(step_of(project, "a.py", body))) == {"a.py": "ran"}
    here = project.pipeline(step_of(project, "a.py", body, compute_target="cuda"))
    assert project.happened(here) == {"a.py": "reused"}


@needs_no_driver
def test_a_step_that_may_be_reused_is_refused_when_its_turn_comes(project):
    """Check a step whose input is not known before, so that it could not be refused sooner."""
    made, out = PipelineData("made"), PipelineData("out")

    def pipeline(text, target):
        first = project.step("a.py", f"open(args[0], 'w').write({text!r})", arguments=[made], outputs=[made])
        body = "open(args[1], 'w').write('x')"
        given = {"inputs": [made], "outputs": [out], "compute_target": target}
        return project.pipeline(first, project.step("b.py", body, arguments=[made, out], **given))

    assert project.happened(pipeline("one", "local")) == {"a.py": "ran", "b.py": "ran"}
    summary = project.run(pipeline("two", "cuda"))
    assert [step.happened for step in summary.steps] == ["ran", "failed"]
    assert "no NVIDIA driver" in summary.steps[1].error


@needs_no_driver
def test_a_fallback_runs_on_processors_and_says_so(project, attach):
    attach(fallback="cpu", cpus_per_node=1)
    body = "open(args[0], 'w').write('x')"
    step = step_of(project, "a.py", body, compute_target="gpus", resources={"gpus": 1})
    summary = project.run(project.pipeline(step))
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    assert summary.steps[0].ran_on["fallback"] == "cpu"
    assert summary.warnings == ("Compute target 'gpus' has no GPU to use, so step 'a.py' ran on processors",)


def test_a_scheduler_without_gpu_workers_is_refused(attach):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        with pytest.raises(ComputeTargetException, match="no worker there has a GPU"):
            attach(address=cluster.scheduler_address).ready()


LACKING = """
import json, os, sys
from stepwell.blocks.compute.dask.cuda_compute import CudaCompute
for line in sys.stdin:
    fields, variables, folder = json.loads(line)
    child = os.fork()
    if child == 0:
        os.environ.update(variables)
        sys.path.insert(0, folder)
        try:
            missing = CudaCompute(**fields)._missing()
            print(json.dumps(missing and missing.facts["missing"]), flush=True)
        except BaseException as error:
            print(json.dumps(repr(error)), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def lacking(tmp_path_factory):
    """Give a process that has found the stand-in, and tells on each line what a target lacks, by a fork of it for each."""
    environment = fake_gpu.with_library(fake_gpu.library(tmp_path_factory.mktemp("library")))
    with subprocess.Popen([sys.executable, "-c", LACKING], env=environment, text=True, stdin=-1, stdout=-1) as process:
        yield process
        process.stdin.close()


@needs_library
@pytest.mark.parametrize(
    ("fields", "variables", "missing"),
    [
        ({}, {"FAKE_GPUS": "0"}, "a GPU: the driver is installed"),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES hides all of them"),
        ({"devices": "0,7"}, {}, "GPU 7"),
        ({}, {"NO_DASK_CUDA": "1"}, "the package dask-cuda"),
        ({"devices": "1"}, {"DASK_CUDA": "1"}, None),
    ],
)
def test_what_is_missing_is_named(lacking, tmp_path, fields, variables, missing):
    pytest.importorskip("pynvml")
    if "DASK_CUDA" in variables:
        (tmp_path / "dask_cuda.py").touch()
    elif missing == "the package dask-cuda" and importlib.util.find_spec("dask_cuda"):
        pytest.skip("dask-cuda is installed")
    asked = json.dumps([fields, variables, str(tmp_path)])
    lacking.stdin.write(f"{asked}\n")
    lacking.stdin.flush()
    found = json.loads(lacking.stdout.readline())
    assert (found is None) if missing is None else (missing in found)


# What a target refuses, and what it passes on -----------------------------------------------------------------------------


def definition(**more):
    return StepDefinition(id="a", name="a", type="PythonScriptStep", source_directory="", script="a.py", **more)


def test_several_gpus_for_a_step_are_refused():
    compute = CudaCompute(name="gpus")
    compute.check(definition(resources=Resources(gpus=0.5)))
    with pytest.raises(ComputeTargetException, match="more than one GPU"):
        compute.check(definition(resources=Resources(gpus=2)))
    with pytest.raises(ComputeTargetException, match="no room|has room"):
        compute.check(definition(resources=Resources(cpus=9)))


def test_a_step_does_not_choose_its_gpu():
    environment = EnvironmentDefinition(variables={"CUDA_VISIBLE_DEVICES": "0,1"})
    with pytest.raises(ComputeTargetException, match="chooses its GPU by itself"):
        CudaCompute(name="gpus").check(definition(environment=environment))


def test_options_arrive_at_dask_cuda(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    options = CudaCompute(device_memory_limit="20GB", rmm_pool_size="8GB", n_gpus=2, enable_nvlink=True).options()
    assert options == {
        "CUDA_VISIBLE_DEVICES": ["3", "5"],
        "threads_per_worker": 8,
        "resources": {"GPU": 1.0, "cpus": 8.0},
        "protocol": "ucx",
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "device_memory_limit": "20GB",
        "rmm_pool_size": "8GB",
        "enable_nvlink": True,
    }
    plain = CudaCompute(devices="GPU-abc", cluster_options={"interface": "ib0"}).options()
    assert plain["CUDA_VISIBLE_DEVICES"] == ["GPU-abc"] and plain["protocol"] == "tcp" and plain["interface"] == "ib0"


def test_a_target_survives_being_saved(attach, workspace):
    attach(devices="0", rmm_pool_size="1GB", fallback="cpu")
    found = workspace.compute_targets["gpus"]
    assert (type(found), found.devices, found.rmm_pool_size, found.fallback) == (CudaCompute, "0", "1GB", "cpu")


def test_a_cluster_that_does_not_shrink_is_closed_when_idle():
    options = {"n_workers": 1, "processes": False, "dashboard_address": None, "resources": {"GPU": 1}}
    spec = ClusterSpec("t", "", "distributed.LocalCluster", options, {"GPU": 1.0}, 0, 1, 0.1, adaptive=False)
    cluster = cluster_of(spec)
    with cluster.hold_node("job", {"GPU": 1}, StopSignal()):
        time.sleep(1.5)
        assert known_cluster(spec) is cluster
    eventually(lambda: known_cluster(spec) is None)
    again = cluster_of(spec)
    assert again is not cluster and again.alive
    again.close()
