"""`DaskCompute`: steps on the workers of a Dask cluster that grows and shrinks with them.

What happens to a step whose worker dies is in `job_on_worker`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute, refuse_inside_step
from stepwell.blocks.compute.dask.clusters.cluster import Cluster, ClusterSpec, cluster_of, known_cluster
from stepwell.blocks.compute.dask.clusters.families import cpus_of
from stepwell.blocks.compute.dask.clusters.nodes import await_nodes, count_nodes
from stepwell.blocks.compute.dask.job_on_worker import JobTransfer, collect_results
from stepwell.blocks.compute.dask.worker import JobRequest
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.status import NodeCounts, ScaleSettings
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import Resources, StepDefinition

_FEWEST_SENT = 64


@checked
class DaskCompute(Compute):
    """Workers of a Dask cluster: one of its own, with `min_nodes` to `max_nodes` workers, or the one at `address`.

    Workers need Python and Dask; packages of a step have to be the same as those in use here, which is checked.

    Attributes:
        max_concurrent: How many steps of a pipeline are sent to the cluster at once; 0 (the default) sends as many as its
            nodes may have room for, and 64 at least.
        address: The address of a running scheduler; by default the target has a cluster of its own.
        cluster_class: The class of its own cluster, such as `dask_jobqueue.SLURMCluster`.
        cluster_options: What the class is called with.
        min_nodes: Nodes that stay when there is nothing to do.
        max_nodes: The most nodes; by default as many as there are processors.
        idle_seconds_before_scaledown: How long a node waits for work before it goes.
        cpus_per_node: Steps of one processor that a node runs at once.
        memory_per_node: Bytes of memory of a node; 0 does not count memory.
        tls_ca_file: The certificate authority of the scheduler.
        tls_cert: The client's certificate file.
        tls_key: The client's key file.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Dask Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-dask-compute"
    _description: ClassVar[str | None] = "Runs steps on the workers of a Dask cluster."
    default_name: ClassVar[str] = "dask"

    max_concurrent: int = Field(
        default=0, ge=0, description="How many steps are sent to the cluster at once; 0: as many as there is room for."
    )
    address: str = Field(default="", description="The address of a running scheduler; empty: a cluster of its own.")
    cluster_class: str = Field(
        default="distributed.LocalCluster",
        description="The class of the cluster, such as `dask_jobqueue.SLURMCluster`.",
    )
    cluster_options: dict[str, Any] = Field(default_factory=dict, description="What the class is called with.")
    min_nodes: int = Field(default=0, ge=0, description="Nodes that stay when there is nothing to do.")
    max_nodes: int = Field(default_factory=lambda: max(2, os.cpu_count() or 2), ge=1, description="The most nodes.")
    idle_seconds_before_scaledown: float = Field(
        default=60, ge=0, allow_inf_nan=False, description="How long a node waits for work."
    )
    cpus_per_node: int = Field(default=1, ge=1, description="Steps of one processor that a node runs at once.")
    memory_per_node: int = Field(default=0, ge=0, description="Bytes of memory of a node; 0: not counted.")
    tls_ca_file: str = Field(default="", description="The certificate authority of the scheduler.")
    tls_cert: str = Field(default="", description="The client's certificate file.")
    tls_key: str = Field(default="", description="The client's key file.")

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job on a worker; if the worker dies meanwhile, run it again on another.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: The cluster can't be started or reached, or the step fits on no worker.
            StepFailedException: Every worker died that ran the step, or workers have other packages or data.
        """
        cluster = cluster_of(self.spec())
        probe = job.folder / "probe"
        probe.write_text(job.step_run_id)
        request = JobRequest(
            job, redact, str(probe), job.step_run_id, sys.executable, cluster.topic, cluster.on_this_machine, self.gpu
        )
        with cluster.hold_node(job.step_run_id, self._wanted(job.call.definition), stop, on_output):
            demand = {} if stop.stopped else self.dask_demand(job.call.definition, cluster)
            report = JobTransfer(cluster, request, demand, on_output, stop).report()
        return collect_results(job, report)

    gpu: ClassVar[bool] = False

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step fits on no node of the target's own cluster.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step asks for more than a node has.
        """
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

    def capacity(self) -> Mapping[str, float]:
        """Return how many steps of one pipeline are sent to the cluster at once; there they wait for a worker.

        Returns:
            The number of `steps`.
        """
        return {"steps": self.max_concurrent or max(_FEWEST_SENT, self._places())}

    def _places(self) -> int:
        """Return how many steps of one processor the nodes have room for; of a cluster elsewhere, those that it has now."""
        if not self.address:
            return int(self.scale_settings.maximum_node_count * self.node()["cpus"])
        cluster = known_cluster(self.spec())
        return cluster.threads() if cluster else 0

    # Its nodes --------------------------------------------------------------------------------------------------------

    @property
    def scale_settings(self) -> ScaleSettings:
        """The fewest and the most nodes that it may have, and how long one waits for work."""
        most = max(self.min_nodes, self.max_nodes)
        return ScaleSettings(self.min_nodes, most, self.idle_seconds_before_scaledown)

    def node_counts(self) -> NodeCounts:
        """Return the nodes that this process has of it; starts and connects to nothing.

        Returns:
            How many nodes there are, should be, and run a step.
        """
        return count_nodes(self.spec())

    def wait_for_completion(
        self,
        show_output: bool = False,
        min_node_count: int | str | None = None,
        timeout_in_minutes: float | str = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Wait until `min_node_count` nodes are there, started for this process, or the time is up, as in v1.

        Args:
            show_output: Whether to print v1's lines, and each change of the number of nodes.
            min_node_count: How many nodes to wait for, as far as the target may have them; by default `min_nodes`.
            timeout_in_minutes: How long to wait at most, in minutes; then it is printed, not raised, that nodes lack.
            is_delete_operation: Whether the target is being deleted: there is nothing to wait for then.

        Raises:
            ComputeTargetException: The cluster can't be started or reached, or a step called it.
        """
        refuse_inside_step("wait for")
        on_output = print if show_output else _discard
        wanted = self.min_nodes if min_node_count is None else int(min_node_count)
        if is_delete_operation or wanted <= 0:
            on_output(f"{self.provisioning_state}\n{self.type} wait for completion finished\n")
            return
        self.ready()
        most = wanted if self.address else min(wanted, self.scale_settings.maximum_node_count)
        found = await_nodes(
            self._awaited(), most, 60 * float(timeout_in_minutes), lambda n: on_output(f"{n} of {wanted} nodes")
        )
        on_output(f"{self.provisioning_state}\n{self.type} wait for completion finished\n")
        if found >= wanted:
            on_output("Minimum number of nodes requested have been provisioned")
        else:
            on_output("Wait timeout has been reached" if found < most else f"The target has {most} nodes at most")
            state = f'provisioning state of {self.type} is "{self.provisioning_state}"'
            on_output(f'Current {state} and current node count is "{found}"')

    def _awaited(self) -> ClusterSpec:
        """Return the description of the cluster whose nodes are waited for."""
        return self.spec()

    # What the cluster is ----------------------------------------------------------------------------------------------

    def spec(self) -> ClusterSpec:
        """Return the description of the cluster, by which this process finds it again.

        Returns:
            The spec of the cluster.
        """
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
        """Return what each node has of Dask's resources.

        Returns:
            Amounts by resource: `cpus` (of a class that is told `cores`, these), and `memory` (bytes) if it is counted.
        """
        memory = {"memory": float(self.memory_per_node)} if self.memory_per_node else {}
        return {"cpus": cpus_of(self.cluster_options, float(self.cpus_per_node)), **memory}

    def options(self) -> dict[str, Any]:
        """Return what the cluster's class is called with.

        Returns:
            Keyword arguments, those of `cluster_options` last.
        """
        if self.cluster_class not in ("LocalCluster", "distributed.LocalCluster", "dask.distributed.LocalCluster"):
            return dict(self.cluster_options)
        memory = {"memory_limit": self.memory_per_node} if self.memory_per_node else {"memory_limit": 0}
        local = {
            "n_workers": self.min_nodes,
            "processes": True,
            "dashboard_address": "127.0.0.1:0",
            "resources": self.node(),
            "silence_logs": logging.CRITICAL,  # errors are raised as our own
        }
        return {**local, "threads_per_worker": self.cpus_per_node, **memory, **self.cluster_options}

    def _security(self) -> dict[str, Any]:
        if not (self.tls_ca_file or self.tls_cert):
            return {}
        files = {"tls_ca_file": self.tls_ca_file, "tls_client_cert": self.tls_cert, "tls_client_key": self.tls_key}
        return {**{name: path for name, path in files.items() if path}, "require_encryption": True}

    def _wanted(self, step: StepDefinition) -> dict[str, float]:
        wanted = step.resources or Resources()
        named = {"cpus": wanted.cpus, "memory": float(wanted.memory), "GPU": wanted.gpus}
        if not (self.memory_per_node or self.address):  # not counted
            del named["memory"]
        return {name: amount for name, amount in named.items() if amount}

    def dask_demand(self, step: StepDefinition, cluster: Cluster) -> dict[str, float]:
        """Return what the step takes of the resources that the cluster's workers declare.

        Args:
            step: The definition of the step.
            cluster: The running cluster.

        Returns:
            Amounts by Dask's resources.

        Raises:
            ComputeTargetException: The step asks for a GPU and no worker declares one.
        """
        wanted, declared = self._wanted(step), cluster.declared()
        if "GPU" in wanted and "GPU" not in declared:
            raise ComputeTargetException(
                f"No worker of compute target {self.name!r} has a GPU",
                {"step": step.name, "workers": len(cluster.workers())},
                "Start its workers with `--resources GPU=1`, or choose another target.",
            )
        return {name: amount for name, amount in wanted.items() if name in declared}


def _discard(_: object) -> None:
    pass
