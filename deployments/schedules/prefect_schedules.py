"""Schedules as Prefect has them: each belongs to the deployment of the pipeline that it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock, ScheduleBlock
from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.parameters.schema import for_prefect, from_prefect
from stepwell.flows.public.workspace import Workspace
from stepwell.flows.publishing.submission import RunRequest, check_request, definitions_of, prefect_parameters

_PAGE = 200


def target_of(schedule: ScheduleBlock) -> PublishedPipelineBlock:
    """Return the published pipeline that the schedule runs now; raise ExperimentExecutionException if it is gone."""
    wanted = schedule.pipeline_id
    if schedule.pipeline_endpoint_id:
        found = documents.load_any([PipelineEndpointBlock], endpoint_id=schedule.pipeline_endpoint_id)
        wanted = found[0].versions[found[0].default_version] if found else ""
    blocks = documents.load_any([PublishedPipelineBlock], published_id=wanted)
    if not blocks or blocks[0].workspace != schedule.workspace:
        raise ExperimentExecutionException(
            "What the schedule runs is not there",
            {"schedule": schedule.name, "id": schedule.pipeline_id or schedule.pipeline_endpoint_id},
            "List the published pipelines with `stepwell pipelines`.",
        )
    return blocks[0]


def run_request_for(
    schedule: ScheduleBlock, published: PublishedPipelineBlock, key: str = "", **more: Any
) -> RunRequest:
    """Return the request for a run of the schedule; `more` are values of parameters beside its own."""
    known = {definition.name: definition for definition in definitions_of(published)}
    own = {
        name: from_prefect(known[name], value) if name in known else value
        for name, value in schedule.parameters.items()
    }
    return RunRequest(
        schedule.experiment_name,
        {**own, **more},
        {"ScheduleId": schedule.schedule_id},
        continue_on_failure=schedule.continue_on_failure,
        key=key,
    )


def plain_values(published: PublishedPipelineBlock, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as a schedule's document keeps them."""
    known = {definition.name: definition for definition in definitions_of(published) if not definition.secret}
    return {name: for_prefect(known[name], value) if name in known else value for name, value in given.items()}


def check(schedule: ScheduleBlock, published: PublishedPipelineBlock, **more: Any) -> None:
    """Raise UserErrorException if the schedule's runs could not be submitted."""
    secret = sorted({d.name for d in definitions_of(published) if d.secret} & set(schedule.parameters))
    if secret:
        raise UserErrorException(
            f"The parameter {secret[0]!r} is secret, and schedules are no place for secrets",
            hint="Leave it out, and publish the pipeline with the secret as its default.",
        )
    check_request(published, run_request_for(schedule, published, **more), Workspace.get(schedule.workspace))


def activate(schedule: ScheduleBlock, published: PublishedPipelineBlock) -> ScheduleBlock:
    """Add the schedule to the pipeline's deployment in Prefect, and return it with its ids there."""
    assert schedule.recurrence is not None
    values = check_request(published, run_request_for(schedule, published), Workspace.get(schedule.workspace))
    new = DeploymentScheduleCreate(
        schedule=ScheduleRecurrence.from_json(schedule.recurrence).for_prefect(datetime.now(UTC)),
        active=True,
        parameters=prefect_parameters(published, run_request_for(schedule, published), values),
    )
    with client() as api:
        try:
            (made,) = api.create_deployment_schedules(UUID(published.deployment_id), [new])
        except PrefectHTTPStatusError as error:
            raise UserErrorException(
                "Prefect does not take the schedule",
                {"reason": error.response.text[:300]},
                "Change the recurrence or the parameters.",
            ) from None
        with suppress(PrefectHTTPStatusError):  # Prefect's own service does the same, but once a minute
            api.request("POST", f"/deployments/{published.deployment_id}/schedule", json={})  # type: ignore[arg-type]
    ids = [*schedule.prefect_schedule_ids, str(made.id)]
    return schedule.model_copy(update={"deployment_id": published.deployment_id, "prefect_schedule_ids": ids})


def deactivate(schedule: ScheduleBlock) -> None:
    """Delete the schedule from Prefect, which starts no more runs of it, not even those that it has planned."""
    if schedule.prefect_schedule_ids:
        with client() as api, suppress(ObjectNotFound):
            api.delete_deployment_schedule(UUID(schedule.deployment_id), UUID(schedule.prefect_schedule_ids[-1]))


def next_run_of(schedule: ScheduleBlock) -> datetime | None:
    """Return when its next run is due, as Prefect has planned it; None if there is none."""
    if not schedule.prefect_schedule_ids or schedule.status != "Active":
        return None
    body = {
        "flow_runs": {
            "created_by": {"id_": schedule.prefect_schedule_ids[-1:]},
            "state": {"name": {"any_": ["Scheduled", "Late"]}},
        },
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    with client() as api:
        found = api.request("POST", "/flow_runs/filter", json=body).json()
    return datetime.fromisoformat(found[0]["expected_start_time"]) if found else None


def last_run_of(schedule: ScheduleBlock) -> Mapping[str, Any] | None:
    """Return what Prefect knows of the run that it started last, None if it has started none."""
    return next(iter(_runs_of(schedule, 1)), None)


def run_ids_of(schedule: ScheduleBlock) -> Sequence[str]:
    """Return the ids of its runs, newest first."""
    return [str(run["id"]) for run in _runs_of(schedule, _PAGE)]


def due_times_of(schedule: ScheduleBlock) -> Sequence[datetime]:
    """Return the times for which Prefect itself has made runs of it that have begun, the newest first."""
    runs = _runs_of(schedule, _PAGE)
    own = [run for run in runs if (run.get("created_by") or {}).get("id") in schedule.prefect_schedule_ids]
    return [datetime.fromisoformat(run["expected_start_time"]) for run in own]


def _runs_of(schedule: ScheduleBlock, most: int) -> Sequence[Mapping[str, Any]]:
    """Return its newest runs first: Prefect knows the schedule of those it made, submitted ones have its tag."""
    by = [{"tags": {"all_": [f"ScheduleId:{schedule.schedule_id}"]}}]
    if schedule.prefect_schedule_ids:
        by.append({"created_by": {"id_": schedule.prefect_schedule_ids}})
    found: dict[str, Mapping[str, Any]] = {}
    with client() as api:
        for origin in by:
            begun = {**origin, "state": {"name": {"not_any_": ["Scheduled"]}}}
            body = {"flow_runs": begun, "sort": "START_TIME_DESC", "limit": most}
            for run in api.request("POST", "/flow_runs/filter", json=body).json():
                found[run["id"]] = run
    return sorted(found.values(), key=lambda run: str(run["expected_start_time"]), reverse=True)
