"""Whoever reaches Prefect may switch its check of parameters off, run by run: a disabled pipeline stays disabled."""

from __future__ import annotations

import httpx
import prefect_api
import pytest
from waiting import PATIENCE
from published import endpoint, work


@pytest.mark.parametrize(("check", "status"), [({}, 409), ({"enforce_parameter_schema": False}, 201)])
def test_a_disabled_pipeline_runs_no_step_whatever_prefect_accepts(server, project, check, status):
    published = project.pipeline(project.step("a.py", "pass"), name="closed").publish()
    published.disable()
    address = f"{server}/deployments/{published.block.deployment_id}/create_flow_run"
    made = httpx.post(address, json=check, timeout=PATIENCE, auth=prefect_api.auth())
    assert made.status_code == status
    if status == 201:
        assert work(made.json()["id"]) == "Failed"
        shown = endpoint().get(f"/runs/{made.json()['id']}").json()
        assert (shown["status"], "is disabled" in shown["problem"]) == ("Failed", True)
    assert dict(project.executions) == {}
