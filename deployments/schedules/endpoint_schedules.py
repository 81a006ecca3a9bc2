"""Schedules of pipeline endpoints: they follow the default version."""

from __future__ import annotations

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, ScheduleBlock
from stepwell.deployments.schedules.prefect_schedules import activate, deactivate, target_of


def follow(endpoint: PipelineEndpointBlock) -> None:
    """Let the endpoint's schedules run its default from now on.

    Raise UserErrorException if the default does not take the parameters of one of them; that one goes on as before.
    """
    for schedule in documents.load_any([ScheduleBlock], pipeline_endpoint_id=endpoint.endpoint_id):
        published = target_of(schedule)
        if schedule.recurrence is None or schedule.status != "Active":
            continue
        if schedule.deployment_id != published.deployment_id:
            active = activate(schedule, published)
            deactivate(schedule)
            try:
                documents.replace(active, f"schedule {schedule.name!r}")
            except documents.DeletedException:
                deactivate(active)
