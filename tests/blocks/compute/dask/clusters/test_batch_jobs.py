"""Clusters of a batch system: SLURM for real, from no node to three and back; what others say of their jobs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import slurm_cluster
from waiting import PATIENCE, eventually

from stepwell.blocks.compute.dask.clusters import batch_jobs
from stepwell.blocks.compute.dask.clusters.batch_jobs import states
from stepwell.blocks.compute.dask.clusters.cluster import cluster_of, known_cluster
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.processes.output import Notice
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")


@pytest.fixture(scope="module")
def slurm():
    """Run a cluster of three nodes with two processors each, or skip where that is not possible."""
    reason = slurm_cluster.why_not()
    if reason:
        pytest.skip(reason)
    with slurm_cluster.slurm(nodes=3, cpus=2) as cluster:
        yield cluster


@pytest.fixture
def make(workspace, slurm, monkeypatch):
    """Return a function that makes a target on SLURM; its cluster is closed after the test."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(batch_jobs, "_LOOK_SECONDS", 0.2)
    made = []

    def target(name="slurm", options=(), **fields):
        usual = {"cpus_per_node": 2, "max_nodes": 3, "idle_seconds_before_scaledown": 0.5}
        options = {"queue": "main", "interface": "lo", **dict(options)}
        compute = DaskCompute(
            cluster_class="dask_jobqueue.SLURMCluster", cluster_options=options, **{**usual, **fields}
        )
        made.append(compute.attach_to(workspace, name))
        return made[-1]

    yield target
    for compute in made:
        cluster = known_cluster(compute.spec())
        if cluster is not None:
            cluster.close()
    eventually(lambda: not slurm.jobs())


def test_a_pipeline_has_nodes_of_slurm_from_none_to_three_and_back(project, make, slurm):
    make()
    out = project.folder / "hosts"
    out.mkdir()
    body = f"""
        import os, time
        open({str(out)!r} + '/' + args[0], 'w').write(os.environ['SLURMD_NODENAME'])
        until = time.monotonic() + 600
        while len(os.listdir({str(out)!r})) < 6 and time.monotonic() < until: time.sleep(0.1)
    """
    steps = [project.step("a.py", body, name=f"s{n}", arguments=[f"s{n}"], compute_target="slurm") for n in range(6)]
    assert not slurm.jobs()
    summary = project.run(project.pipeline(*steps))  # three nodes for two steps each, all at once
    assert [step.happened for step in summary.steps] == ["ran"] * 6, [step.error for step in summary.steps]
    assert {path.read_text() for path in out.iterdir()} == {"node1", "node2", "node3"}
    eventually(lambda: not slurm.jobs())


def hold(compute, jobs=1, cpus=2.0):
    """Start threads that wait for a node each; return what they were told, what they raised, who got one, and how to end."""
    cluster, stop, over = cluster_of(compute.spec()), StopSignal(), threading.Event()
    said, raised, entered = [], [], []

    def job(name):
        try:
            with cluster.hold_node(name, {"cpus": cpus}, stop, said.append):
                entered.append(name)
                over.wait(PATIENCE)
        except ComputeTargetException as error:
            raised.append(str(error))

    threads = [threading.Thread(target=job, args=(f"j{n}",)) for n in range(jobs)]
    for thread in threads:
        thread.start()

    def end():
        over.set()
        stop.stop()
        for thread in threads:
            thread.join(PATIENCE)

    return cluster, said, raised, entered, end


def test_a_worker_whose_job_is_ended_is_replaced_and_its_step_runs_again(project, make, slurm):
    make(max_nodes=1, cpus_per_node=1)
    marker = project.folder / "tries"
    body = f"""
        import os, time
        with open({str(marker)!r}, 'a') as f: f.write(os.environ['SLURM_JOB_ID'] + '\\n')
        if len(open({str(marker)!r}).readlines()) < 2: time.sleep(900)
    """
    pipeline = project.pipeline(project.step("a.py", body, compute_target="slurm"))
    result = {}
    thread = threading.Thread(target=lambda: result.update(summary=project.run(pipeline)))
    thread.start()
    eventually(lambda: marker.exists() and marker.read_text().endswith("\n"))
    slurm("scancel", marker.read_text().split()[0])  # as at the end of its walltime: SIGTERM to all, later SIGKILL
    thread.join(PATIENCE)
    (step,) = result["summary"].steps
    assert step.happened == "ran", step.error
    first, second = marker.read_text().split()
    assert first != second
    cluster = known_cluster(project.workspace.compute_targets["slurm"].spec())
    eventually(lambda: cluster.endings() == f"{first} CANCELLED")


