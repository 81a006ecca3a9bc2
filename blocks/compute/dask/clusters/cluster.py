"""Dask clusters of this process: started at the first job, grown and shrunk with the jobs there are, closed at exit."""

from __future__ import annotations

import atexit
import importlib
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import spawn
from typing import Any

from stepwell.blocks.compute.dask.clusters.batch_jobs import BatchJobs, recording
from stepwell.blocks.compute.dask.clusters.families import family_of, load_class, options_for
from stepwell.blocks.compute.dask.clusters.scaling import ADAPT_SECONDS, follow
from stepwell.blocks.processes.output import Notice, OnOutput
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException
from stepwell.model.digests import digest

CONNECT_SECONDS = 8.0
_POLL_SECONDS = 0.1
_SHORTEST_IDLE_SECONDS = 1.0

_NOTICE_SECONDS = 10.0

Demand = Mapping[str, float]
"""How much a job takes of each resource of Dask's."""


def _discard(_: str) -> None:
    pass


@dataclass(frozen=True)
class ClusterSpec:
    """Which cluster: the address of a running scheduler, or a class and its options. `node` is what each node has."""

    target: str
    address: str
    cluster_class: str
    options: dict[str, Any]
    node: dict[str, float]
    min_nodes: int
    max_nodes: int
    idle_seconds: float
    security: dict[str, Any] = field(default_factory=dict)
    adaptive: bool = True


