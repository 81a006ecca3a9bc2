"""A run that was registered here and is executed here at once: Prefect's server is not asked what it just said."""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient

from stepwell.flows.runs import launch
from stepwell.flows.runs.flow_run import RunOptions


def test_the_server_is_asked_for_a_run_only_if_another_one_was_registered_since(project, monkeypatch):
    asked, read = [], SyncPrefectClient.read_flow_run
    monkeypatch.setattr(
        SyncPrefectClient, "read_flow_run", lambda self, name: asked.append(str(name)) or read(self, name)
    )
    pipeline = project.pipeline(project.step("a.py", ""))
    first, second = (launch.register(pipeline, "tried", {}, {}, RunOptions()) for _ in range(2))
    for run, calls in ((second, 1), (first, 2)):  # Prefect's engine asks once
        asked.clear()
        assert launch.execute(pipeline, run, {}, RunOptions()).status == "Finished"
        assert asked == [run.run_id] * calls
    assert launch._just_registered == {}
