"""A target's status has v1's keys, and its node counts add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepwell.blocks.compute.status import ComputeStatus, NodeCounts, ScaleSettings

KEYS = {
    "currentNodeCount", "targetNodeCount", "nodeStateCounts", "allocationState", "allocationStateTransitionTime",
    "errors", "creationTime", "modifiedTime", "provisioningState", "provisioningStateTransitionTime",
    "scaleSettings", "vmPriority", "vmSize",
}  # fmt: skip
STATES = {f"{state}NodeCount" for state in ("preparing", "running", "idle", "unusable", "leaving", "preempted")}
counts = st.integers(0, 1000)


def test_a_status_is_written_with_the_keys_of_v1():
    status = ComputeStatus(NodeCounts(2, 3, 1), ScaleSettings(0, 4, 120), "then", "now", "Dedicated", "STANDARD_NC6")
    written = status.serialize()
    assert set(written) == KEYS
    assert written["nodeStateCounts"] == {
        **dict.fromkeys(STATES, 0), "preparingNodeCount": 1, "runningNodeCount": 1, "idleNodeCount": 1,
    }  # fmt: skip
    assert written["scaleSettings"] == {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"}
    assert (written["allocationState"], written["errors"], written["provisioningState"]) == (
        "Resizing",
        None,
        "Succeeded",
    )
    assert (written["creationTime"], written["vmSize"], written["vmPriority"]) == ("then", "STANDARD_NC6", "Dedicated")


@given(counts, counts, counts)
def test_every_node_is_counted_once(current, target, running):
    states = NodeCounts(current, target, running).serialize()
    assert set(states) == STATES and min(states.values()) >= 0
    assert states["runningNodeCount"] + states["idleNodeCount"] == current
    assert states["preparingNodeCount"] == max(0, target - current)
