"""`DaskCompute`: steps on the workers of a Dask cluster that grows and shrinks with them."""

from __future__ import annotations

import os
import pickle
import select
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stepwell.blocks import dask_boot
from stepwell.blocks.compute import Compute
from stepwell.blocks.dask_cluster import Cluster, ClusterSpec, cluster_of, unreachable
from stepwell.blocks.dask_worker import Order, Report, topic
from stepwell.blocks.files import remove
from stepwell.blocks.job import Finished, Job, Redact, Say
from stepwell.blocks.kit import kit_archive, kit_digest
from stepwell.blocks.processes import StopSignal
from stepwell.errors import ComputeTargetException, StepFailedException, StepwellError
from stepwell.vocabulary import Exit, Resources, StepDefinition

_GRACE_SECONDS = 12.0
_MOST_ROUNDS = 5


class DaskCompute(Compute):
    """Workers of a Dask cluster: one of its own, with `min_nodes` to `max_nodes` workers, or the one at `address`.

    Workers need Python and Dask; packages of a step have to be the same as those in use here, which is checked.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Dask Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-dask-compute"
    _description: ClassVar[str | None] = "Runs steps on the workers of a Dask cluster."
    default_name: ClassVar[str] = "dask"

    address: str = Field(default="", description="The address of a running scheduler; empty: a cluster of its own.")
    cluster_class: str = Field(
        default="distributed.LocalCluster",
        description="The class of the cluster, such as `dask_jobqueue.SLURMCluster`.",
    )
    cluster_options: dict[str, Any] = Field(default_factory=dict, description="What the class is called with.")
    min_nodes: int = Field(default=0, ge=0, description="Nodes that stay when there is nothing to do.")
    max_nodes: int = Field(default_factory=lambda: max(2, os.cpu_count() or 2), ge=1, description="The most nodes.")
    idle_seconds_before_scaledown: float = Field(default=60, ge=0, description="How long a node waits for work.")
    cpus_per_node: int = Field(default=1, ge=1, description="Steps of one processor that a node runs at once.")
    memory_per_node: int = Field(default=0, ge=0, description="Bytes of memory of a node; 0: not counted.")
    tls_ca_file: str = Field(default="", description="The certificate authority of the scheduler.")
    tls_cert: str = Field(default="", description="The client's certificate file.")
    tls_key: str = Field(default="", description="The client's key file.")

    def run(self, job: Job, say: Say, stop: StopSignal, redact: Redact) -> Finished:
        """How the job ended on a worker; if a worker dies meanwhile, it is run again on another."""
        cluster = cluster_of(self.spec())
        demand = self.dask_demand(job.call.definition, cluster)
        probe = job.folder / "probe"
        probe.write_text(job.step_run_id)
        order = Order(job, redact, str(probe), job.step_run_id, sys.executable, self.gpu)
        with cluster.place(job.step_run_id, demand, stop):
            report = _Errand(cluster, order, demand, say, stop).report()
        return _finished(job, report)

    gpu: ClassVar[bool] = False

    def check(self, step: StepDefinition) -> None:
        """Nothing; a step that fits on no node raises ComputeTargetException."""
        if self.address:
            return
        node = self.node()
        for resource, amount in self._wanted(step).items():
            if amount > node.get(resource, 0):
                raise ComputeTargetException(
                    f"No node of compute target {self.name!r} has room for step {step.name!r}",
                    {resource: f"{amount:g}", "a node has": f"{node.get(resource, 0):g}"},
                    "Ask for less, or make the target's nodes larger.",
                )

    # What the cluster is ------------------------------------------------------------------------------------------------

    def spec(self) -> ClusterSpec:
        """The cluster as this process knows it."""
        return ClusterSpec(
            target=self.name or self.default_name,
            address=self.address,
            cluster_class=self.cluster_class,
            options=self.options(),
            node=self.node(),
            min_nodes=self.min_nodes,
            max_nodes=max(self.min_nodes, self.max_nodes),
            idle_seconds=self.idle_seconds_before_scaledown,
            security=self._security(),
        )

    def node(self) -> dict[str, float]:
        """What each node has of Dask's resources."""
        memory = {"memory": float(self.memory_per_node)} if self.memory_per_node else {}
        return {"cpus": float(self.cpus_per_node), **memory}

    def options(self) -> dict[str, Any]:
        """What the cluster's class is called with."""
        if self.cluster_class not in ("LocalCluster", "distributed.LocalCluster", "dask.distributed.LocalCluster"):
            return dict(self.cluster_options)
        memory = {"memory_limit": self.memory_per_node} if self.memory_per_node else {"memory_limit": 0}
        local = {"n_workers": self.min_nodes, "processes": True, "dashboard_address": None, "resources": self.node()}
        return {**local, "threads_per_worker": self.cpus_per_node, **memory, **self.cluster_options}

    def _security(self) -> dict[str, Any]:
        if not (self.tls_ca_file or self.tls_cert):
            return {}
        files = {"tls_ca_file": self.tls_ca_file, "tls_client_cert": self.tls_cert, "tls_client_key": self.tls_key}
        return {**{name: path for name, path in files.items() if path}, "require_encryption": True}

    def _wanted(self, step: StepDefinition) -> dict[str, float]:
        wanted = step.resources or Resources()
        named = {"cpus": wanted.cpus, "memory": float(wanted.memory), "GPU": wanted.gpus}
        return {name: amount for name, amount in named.items() if amount}

    def dask_demand(self, step: StepDefinition, cluster: Cluster) -> dict[str, float]:
        """What the step takes of the resources that the cluster's workers declare."""
        wanted, declared = self._wanted(step), cluster.declared()
        if "GPU" in wanted and "GPU" not in declared:
            raise ComputeTargetException(
                f"No worker of compute target {self.name!r} has a GPU",
                {"step": step.name, "workers": len(cluster.workers())},
                "Start its workers with `--resources GPU=1`, or choose another target.",
            )
        return {name: amount for name, amount in wanted.items() if name in declared}


