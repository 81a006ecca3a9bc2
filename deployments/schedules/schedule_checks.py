"""What is required of a schedule before it is saved."""

from __future__ import annotations

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock, ScheduleBlock
from stepwell.deployments.schedules.prefect_schedules import target_of
from stepwell.errors import UserErrorException


def check_consistency(block: ScheduleBlock) -> None:
    """Raise UserErrorException if what the schedule says of its times and its folder contradicts itself."""
    if bool(block.recurrence) == bool(block.datastore):
        raise UserErrorException(
            "A schedule needs either a recurrence or a datastore", hint="Pass `recurrence=` or `datastore=`."
        )
    if not 1 / 60 <= block.polling_minutes <= 60 * 24 * 365:
        raise UserErrorException(
            f"{block.polling_minutes!r} is no polling interval", hint="Pass minutes, from 1/60 to a year."
        )
    if block.recurrence and (block.path_on_datastore or block.data_path_parameter):
        raise UserErrorException(
            "A path goes with a datastore, not with a recurrence", hint="Leave it out, or pass `datastore=`."
        )


def check_trigger(workspace: BaseWorkspace, block: ScheduleBlock) -> None:
    """Raise UserErrorException if the schedule's datastore or the parameter for its files is not what it must be."""
    if not block.datastore:
        return
    if block.datastore not in workspace.datastores:
        raise UserErrorException(
            f"There is no datastore {block.datastore!r}",
            {"datastores": ", ".join(workspace.datastores)},
            "Correct the name, or register the datastore.",
        )
    workspace.datastores[block.datastore].inside(block.path_on_datastore)
    if block.data_path_parameter:
        known = {str(plain["name"]): plain["type"] for plain in target_of(block).parameters}
        if known.get(block.data_path_parameter) != "data":
            raise UserErrorException(
                f"The pipeline has no data path parameter {block.data_path_parameter!r}",
                {"parameters": ", ".join(known) or "none"},
                "Name a parameter whose default is a DataPath.",
            )
        if block.data_path_parameter in block.parameters:
            raise UserErrorException(
                f"The parameter {block.data_path_parameter!r} is what the trigger sets",
                hint="Leave it out of `pipeline_parameters`.",
            )


def check_enabled(block: ScheduleBlock, published: PublishedPipelineBlock) -> None:
    """Raise UserErrorException if what the schedule is to run is disabled, or the endpoint over it is."""
    endpoints = documents.load_any([PipelineEndpointBlock], endpoint_id=block.pipeline_endpoint_id)
    for endpoint in endpoints if block.pipeline_endpoint_id else []:
        if endpoint.status != "Active":
            raise UserErrorException(
                f"The pipeline endpoint {endpoint.name!r} is {endpoint.status.lower()}, so no schedule can run it",
                {"schedule": block.name},
                "Enable it with `endpoint.reactivate()` first.",
            )
    if published.status != "Active":
        raise UserErrorException(
            f"The published pipeline {published.name!r} is disabled, so no schedule can run it",
            {"schedule": block.name, "id": published.published_id},
            f"Enable it with `stepwell enable {published.published_id}` first.",
        )
