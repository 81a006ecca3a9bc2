"""Dask: clusters that grow and shrink, workers that die, workers that share no disk, schedulers that don't answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import share_nothing
from waiting import PATIENCE, eventually

from stepwell import Datastore, Experiment, LocalData, Model, PipelineData
from stepwell.blocks.compute.dask.clusters import cluster as dask_cluster
from stepwell.blocks.compute.dask.clusters.cluster import cluster_of, known_cluster
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException
from stepwell.flows.public.pipeline_run import all_runs

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def make(workspace, monkeypatch):
    """Return a function that makes a target of this workspace; its cluster is closed after the test."""
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", PATIENCE)
    made = []

    def target(name="workers", **fields):
        made.append(DaskCompute(**fields).attach_to(workspace, name))
        return made[-1]

    yield target
    for compute in made:
        cluster = known_cluster(compute.spec())
        if cluster is not None:
            cluster.close()


def test_a_reused_step_wakes_no_cluster(project, make):
    compute = make(max_nodes=1)
    out = PipelineData("out")
    body = "open(args[0], 'w').write('x')"
    pipeline = project.pipeline(project.step("a.py", body, arguments=[out], outputs=[out], compute_target=compute))
    here = project.pipeline(project.step("a.py", arguments=[out], outputs=[out]))
    assert project.happened(here) == {"a.py": "ran"}
    assert project.happened(pipeline) == {"a.py": "reused"}
    assert known_cluster(compute.spec()) is None


def test_a_cluster_grows_with_its_jobs_and_shrinks_to_none(make):
    compute = make(max_nodes=2, idle_seconds_before_scaledown=0.5)
    cluster, stop, over = cluster_of(compute.spec()), StopSignal(), threading.Event()
    assert not cluster.workers()
    entered = []

    def job(name):
        with cluster.hold_node(name, {"cpus": 1}, stop):
            entered.append(name)
            over.wait(PATIENCE)

    threads = [threading.Thread(target=job, args=(f"j{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(cluster.workers()) == 2 and len(entered) == 2)
    assert cluster.wanted == 2
    over.set()
    for thread in threads:
        thread.join()
    assert len(entered) == 3
    eventually(lambda: not cluster.workers())


def test_a_step_that_fits_on_no_node_is_refused_before_anything_runs(project, make):
    compute = make(max_nodes=1, cpus_per_node=2)
    step = project.step("a.py", "pass", compute_target=compute, resources={"cpus": 3})
    with pytest.raises(ComputeTargetException, match="No node of compute target 'workers' has room"):
        project.pipeline(step)()
    assert not project.executions and known_cluster(compute.spec()) is None


def test_resources_decide_how_many_steps_share_a_node(project, make):
    compute = make(max_nodes=1, cpus_per_node=2)
    body = (
        "import time\nwith open(LOG, 'a') as f: f.write('+')\ntime.sleep(0.4)\nwith open(LOG, 'a') as f: f.write('-')"
    )
    body = body.replace("LOG", repr(str(project.folder / "order")))
    steps = [
        project.step(f"{name}.py", body, compute_target=compute, resources={"cpus": 2}, allow_reuse=False)
        for name in "ab"
    ]
    assert set(project.happened(project.pipeline(*steps)).values()) == {"ran"}
    assert (project.folder / "order").read_text() == "+-+-"


def test_a_step_runs_again_when_its_worker_is_killed(project, make):
    compute = make(max_nodes=2, min_nodes=2)
    out = PipelineData("out")
    marker = project.folder / "killed"
    body = f"""
        import os, pathlib, signal, time
        from stepwell import Run
        Run.get_context().log('tries', 1)
        os.makedirs(args[0])
        open(args[0] + '/half', 'w').write('half')
        print('pid', os.getpid(), flush=True)
        if not os.path.exists({str(marker)!r}):
            open({str(marker)!r}, 'w').write(str(os.getppid()))
            time.sleep(900)
        os.remove(args[0] + '/half')
        open(args[0] + '/whole', 'w').write('whole')
    """
    pipeline = project.pipeline(project.step("a.py", body, arguments=[out], outputs=[out], compute_target=compute))
    run = Experiment(project.workspace, "killed")
    result = {}
    thread = threading.Thread(target=lambda: result.update(summary=project.run(pipeline)))
    thread.start()
    eventually(lambda: marker.exists() and marker.read_text())
    eventually(
        lambda: (
            [step.get_metrics() for run in all_runs(project.workspace) for step in run.get_steps()] == [{"tries": 1}]
        )
    )
    os.kill(int(marker.read_text()), signal.SIGKILL)
    thread.join(PATIENCE)
    (step,) = result["summary"].steps
    assert step.happened == "ran", step.error
    assert project.executions["a.py"] == 2
    (step_run,) = project.workspace.get_run(result["summary"].run_id).get_steps()
    assert [path.name for path in step_run.get_output_data("out").local_path.iterdir()] == ["whole"]
    assert step_run.get_metrics() == {"tries": 1}
    assert list((project.workspace.store.root / "work").iterdir()) == []


def test_a_host_that_is_killed_takes_its_steps_along(project, make):
    make(max_nodes=1)
    project.write("a.py", "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(900)")
    pipeline = project.folder / "pipeline.py"
    pipeline.write_text(
        "from stepwell import *\n"
        f"ws = Workspace.get({project.workspace.name!r})\n"
        f"pipeline = Pipeline(ws, [PythonScriptStep('a.py', source_directory={str(project.source)!r}, compute_target='workers')])\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-m", "stepwell.deployments.cli", "run", str(pipeline)], stderr=subprocess.PIPE
    )
    logs = lambda: list(project.workspace.store.root.glob("runs/*/steps/*/logs/70_driver_log.txt"))  # noqa: E731
    eventually(lambda: any(log.read_text().endswith("\n") for log in logs()))
    pid = int(logs()[0].read_text().split()[1])
    host.kill()
    host.communicate()
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_scheduler_that_does_not_answer_is_named(project, make, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    compute = make(address="tcp://127.0.0.1:9")
    out = PipelineData("out")
    first = project.step("first.py", "open(args[0], 'w').write('x')", arguments=[out], outputs=[out])
    second = project.step("second.py", "pass", inputs=[out], compute_target=compute)
    summary = project.run(project.pipeline(first, second))
    steps = {step.id: step for step in summary.steps}
    assert "can't be reached" in steps["second.py"].error and "tcp://127.0.0.1:9" in steps["second.py"].error
    assert project.happened(project.pipeline(first)) == {"first.py": "reused"}


def test_a_class_of_clusters_that_is_not_there(project, make):
    step = project.step("a.py", "pass", compute_target=make(cluster_class="dask_nowhere.Cluster"))
    (failed,) = project.run(project.pipeline(step)).steps
    assert "names a class of clusters that can't be found" in failed.error


def test_a_program_without_a_main_guard_can_use_a_local_cluster(project, make):
    make(max_nodes=1)
    program = project.folder / "program.py"
    program.write_text(
        "from stepwell import *\n"
        f"ws = Workspace.get({project.workspace.name!r})\n"
        f"step = PythonScriptStep('a.py', source_directory={str(project.source)!r}, compute_target='workers')\n"
        "print(sorted(Pipeline(ws, [step])()))\n"
    )
    project.script("a.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "['a.py']", done.stderr
    assert done.stdout.count("['a.py']") == 1


# Workers that share no disk ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def namespace():
    """Make a network namespace, or skip where that is not possible."""
    reason = share_nothing.why_not()
    if reason:
        pytest.skip(reason)
    with share_nothing.network() as name:
        yield name


@pytest.fixture
def far_scheduler(namespace):
    """Start a scheduler that the namespace reaches, and return its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", share_nothing.HOST, "--port", "0", "--no-dashboard"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = next(line.split()[-1] for line in process.stderr if "Scheduler at" in line)
    threading.Thread(target=process.stderr.read, daemon=True).start()
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def far_worker(namespace, far_scheduler, tmp_path, stepwell_home):
    """Start a worker in the namespace that sees neither this test's files nor Stepwell; return the scheduler."""
    hidden = [stepwell_home, tmp_path, REPOSITORY / "src"]
    with share_nothing.worker(namespace, far_scheduler, tmp_path / "worker", hidden):
        yield far_scheduler


