"""The number of nodes follows our own count of what jobs demand, whatever workers declare and however a class scales."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

ADAPT_SECONDS = 0.25
_SURPLUS_SECONDS = 2.0
"""How long a node that has not come yet waits unneeded before it is called off: steps of one pipeline follow each other."""


def follow(
    cluster: Any, wanted: Callable[[], int], busy: Callable[[], int], fewest: int, most: int, idle_seconds: float
) -> None:
    """Let the cluster have as many nodes as `wanted` returns, from now until it is closed.

    Args:
        cluster: The running cluster.
        wanted: Returns how many nodes there should be, within the limits.
        busy: Returns how many have something to do.
        fewest: How many nodes stay when there is nothing to do.
        most: The most nodes.
        idle_seconds: How long an idle node stays.
    """
    from distributed.deploy.spec import SpecCluster

    if isinstance(cluster, SpecCluster):
        count = max(1, round(idle_seconds / ADAPT_SECONDS))
        cluster.adapt(
            Adaptive=_adaptive(wanted), interval=ADAPT_SECONDS, wait_count=count, minimum=fewest, maximum=most
        )
    else:  # Kubernetes' operator and Coiled choose by themselves which node goes
        arguments = (cluster, wanted, busy, fewest, idle_seconds)
        threading.Thread(target=_scale, args=arguments, name="stepwell-scaling", daemon=True).start()


def _adaptive(wanted: Callable[[], int]) -> Any:
    """Return Dask's adaptive scaling with our own count; nodes that have not come yet are called off soon."""
    from distributed.deploy.adaptive import Adaptive

    class JobAdaptive(Adaptive):  # type: ignore[misc]
        _needed_at = time.monotonic()

        async def target(self) -> int:
            return wanted()

        async def recommendations(self, target: int) -> dict[str, Any]:
            advised: dict[str, Any] = await super().recommendations(target)
            surplus = len(self.plan) - target
            if surplus <= 0:
                self._needed_at = time.monotonic()
            elif advised["status"] != "down" and time.monotonic() - self._needed_at > _SURPLUS_SECONDS:
                cluster: Any = self.cluster
                unneeded = surplus * len(cluster.worker_spec) // len(self.plan)
                expected = islice((name for name in cluster.workers if not self._has_come(name)), unneeded)
                return {"status": "down", "workers": found} if (found := list(expected)) else advised
            return advised

        def _has_come(self, name: object) -> bool:
            return any(str(other) == str(name) or str(other).startswith(f"{name}-") for other in self.observed)

    return JobAdaptive


def _scale(cluster: Any, wanted: Callable[[], int], busy: Callable[[], int], fewest: int, idle_seconds: float) -> None:
    """Call `scale` of the cluster until it is closed: at once for more nodes, after the idle time for fewer."""
    asked, needed_at = fewest, time.monotonic()
    while getattr(cluster.status, "name", "") not in ("closing", "closed", "failed"):
        now = max(wanted(), fewest)
        if now >= asked:
            needed_at = time.monotonic()
        if now > asked or (now < asked and time.monotonic() - needed_at >= idle_seconds):
            now = now if now > asked else max(now, busy())
            if now != asked:
                with suppress(Exception):  # it is asked again
                    cluster.scale(now)
                    asked = now
        time.sleep(ADAPT_SECONDS)