class Cluster:
    """One cluster and this process's client of it."""

    def __init__(self, spec: ClusterSpec) -> None:
        self.spec = spec
        self._jobs: dict[str, Demand] = {}
        self._allocated: set[str] = set()
        self._announced = ("", "")
        self._lock = threading.RLock()
        self._freed = threading.Condition(self._lock)
        self._idle_since = time.monotonic()
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._cluster = None if spec.address else _start(spec)
        try:
            self.client = _connect(spec, self._cluster)
        except BaseException:
            if self._cluster is not None:
                with suppress(Exception):
                    self._cluster.close()
            raise
        self.topic = f"stepwell-{self.client.id}"
        self.client.subscribe_topic(self.topic, self._on_event)
        self._jobs_of_workers = (
            BatchJobs(self._cluster, spec.target) if family_of(type(self._cluster)) == "dask_jobqueue" else None
        )
        if self._cluster is not None and spec.adaptive:
            follow(self._cluster, lambda: self.wanted, self.busy, spec.min_nodes, spec.max_nodes, spec.idle_seconds)

    @property
    def alive(self) -> bool:
        """Whether jobs can still be sent to it."""
        return self.client.status in ("running", "connecting")

    @property
    def on_this_machine(self) -> bool:
        """Whether its workers were started by this process with its own Python."""
        return self._cluster is not None and type(self._cluster).__name__ in ("LocalCluster", "LocalCUDACluster")

    def workers(self) -> dict[str, Any]:
        """Return what is known of each worker, by address."""
        source = self._cluster if self._cluster is not None else self.client
        if source is self.client:
            # The scheduler is asked: what the client remembers is replaced every other second by what names no worker.
            with suppress(Exception):
                return dict(self.client.sync(self.client.scheduler.identity, n_workers=-1)["workers"])
            return {}
        return dict(source.scheduler_info["workers"])

    def threads(self) -> int:
        """Return how many threads the workers had when the client last heard of them; asks nobody."""
        return int(getattr(self.client, "_scheduler_identity", {}).get("total_threads", 0))

    def declared(self) -> set[str]:
        """Return the resources that workers are known to have."""
        if self.on_this_machine:
            return set(self.spec.node)
        return {name for worker in self.workers().values() for name in worker.get("resources", {})}

    @property
    def wanted(self) -> int:
        """The number of nodes that the jobs at hand could use, within the limits."""
        with self._lock:
            totals = _total(self._jobs.values())
        needed = max(
            (math.ceil(amount / self.spec.node[r] - 1e-9) for r, amount in totals.items() if self.spec.node.get(r)),
            default=0,
        )
        return min(self.spec.max_nodes, max(self.spec.min_nodes, needed))

    def busy(self) -> int:
        """Return how many workers have something to do."""
        with suppress(Exception):
            return sum(1 for keys in self.client.processing().values() if keys)
        return 0

    def idle_seconds(self) -> float:
        """Return for how long there has been no job."""
        with self._lock:
            return 0.0 if self._jobs else time.monotonic() - self._idle_since

    def touch(self) -> None:
        """Start the idle time again, as a job is about to come."""
        with self._lock:
            self._idle_since = time.monotonic()

    @contextmanager
    def counted(self, job: str, demand: Demand) -> Iterator[None]:
        """Count the job in `wanted` while the block runs, so that the cluster grows for it."""
        with self._lock:
            self._jobs[job] = demand
        try:
            yield
        finally:
            with self._lock:
                self._jobs.pop(job)
                if self._announced[0] == job:
                    self._announced = ("", "")
                self._allocated.discard(job)
                self._idle_since = time.monotonic()
                self._freed.notify()
                if self._jobs_of_workers is not None and not self._jobs:
                    self._jobs_of_workers.forgive()

    @contextmanager
    def hold_node(self, job: str, demand: Demand, stop: StopSignal, on_output: OnOutput = _discard) -> Iterator[None]:
        """Wait for a node or a stop, and hold the node while the block runs: Dask would give all jobs to the first."""
        notice_at, told = time.monotonic() + _NOTICE_SECONDS, ""
        with self.counted(job, demand):
            while not (self._allocate(job, demand) or stop.stopped):
                if not self.alive:
                    raise unreachable(self.spec, "the cluster has gone")
                self.raise_problem()
                if time.monotonic() > notice_at:
                    why = self._jobs_of_workers.waiting() if self._jobs_of_workers else ""
                    if not told or why != told:
                        nodes = f"it has {len(self.workers())} now{'; ' if why else ''}{why}"
                        text = f"Waiting for a free node of {self.spec.target}: {nodes}\n"
                        on_output(Notice(text) if why and self._announces(job, why) else text)
                    told, notice_at = why or "said", time.monotonic() + _NOTICE_SECONDS
                with self._freed:
                    self._freed.wait(_POLL_SECONDS)  # new nodes are not announced
            if self._announced[0] == job:
                self._announced = ("", "")
                on_output(Notice())
            yield

    def _announces(self, job: str, why: str) -> bool:
        """Return whether this job tells people why all wait: the first one that knows."""
        with self._lock:
            first = self._announced[0] in ("", job) or self._announced[1] != why
            if first:
                self._announced = (job, why)
            return first

    def endings(self) -> str:
        """Return how the jobs of its last workers ended, if it has jobs of a batch system and some did."""
        return self._jobs_of_workers.endings() if self._jobs_of_workers else ""

    def raise_problem(self) -> None:
        """Raise ComputeTargetException if no node will come: its jobs are refused, or end before their workers come."""
        if self._jobs_of_workers is not None and (problem := self._jobs_of_workers.problem):
            raise ComputeTargetException(
                f"The compute target {self.spec.target!r} gets no nodes",
                {"cluster class": self.spec.cluster_class, "reason": problem},
                "Correct `cluster_options` of the target, by which its jobs are submitted.",
            )

    def listen(self, job: str, listener: Callable[[dict[str, Any]], None] | None) -> None:
        """Pass what workers report of the job to the listener, until it is removed with None."""
        if listener is None:
            self._listeners.pop(job, None)
        else:
            self._listeners[job] = listener

    def close(self) -> None:
        """Close the client, and the cluster if it was started here."""
        with suppress(Exception):
            self.client.close(timeout=2)
        if self._jobs_of_workers is not None:
            self._jobs_of_workers.stop()
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close(timeout=10)
        if self._jobs_of_workers is not None:
            self._jobs_of_workers.clean()

    def _on_event(self, event: tuple[float, Any]) -> None:
        message = event[1]
        listener = self._listeners.get(str(message.get("job"))) if isinstance(message, dict) else None
        if listener is not None:
            listener(message)

    def _allocate(self, job: str, demand: Demand) -> bool:
        if self._cluster is None:
            return True
        nodes = len(self._cluster.scheduler_info["workers"])
        with self._lock:
            totals = _total([demand, *(self._jobs[name] for name in self._allocated)])
            if all(amount <= nodes * self.spec.node.get(r, 0) + 1e-9 for r, amount in totals.items()):
                self._allocated.add(job)
                return True
        return False


def _total(demands: Any) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for demand in demands:
        for resource, amount in demand.items():
            totals[resource] += amount
    return totals


# Starting and connecting ----------------------------------------------------------------------------------------------


