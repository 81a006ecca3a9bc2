"""An AdlaCompute is attached and found as v1's listing does it, and runs AdlaSteps alone."""

from __future__ import annotations

import pytest

from stepwell import AdlaCompute, ComputeTarget, PipelineData, AdlaStep
from stepwell.errors import ComputeTargetException

pytest.importorskip("duckdb")


def test_it_is_attached_and_found_under_its_name(workspace):
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(workspace=workspace, name="adla")
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        AdlaCompute(workspace, "adla")
    configuration = AdlaCompute.attach_configuration(resource_group="house", account_name="lake")
    attached = ComputeTarget.attach(workspace, "adla", configuration)
    attached.wait_for_completion(True)
    found = AdlaCompute(workspace, "adla")
    assert (found.type, found.resource_group, found.account_name) == ("AdlaCompute", "house", "lake")
    assert found.serialize()["properties"]["account_name"] == "lake"
    assert "adla" in workspace.compute_targets
    found.detach()
    assert "adla" not in workspace.compute_targets


def test_an_account_is_named_in_two_ways():
    path = "/subscriptions/0/resourceGroups/house/providers/Microsoft.DataLakeAnalytics/accounts/lake"
    assert AdlaCompute.attach_configuration(resource_id=path).resource_group == "house"
    for wrong in ({}, {"resource_group": "house"}, {"resource_id": "lake"}, {"resource_id": path, "account_name": "x"}):
        with pytest.raises(ComputeTargetException, match="Pass `resource_group` and `account_name`"):
            AdlaCompute.attach_configuration(**wrong)


def test_only_usql_runs_on_it(project, workspace):
    ComputeTarget.attach(workspace, "adla", AdlaCompute.attach_configuration("house", "lake"))
    pipeline = project.pipeline(project.step("a.py", "", compute_target="adla"))
    assert "The compute target 'adla' runs AdlaSteps alone" in project.run(pipeline).problem
    project.write("a.usql", "")
    step = AdlaStep("a.usql", outputs=[PipelineData("o")], compute_target="adla", source_directory=project.source)
    AdlaCompute(workspace, "adla").check(step.define(step_id="a", producers={}, ids={}))