def test_workers_that_share_nothing_get_and_give_data_through_the_datastore(project, make, far_worker, tmp_path):
    with share_nothing.ftp_server(tmp_path / "ftp") as url:
        workspace = project.workspace
        far = Datastore.register(workspace, "far", url, options={"username": "u", "password": "hidden-passw0rd"})
        workspace.set_default_datastore("far")
        (tmp_path / "in.csv").write_text("1,2\n")
        far.upload_files([str(tmp_path / "in.csv")], target_path="raw", show_progress=False)
        make(address=far_worker)
        (tmp_path / "big").write_bytes(os.urandom(3_000_000))
        Model.register(workspace, tmp_path / "big", "big")
        middle, out = PipelineData("middle"), PipelineData("out")
        near = "open(args[0], 'w').write('from here '); open(args[0] + '_near', 'w').write('near')"
        first = project.step("first.py", near, arguments=[middle], outputs=[middle])
        data, local = far.path("raw", "table"), LocalData(tmp_path / "in.csv")
        project.write("helper.py", "def word(): return 'helped '")
        project.write("params.yaml", "train: {rate: 0.1}\nother: 1\n")
        project.write(
            "far.py",
            """
            import os, sys
            import helper
            from stepwell import Run
            assert not os.path.exists(%r), 'this worker sees our files'
            Run.get_context().log('score', 1.5)
            from stepwell.script import channel
            (known,) = channel.ask('model.find', name='big')['models']
            given = channel.receive('model.files', name='big')
            assert os.path.getsize(given) == 3_000_000 and not given.startswith(%r), given
            assert channel.send('model.register', given, name='copy')['digest'] == known['digest']
            assert open(sys.argv[4]).read() == '1,2\\n' and sys.argv[4] != %r, sys.argv[4]
            assert open('params.yaml').read() == 'train:\\n  rate: 0.1\\n'
            print('far away', flush=True)
            os.makedirs(sys.argv[3])
            text = open(sys.argv[1]).read() + helper.word() + open(sys.argv[2] + '/in.csv').read()
            open(sys.argv[3] + '/result', 'w').write(text)
            open(sys.argv[3] + '_beside', 'w').write(open(sys.argv[1] + '_near').read())
            os.symlink('/etc', sys.argv[3] + '_link')
            open('outputs/plot', 'w').write('plot')
            """
            % (str(project.folder / "source"), str(project.folder), local.place),
        )
        second = project.step(
            "far.py",
            arguments=[middle, data, out, local],
            inputs=[middle, data, local],
            outputs=[out],
            params=["train"],
            compute_target="workers",
        )
        third = project.step(
            "third.py", "assert open(args[0] + '/result').read().startswith('from here')", arguments=[out], inputs=[out],
            compute_target="workers",
        )  # fmt: skip
        project.write(
            "third.py",
            "import sys\nassert open(sys.argv[1] + '/result').read().startswith('from here')\nassert open(sys.argv[1] + '_beside').read() == 'near'",
        )
        pipeline = project.pipeline(first, second, third, rules="v1")
        summary = project.run(pipeline)
        steps = {step.id: step for step in summary.steps}
        assert {name: step.happened for name, step in steps.items()} == dict.fromkeys(steps, "ran"), steps
        assert "Step 'far.py' wrote beside its outputs what is not kept: out_link" in summary.warnings
        run = project.workspace.get_run(summary.run_id)
        (far_run,) = run.find_step_run("far.py")
        assert (far_run.get_output_data("out").local_path / "result").read_text() == "from here helped 1,2\n"
        assert far_run.get_metrics() == {"score": 1.5} and far_run.get_file_names() == ["outputs/plot"]
        assert "far away" in (far_run.folder / "logs" / "70_driver_log.txt").read_text()
        assert not list((tmp_path / "ftp").rglob("record-*"))
        assert set(project.happened(pipeline).values()) == {"reused"}


def test_without_a_datastore_in_common_the_reason_is_told(project, make, far_worker):
    step = project.step("a.py", "pass", compute_target=make(address=far_worker))
    (failed,) = project.run(project.pipeline(step)).steps
    assert "shares no disk" in failed.error and "set_default_datastore" in failed.error


def test_as_many_steps_are_sent_as_the_cluster_may_have_room_for():
    assert DaskCompute(max_nodes=50, cpus_per_node=4).capacity() == {"steps": 200}
    assert DaskCompute(max_nodes=2).capacity() == {"steps": 64}  # they wait there
    assert DaskCompute(max_nodes=50, max_concurrent=3).capacity() == {"steps": 3}
    assert DaskCompute(address="tcp://nobody.invalid:1").capacity() == {"steps": 64}