def test_a_job_that_does_not_start_is_told_of_with_the_schedulers_reason_and_called_off_when_nobody_waits(
    make, slurm, monkeypatch
):
    monkeypatch.setattr("stepwell.blocks.compute.dask.clusters.cluster._NOTICE_SECONDS", 0.5)
    _, said, raised, entered, end = hold(make(options={"queue": "closed"}), jobs=3, cpus=1.0)
    try:
        eventually(lambda: raised or any("PartitionDown" in line for line in said))
        assert len(slurm.jobs()) == 2
        eventually(
            lambda: sum("it has 0 now; 2 jobs in queue closed: PENDING (PartitionDown)" in line for line in said) == 3
        )
        assert len([line for line in said if isinstance(line, Notice) and "2 jobs" in line]) == 1  # for all of them
        assert not raised and not entered
    finally:
        end()
    eventually(lambda: not slurm.jobs())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queue": "nowhere"}, "no job could be submitted: sbatch: error: invalid partition specified: nowhere"),
        ({"python": "/no/such/python"}, "ended before its worker reached the scheduler: .*/no/such/python"),
    ],
)
def test_jobs_that_can_never_work_end_the_wait_with_their_reason(make, slurm, options, reason):
    _, _, raised, entered, end = hold(make(options=options))
    try:
        eventually(lambda: raised)
    finally:
        end()
    assert not entered
    (error,) = raised
    assert "The compute target 'slurm' gets no nodes" in error
    assert re.search(reason, error), error


KILLED = """
import os, signal, sys, threading
from stepwell.blocks.compute.dask.clusters.cluster import cluster_of
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.processes.runner import StopSignal

options = {"queue": "main", "interface": "lo"}
compute = DaskCompute(cluster_class="dask_jobqueue.SLURMCluster", cluster_options=options, max_nodes=1)
with cluster_of(compute.spec()).hold_node("j", {"cpus": 1.0}, StopSignal()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_leaves_no_job(slurm, tmp_path):
    environment = {**os.environ, **slurm.environment, "STEPWELL_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    eventually(lambda: not slurm.jobs())


def test_waiting_for_nodes_ends_when_none_will_come(make):
    with pytest.raises(ComputeTargetException, match="gets no nodes"):
        make(options={"queue": "nowhere"}).wait_for_completion(min_node_count=1)


def test_nobody_without_the_runs_keys_speaks_to_its_scheduler(make, stepwell_home):
    from distributed import Client, Security

    address = cluster_of(make().spec()).client.scheduler.address
    assert address.startswith("tls://")
    with pytest.raises(OSError):
        Client(address.replace("tls://", "tcp://"), timeout=1)
    with pytest.raises(OSError):
        Client(address, security=Security.temporary(), timeout=1)
    keys = list((stepwell_home / "cluster-jobs" / "slurm").glob(".dask-jobqueue.*"))
    assert keys and {path.stat().st_mode & 0o77 for path in keys} == {0}


# Other batch systems: what their commands print, as documented -----------------------------------------------------------

PBS = """Job Id: 12.head
    Job_Name = dask-worker
    job_state = Q
    comment = Not Running: Insufficient amount of resource: ncpus (R: 64 A: 8 T:
\t 8)
    queue = main
Job Id: 13.head
    job_state = R
"""
LSF = """12|PEND|New job is waiting for scheduling;
13|RUN|-
14|EXIT|-
"""
SGE = """job-ID  prior   name       user         state submit/start at     queue                          slots ja-task-ID
-----------------------------------------------------------------------------------------------------------------
     12 0.00000 dask-worke me           qw    11/26/2026 20:00:00                                    1
     13 0.55500 dask-worke me           r     11/26/2026 20:00:00 all.q@node1                        1
"""


@pytest.mark.parametrize(
    ("system", "command", "printed", "known"),
    [
        ("pbs", "qstat", PBS, {
            "12": ("Q", "Not Running: Insufficient amount of resource: ncpus (R: 64 A: 8 T: 8)"), "13": ("R", ""),
        }),
        ("lsf", "bjobs", LSF, {"12": ("PEND", "New job is waiting for scheduling"), "13": ("RUN", ""), "14": ("EXIT", "")}),
        ("sge", "qstat", SGE, {"12": ("qw", ""), "13": ("r", "")}),
    ],
)  # fmt: skip
def test_what_other_batch_systems_say_of_jobs(system, command, printed, known, tmp_path, monkeypatch):
    (tmp_path / "printed").write_text(printed)
    program = tmp_path / command
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/printed\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert states(system, ["12", "13"]) == known
    program.write_text("#!/bin/sh\necho 'qstat: Unknown Job Id 12' >&2; exit 153\n")
    assert states(system, ["12"]) == {}  # gone
    program.write_text("#!/bin/sh\necho 'cannot connect to server' >&2; exit 1\n")
    assert states(system, ["12"]) is None  # nobody knows
    assert states("another", ["12"]) is None
