"""The state of a compute target: its nodes and their limits, with v1's names and keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SUCCEEDED = "Succeeded"
"""The provisioning state of every target that is saved: there is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class ScaleSettings:
    """The fewest and the most nodes that a target may have, and how long one waits for work before it goes."""

    minimum_node_count: int = 1
    maximum_node_count: int = 1
    idle_seconds_before_scaledown: float | None = None

    def serialize(self) -> dict[str, Any]:
        """Return the settings as v1 writes them."""
        idle = self.idle_seconds_before_scaledown
        return {
            "minNodeCount": self.minimum_node_count,
            "maxNodeCount": self.maximum_node_count,
            "nodeIdleTimeBeforeScaleDown": None if idle is None else f"PT{idle:g}S",
        }


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Nodes that there are, that there should be, and that run a step."""

    current: int = 1
    target: int = 1
    running: int = 0

    def serialize(self) -> dict[str, int]:
        """Return the nodes by what they do, as v1 writes them."""
        running = min(self.running, self.current)
        return {
            "preparingNodeCount": max(0, self.target - self.current),
            "runningNodeCount": running,
            "idleNodeCount": self.current - running,
            "unusableNodeCount": 0,
            "leavingNodeCount": 0,
            "preemptedNodeCount": 0,
        }


@dataclass(frozen=True, slots=True)
class ComputeStatus:
    """A target at one moment."""

    nodes: NodeCounts = field(default_factory=NodeCounts)
    scale_settings: ScaleSettings = field(default_factory=ScaleSettings)
    creation_time: str | None = None
    modified_time: str | None = None
    vm_priority: str = ""
    vm_size: str = ""
    provisioning_state: str = SUCCEEDED
    errors: tuple[str, ...] = ()

    @property
    def current_node_count(self) -> int:
        """The number of nodes that there are."""
        return self.nodes.current

    @property
    def target_node_count(self) -> int:
        """The number of nodes that there should be."""
        return self.nodes.target

    @property
    def node_state_counts(self) -> dict[str, int]:
        """The number of nodes by what they do, under v1's keys."""
        return self.nodes.serialize()

    @property
    def allocation_state(self) -> str:
        """`Steady`, or `Resizing` while nodes come or go."""
        return "Steady" if self.nodes.current == self.nodes.target else "Resizing"

    def serialize(self) -> dict[str, Any]:
        """Return the status as plain values, under v1's keys."""
        return {
            "currentNodeCount": self.nodes.current,
            "targetNodeCount": self.nodes.target,
            "nodeStateCounts": self.nodes.serialize(),
            "allocationState": self.allocation_state,
            "allocationStateTransitionTime": None,
            "errors": list(self.errors) or None,
            "creationTime": self.creation_time,
            "modifiedTime": self.modified_time,
            "provisioningState": self.provisioning_state,
            "provisioningStateTransitionTime": None,
            "scaleSettings": self.scale_settings.serialize(),
            "vmPriority": self.vm_priority,
            "vmSize": self.vm_size,
        }