class _Errand:
    """One order on its way to a worker and back."""

    def __init__(self, cluster: Cluster, order: Order, demand: Mapping[str, float], say: Say, stop: StopSignal) -> None:
        self._cluster, self._order, self._demand, self._say, self._stop = cluster, order, demand, say, stop
        self._attempts = 0
        self._ended = StopSignal()

    def report(self) -> Report:
        """What came of the order, its data supplied as far as workers lack them."""
        name, archive = topic(self._order.job.step_run_id), None
        self._order.job.logs.mkdir(parents=True, exist_ok=True)
        self._cluster.listen(name, self._heard)
        try:
            for _ in range(_MOST_ROUNDS):
                answer = self._sent(archive)
                if isinstance(answer, Exception):
                    raise _told(answer, self._order.job)
                if answer == "kit":
                    archive = kit_archive()
                elif answer.needs:
                    self._supply(answer.needs)
                else:
                    assert isinstance(answer, Report)
                    return answer
            raise unreachable(self._cluster.spec, "its workers keep losing what is sent to them")
        finally:
            self._cluster.listen(name, None)

    def _sent(self, archive: bytes | None) -> Any:
        self._attempts = 0
        if self._stop.stopped:
            return Report(exit=Exit(-15, 0.0, cancelled=True))
        try:
            future = _submit(self._cluster, self._order, archive, self._demand)
            return self._awaited(future)
        except StepwellError:
            raise
        except Exception as error:
            raise (
                _told(error, self._order.job) if self._cluster.alive else unreachable(self._cluster.spec, str(error))
            ) from error

    def _awaited(self, future: Any) -> Any:
        done = StopSignal()
        future.add_done_callback(lambda _: done.stop())
        if _first(done, self._stop) is done:
            return future.result()
        future.cancel(force=True)
        if self._attempts:
            _first(self._ended, seconds=_GRACE_SECONDS)
        return Report(exit=Exit(-15, 0.0, cancelled=True))

    def _supply(self, digests: tuple[str, ...]) -> None:
        job = self._order.job
        assert job.depot
        paths = {job.call.snapshot: job.snapshot, **{a.digest: job.inputs[n] for n, a in job.call.inputs.items()}}
        for digest in digests:
            path = paths[digest]
            assert path
            self._say(f"Uploading {digest[:12]} to {job.depot.url}, as the workers share no disk\n")
            job.depot.put(path, digest)

    def _heard(self, event: Mapping[str, Any]) -> None:
        log = self._order.job.logs / "70_driver_log.txt"
        if "began" in event:
            self._attempts += 1
            if self._attempts > 1:
                self._say(f"The worker is gone; the step runs again on {event['began']}\n")
            log.write_bytes(b"")
        elif "text" in event:
            text = str(event["text"])
            with suppress(OSError), open(log, "a", errors="surrogateescape") as stream:
                stream.write(text)
            self._say(text)
        elif "ended" in event:
            self._ended.stop()


def _submit(cluster: Cluster, order: Order, archive: bytes | None, demand: Mapping[str, float]) -> Any:
    key = f"stepwell-{order.job.call.definition.name}-{order.job.step_run_id}-{os.urandom(4).hex()}"
    return cluster.client.submit(
        _boot(), kit_digest(), archive, pickle.dumps(order), key=key, pure=False, resources=dict(demand) or None
    )


@cache
def _boot() -> Any:
    """The function that workers start with, in a form that Dask sends by value."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(dask_boot)
    return dask_boot.start


def _first(*signals: StopSignal, seconds: float | None = None) -> StopSignal | None:
    """The signal that is raised first, None if none is in time."""
    poll = select.poll()
    for signal in signals:
        poll.register(signal, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
    return next((signal for signal in signals if signal.fileno() in ready), None)


def _told(error: BaseException, job: Job) -> StepwellError:
    """An error of Dask's or of a worker's in our own words."""
    if isinstance(error, StepwellError):
        return error
    name = job.call.definition.name
    if type(error).__name__ == "KilledWorker":
        return StepFailedException(
            f"Every Dask worker that ran the step {name!r} died",
            {"reason": "most often the step needs more memory than a worker has"},
            "Give the workers more memory, or the step fewer data.",
        )
    facts = {"reason": f"{type(error).__name__}: {error}"}
    return ComputeTargetException(f"A Dask worker could not run the step {name!r}", facts, "Look at the worker's log.")


def _finished(job: Job, report: Report) -> Finished:
    """The report with its record and outputs on this machine."""
    assert report.exit is not None
    if not report.record:
        return Finished(report.exit, {})
    if report.shared:
        record, outputs = Path(report.record), {name: Path(path) for name, path in report.outputs.items()}
    else:
        assert job.depot
        record = job.depot.get(report.record, job.folder / "record")
        job.depot.discard(report.record)
        outputs = {
            port.name: job.depot.get(report.outputs[port.name], job.folder / "outputs" / port.name)
            if port.name in report.outputs
            else job.folder / "outputs" / "none" / port.name
            for port in job.call.definition.outputs
        }
    remove(job.record)
    shutil.move(record, job.record)
    return Finished(report.exit, outputs, same_files=report.shared, facts=report.facts)