def _start(spec: ClusterSpec) -> Any:
    try:
        kind = load_class(spec.cluster_class)
    except (ImportError, AttributeError) as error:
        raise ComputeTargetException(
            f"The compute target {spec.target!r} names a class of clusters that can't be found",
            {"cluster class": spec.cluster_class, "reason": error},
            "Install the package that has it, or correct `cluster_class`.",
        ) from error
    _keep_main_out()
    try:
        options = options_for(kind, spec.options, spec.node, spec.min_nodes, spec.target)
        if family_of(kind) == "dask_jobqueue":
            options = {**options, "job_cls": recording(options.get("job_cls") or kind.job_cls)}
        if spec.security and family_of(kind):
            options["security"] = _security(spec)
        return kind(**options)
    except Exception as error:
        raise ComputeTargetException(
            f"The cluster of compute target {spec.target!r} can't be started",
            {"cluster class": spec.cluster_class, "reason": f"{type(error).__name__}: {error}"},
            "Correct the target's options.",
        ) from error


def _keep_main_out() -> None:
    """Keep local workers from running the user's program again: v1's have no `if __name__ == "__main__"`."""
    prepare = spawn.get_preparation_data
    if getattr(prepare, "without_main", False):
        return

    def prepared(name: str) -> dict[str, Any]:
        data = prepare(name)
        if name.startswith("Dask Worker"):  # other processes start as usual
            data.pop("init_main_from_path", None)
            data.pop("init_main_from_name", None)
        return data

    prepared.without_main = True  # type: ignore[attr-defined]
    spawn.get_preparation_data = prepared


def _connect(spec: ClusterSpec, cluster: Any) -> Any:
    distributed: Any = importlib.import_module("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are raised as our own
    security = {"security": _security(spec)} if spec.security else {}
    try:
        return distributed.Client(cluster or spec.address, timeout=CONNECT_SECONDS, set_as_default=False, **security)
    except Exception as error:
        raise unreachable(spec, f"{type(error).__name__}: {error}") from error


def _security(spec: ClusterSpec) -> Any:
    return importlib.import_module("distributed").Security(**spec.security)


def unreachable(spec: ClusterSpec, reason: str) -> ComputeTargetException:
    """Return the error for a cluster that does not answer."""
    facts = {"scheduler": spec.address or spec.cluster_class, "reason": reason.splitlines()[0] if reason else ""}
    return ComputeTargetException(
        f"The compute target {spec.target!r} can't be reached", facts, "Check that its scheduler runs, and its address."
    )


# The clusters of this process -----------------------------------------------------------------------------------------

_clusters: dict[str, Cluster] = {}
_starting: dict[str, threading.Lock] = defaultdict(threading.Lock)


def cluster_of(spec: ClusterSpec) -> Cluster:
    """Return the running cluster that the spec describes, started or connected to now if this process has none."""
    name = _name(spec)
    with _starting[name]:
        known = _clusters.get(name)
        if known is not None and known.alive:
            known.touch()
            return known
        if known is not None:
            known.close()
        if not _clusters:
            atexit.register(close_all)
        _clusters[name] = cluster = Cluster(spec)
        if not (spec.adaptive or spec.address):
            threading.Thread(target=_close_when_idle, args=(name, cluster), name="stepwell-idle", daemon=True).start()
        return cluster


def _close_when_idle(name: str, cluster: Cluster) -> None:
    """Close a cluster that does not shrink by itself once it had no job for long enough."""
    idle_limit = max(cluster.spec.idle_seconds, _SHORTEST_IDLE_SECONDS)
    while True:
        time.sleep(max(idle_limit - cluster.idle_seconds(), ADAPT_SECONDS))
        with _starting[name]:
            if _clusters.get(name) is not cluster:
                return
            if cluster.idle_seconds() >= idle_limit:
                del _clusters[name]
                break
    cluster.close()


def known_cluster(spec: ClusterSpec) -> Cluster | None:
    """Return the cluster if this process has it already; start and connect to nothing."""
    known = _clusters.get(_name(spec))
    return known if known is not None and known.alive else None


def close_all() -> None:
    """Close all clusters of this process."""
    while _clusters:
        _clusters.popitem()[1].close()


def _name(spec: ClusterSpec) -> str:
    limits = [spec.min_nodes, spec.max_nodes, spec.idle_seconds, spec.adaptive]
    return digest(
        "cluster",
        [spec.address, spec.cluster_class, repr(spec.options), repr(spec.node), repr(limits), repr(spec.security)],
    )
