"""Accounts of Azure Batch, as v1's users attach them."""

from __future__ import annotations

import pytest

from stepwell import BatchCompute, ComputeTarget, LocalCompute
from stepwell.errors import ComputeTargetException

RESOURCE = "/subscriptions/s/resourceGroups/group/providers/Microsoft.Batch/batchAccounts/account"


def test_an_account_is_found_or_attached_as_v1s_code_does(workspace):
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        BatchCompute(workspace, "batch")
    attached = ComputeTarget.attach(workspace, "batch", BatchCompute.attach_configuration(resource_id=RESOURCE))
    assert isinstance(attached, LocalCompute) and attached.type == "BatchCompute"
    found = BatchCompute(workspace, "batch")
    assert (found.resource_group, found.account_name, found.inherits_packages) == ("group", "account", True)


@pytest.mark.parametrize("options", [{}, {"resource_group": "group"}, {"resource_id": "/subscriptions/s"}])
def test_an_account_has_a_group_and_a_name(options):
    with pytest.raises(ComputeTargetException, match="named by its resource group and its name"):
        BatchCompute.attach_configuration(**options)
