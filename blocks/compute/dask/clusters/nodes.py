"""The nodes of a Dask cluster: counted without waking it, or waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from stepwell.blocks.compute.dask.clusters.cluster import ClusterSpec, cluster_of, known_cluster
from stepwell.blocks.compute.status import NodeCounts

_POLL_SECONDS = 0.05


def count_nodes(spec: ClusterSpec) -> NodeCounts:
    """Return the nodes that this process knows of; none if it has not started the cluster, or connected to it."""
    cluster = known_cluster(spec)
    if cluster is None:
        return NodeCounts(0, 0, 0)
    current = len(cluster.workers())
    target = current if spec.address else max(current, cluster.wanted)  # idle nodes stay until their time is up
    return NodeCounts(current, target, cluster.busy())


def await_nodes(spec: ClusterSpec, count: int, seconds: float, on_output: Callable[[int], None]) -> int:
    """Wait until there are `count` nodes or the time is up, and return how many there are.

    The cluster is started if need be. `on_output` is called with each change of the number.
    """
    until, reported = time.monotonic() + seconds, -1
    cluster = cluster_of(spec)
    demand = {resource: amount * count for resource, amount in spec.node.items()}
    with cluster.counted(f"nodes-{os.urandom(8).hex()}", demand):
        while True:
            cluster.raise_problem()
            found = len(cluster.workers())
            if found != reported:
                on_output(found)
            reported = found
            if found >= count or time.monotonic() >= until or not cluster.alive:
                return found
            time.sleep(_POLL_SECONDS)
