"""Classes of clusters: imported anywhere, told what a node has in their own words, scaled by our own count."""

from __future__ import annotations

import signal
import sys
import threading
import types
from typing import Any

import pytest
from waiting import eventually

from stepwell.blocks.compute.dask.clusters import cluster as cluster_module
from stepwell.blocks.compute.dask.clusters.families import family_of, load_class, options_for
from stepwell.blocks.compute.dask.dask_compute import DaskCompute
from stepwell.blocks.processes.runner import StopSignal

NODE = {"cpus": 4.0, "memory": float(8 << 30)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))


def test_a_class_that_takes_signals_is_imported_in_any_thread_and_leaves_them_alone():
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        del sys.modules[name]
    pytest.importorskip("tornado")
    before, found = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: found.append(load_class("dask_jobqueue.SLURMCluster")))
    thread.start()
    thread.join()
    assert family_of(found[0]) == "dask_jobqueue"
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        del sys.modules[name]
    load_class("dask_jobqueue.SLURMCluster")
    assert signal.getsignal(signal.SIGINT) is before and signal.signal.__module__ == "signal"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("SLURMCluster", ["#SBATCH -p q", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH -t 00:10:00"]),
        ("PBSCluster", ["#PBS -q q", "#PBS -l select=1:ncpus=4:mem=8192MB", "#PBS -l walltime=00:10:00"]),
        ("LSFCluster", ["#BSUB -q q", "#BSUB -n 4", "#BSUB -M 8589935", "#BSUB -W 00:10:00"]),
        ("SGECluster", ["#$ -q q", "#$ -l h_rt=00:10:00"]),
    ],
)
def test_jobs_of_each_batch_system_ask_for_a_node_and_their_worker_declares_it(name, lines, monkeypatch):
    kind = load_class(f"dask_jobqueue.{name}")
    given = {"queue": "q", "walltime": "00:10:00", "worker_extra_args": ["--preload", "x"]}
    options = options_for(kind, given, NODE, 0, "grid")
    monkeypatch.setattr("dask_jobqueue.lsf.lsf_detect_units", lambda: "kb")
    job_options = {
        key: value
        for key, value in options.items()
        if key not in ("security", "shared_temp_directory", "silence_logs", "scheduler_options")
    }
    script = kind.job_cls("tcp://here:1", name="w", **job_options).job_script()
    assert all(line in script.splitlines() for line in lines), script
    (command,) = [line for line in script.splitlines() if "dask_worker" in line]
    assert "tcp://here:1 --name w --nthreads 4 --memory-limit 8.00GiB" in command
    assert command.endswith("--preload x --resources cpus=4,memory=8589934592")
    assert options["security"] is True and options["scheduler_options"] == {"dashboard_address": ":0"}


def test_what_the_owner_says_counts_more():
    kind = load_class("dask_jobqueue.SLURMCluster")
    given = {"cores": 8, "processes": 2, "memory": "1GB", "security": None, "log_directory": "logs"}
    options = options_for(kind, given, {"cpus": 4.0}, 0, "grid")
    assert {name: options[name] for name in given} == given
    assert options["worker_extra_args"] == ["--resources", "cpus=4"]
    target = DaskCompute(cluster_class="dask_jobqueue.SLURMCluster", cluster_options=given, max_nodes=30)
    assert target.node() == {"cpus": 4.0} and target.capacity() == {"steps": 120}


# Classes that scale by themselves: signatures as dask-kubernetes' and Coiled's -----------------------------------------


class FakeCluster:
    """A cluster that is somewhere else: it starts workers in this process as `scale` says, and knows no `Adaptive`."""

    def _start(self, options: dict[str, Any], resources: dict[str, float] | None) -> None:
        from distributed import LocalCluster

        self.asked, self.options = [], options
        self._local = LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None, resources=resources
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._local, name)

    def scale(self, n: int, worker_group: str = "default") -> None:
        self.asked.append(n)
        self._local.scale(n)

    def adapt(self, minimum: int | None = None, maximum: int | None = None) -> None:
        raise AssertionError("it would scale by what it guesses")


class KubeCluster(FakeCluster):
    def __init__(
        self, *, name=None, namespace=None, image=None, n_workers=None, resources=None, env=None, worker_command=None,
        custom_cluster_spec=None, quiet=False, **kwargs,
    ):  # fmt: skip
        declared = dict(word.split("=") for word in worker_command[worker_command.index("--resources") + 1].split(","))
        options = {"n_workers": n_workers, "resources": resources, "worker_command": worker_command, "image": image}
        self._start(options, {name: float(amount) for name, amount in declared.items()})


class CoiledCluster(FakeCluster):
    def __init__(
        self, name=None, *, n_workers=None, worker_options=None, worker_cpu=None, worker_memory=None, worker_gpu=None,
        worker_vm_types=None, region=None,
    ):  # fmt: skip
        self._start(
            {"n_workers": n_workers, "worker_cpu": worker_cpu, "worker_memory": worker_memory, "region": region},
            worker_options["resources"],
        )


class Unknown(FakeCluster):
    def __init__(self, color=""):
        self._start({"color": color}, None)


@pytest.fixture
def fakes(monkeypatch):
    """Make the fake classes importable under the names of the packages that they stand for."""
    for path, name, kind in [
        ("dask_kubernetes.operator", "KubeCluster", KubeCluster),
        ("coiled", "Cluster", CoiledCluster),
        ("somewhere", "Unknown", Unknown),
    ]:
        module = types.ModuleType(path)
        setattr(module, name, kind)
        monkeypatch.setitem(sys.modules, path.partition(".")[0], types.ModuleType(path.partition(".")[0]))
        monkeypatch.setitem(sys.modules, path, module)
        monkeypatch.setattr(kind, "__module__", path)


@pytest.mark.parametrize(
    ("path", "options", "called_with"),
    [
        (
            "dask_kubernetes.operator.KubeCluster",
            {"image": "ghcr.io/dask/dask"},
            {
                "n_workers": 0,
                "image": "ghcr.io/dask/dask",
                "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}},
                "worker_command": ["dask-worker", "--nthreads", "2", "--resources", "cpus=2"],
            },
        ),
        (
            "coiled.Cluster",
            {"region": "here"},
            {"n_workers": 0, "worker_cpu": 2, "worker_memory": None, "region": "here"},
        ),
        ("somewhere.Unknown", {"color": "red"}, {"color": "red"}),
    ],
)
def test_a_class_that_adapts_by_itself_follows_our_count(fakes, path, options, called_with):
    compute = DaskCompute(
        cluster_class=path, cluster_options=options, cpus_per_node=2, max_nodes=3, idle_seconds_before_scaledown=0.3
    )
    cluster = cluster_module.Cluster(compute.spec())
    try:
        theirs = cluster._cluster
        assert theirs.options == called_with
        stop, over, entered = StopSignal(), threading.Event(), []

        def job(name):
            with cluster.hold_node(name, {"cpus": 1.0}, stop):
                entered.append(name)
                over.wait(60)

        threads = [threading.Thread(target=job, args=(f"j{n}",)) for n in range(5)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(entered) == 5 and len(cluster.workers()) == 3)
        over.set()
        for thread in threads:
            thread.join()
        eventually(lambda: not cluster.workers())
        assert max(theirs.asked) == 3 and theirs.asked[-1] == 0
    finally:
        cluster.close()
