"""Azure's whole names of resources, which name a group and a resource wherever they are taken."""

from __future__ import annotations

import pytest

from stepwell import AdlaCompute, BatchCompute, DatabricksCompute
from stepwell.blocks.arguments.resource_ids import group_and_name
from stepwell.errors import ComputeTargetException

WHOLE = "/subscriptions/0/resourceGroups/House/providers/Microsoft.X/accounts/lake"


@pytest.mark.parametrize(
    "written",
    [
        WHOLE,
        WHOLE + "/",
        WHOLE.strip("/"),
        WHOLE.replace("resourceGroups", "resourcegroups").replace("accounts", "Accounts"),
        f"https://management.azure.com{WHOLE}?api-version=2020-01-01",
        WHOLE + "/pools/p",
    ],
)
def test_a_whole_name_is_taken_apart(written):
    assert group_and_name("accounts", None, None, written) == ("House", "lake")
    assert group_and_name("accounts", "house", "lake", written) == ("House", "lake")
    assert group_and_name("accounts", "other", None, written) is None
    assert group_and_name("batchAccounts", None, None, written) is None


@pytest.mark.parametrize(
    "written", ["lake", "/subscriptions/0", "/resourceGroups/g", "/resourceGroups//x/y/accounts/a"]
)
def test_what_is_no_whole_name_names_nothing(written):
    assert group_and_name("accounts", None, None, written) is None


@pytest.mark.parametrize(
    ("target", "kind", "named"),
    [
        (AdlaCompute, "accounts", "account_name"),
        (BatchCompute, "batchAccounts", "account_name"),
        (DatabricksCompute, "workspaces", "workspace_name"),
    ],
)
def test_each_target_takes_one_whole_name_and_refuses_a_contradiction(target, kind, named):
    whole = f"/subscriptions/0/resourcegroups/g/providers/X/{kind.upper()}/n/"
    made = target.attach_configuration(resource_id=whole)
    assert (made.resource_group, getattr(made, named)) == ("g", "n")
    with pytest.raises(ComputeTargetException):
        target.attach_configuration(resource_id=whole, **{named: "other"})
