"""`DataFactoryCompute`: looked up, made and attached as v1's code does; a transfer names it, and this machine does the work."""

from __future__ import annotations

import pytest

from stepwell import ComputeTarget, DataFactoryCompute, DataReference, DataTransferStep
from stepwell.errors import ComputeTargetException


def test_it_is_looked_up_made_and_used_as_v1_s_code_does(project) -> None:
    workspace = project.workspace
    with pytest.raises(ComputeTargetException) as caught:
        DataFactoryCompute(workspace, "factory")
    assert "ComputeTargetNotFound" in caught.value.message
    made = ComputeTarget.create(workspace, "factory", DataFactoryCompute.provisioning_configuration())
    made.wait_for_completion()
    assert (
        DataFactoryCompute(workspace, "factory").type
        == "DataFactoryCompute"
        == workspace.compute_targets["factory"].type
    )
    attached = DataFactoryCompute.attach(
        workspace, "other", DataFactoryCompute.attach_configuration("group", "factory", None)
    )
    assert (attached.resource_group, attached.factory_name, attached.resource_id) == ("group", "factory", "")
    store = workspace.get_default_datastore()
    (store.local_root / "a.txt").write_text("a")
    transfer = DataTransferStep("t", DataReference(store, "a", "a.txt"), DataReference(store, "b", "b.txt"), made)
    step = project.step("s.py", "", compute_target=attached)
    assert project.happened(project.pipeline(transfer, step)) == {"t": "ran", "s.py": "ran"}
    assert (store.local_root / "b.txt").read_text() == "a"
