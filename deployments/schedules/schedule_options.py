"""What `Schedule.create_for_pipeline_endpoint` takes beside its own arguments, as `Schedule.create` does."""

from __future__ import annotations

from typing import TypedDict

from stepwell.blocks.workspace.datastore import Datastore


class ScheduleOptions(TypedDict, total=False):
    """Keyword arguments of `Schedule.create`."""

    wait_for_provisioning: bool
    wait_timeout: int
    datastore: Datastore | str | None
    polling_interval: float
    data_path_parameter_name: str | None
    continue_on_step_failure: bool | None
    path_on_datastore: str | None
