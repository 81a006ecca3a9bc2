"""Runs for times at which a schedule was due, or would have been, and did not run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ScheduleBlock
from stepwell.deployments.schedules.prefect_schedules import due_times_of, run_request_for, target_of
from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
from stepwell.errors import UserErrorException
from stepwell.flows.publishing.submission import SubmittedRun, check_request, definitions_of, submit_run

MOST_RUNS = 500
TAG = "backfill"
"""The tag of such a run; its value is the time that it stands for."""

_PREFECTS_MOST = 1000


class TimeParameter(NamedTuple):
    """The text parameter that is given the time that a run stands for, in a format of `strftime`; '' is ISO 8601."""

    name: str
    format: str = ""

    def text(self, due: datetime) -> str:
        """Return the value for a time."""
        return due.strftime(self.format) if self.format else due.isoformat()


def due_times(recurrence: ScheduleRecurrence, made: datetime, start: datetime, end: datetime) -> list[datetime]:
    """Return the times from `start` to `end` at which a schedule that was made then is due, in its time zone.

    Before its `start_time` it never is; without one it is as if it had always been there. Raise UserErrorException if
    there are more than can be submitted.
    """
    from prefect.server.schemas import schedules as server

    zone = ZoneInfo(recurrence.time_zone)
    first = max(start, recurrence.start_time) if recurrence.start_time else start
    plain = recurrence.for_prefect(_anchor(recurrence, made.astimezone(zone), start))
    schedule = getattr(server, type(plain).__name__).model_validate(plain.model_dump(mode="json"))
    found = asyncio.run(schedule.get_dates(_PREFECTS_MOST, start=first, end=end)) if first <= end else []
    due = [moment.astimezone(zone) for moment in found if first <= moment <= end]
    if len(due) > MOST_RUNS:
        raise UserErrorException(
            f"The schedule is due more than {MOST_RUNS} times between these times",
            {"from": first.isoformat(), "to": end.isoformat()},
            "Narrow it with --from and --to.",
        )
    return due


def _anchor(recurrence: ScheduleRecurrence, made: datetime, start: datetime) -> datetime:
    """Return a time at which the schedule would have begun, to be due before `start` as it is after it was made."""
    if recurrence.frequency == "Cron":
        return start
    if recurrence.start_time or made <= start or recurrence.frequency in ("Minute", "Hour"):
        return made
    step = recurrence.interval
    if recurrence.frequency == "Month":  # as many years back, in which all months lie as they do
        years = -(-(made.year - start.astimezone(made.tzinfo).year + 1) // step) * step
        return made.replace(year=made.year - years, day=min(made.day, 28) if made.month == 2 else made.day)
    days = step * (7 if recurrence.frequency == "Week" else 1)
    return made - (-(-(made - start) // timedelta(days=days))) * timedelta(days=days)


def missed(schedule: ScheduleBlock, start: datetime, end: datetime) -> list[datetime]:
    """Return the times at which the schedule is due and has started no run itself; raise UserErrorException if it has none."""
    if schedule.recurrence is None:
        raise UserErrorException(
            f"The schedule {schedule.name!r} runs when data change, and is due at no times",
            hint="Call the pipeline with each file: `stepwell call`.",
        )
    now = datetime.now(UTC)
    if start > now or end < start:
        raise UserErrorException(
            "A backfill is for times that are past, from the earlier to the later",
            {"from": start.isoformat(timespec="minutes"), "to": end.isoformat(timespec="minutes")},
            "Correct --from and --to.",
        )
    made = datetime.fromtimestamp(schedule.created, UTC)
    ran = {round(moment.timestamp()) for moment in due_times_of(schedule)}
    recurrence = ScheduleRecurrence.from_json(schedule.recurrence)
    return [due for due in due_times(recurrence, made, start, min(end, now)) if round(due.timestamp()) not in ran]


def backfill(
    workspace: BaseWorkspace,
    schedule: ScheduleBlock,
    times: Sequence[datetime],
    parameter: TimeParameter | None = None,
    *,
    again: bool = False,
) -> Iterator[tuple[datetime, SubmittedRun]]:
    """Submit a run for each of the times, the earliest first, and yield it; one that was submitted before is not, but `again`.

    Raise UserErrorException, before any is submitted, if the pipeline has no such parameter of texts.
    """
    published = target_of(schedule)
    if parameter is not None:
        known = {one.name: one for one in definitions_of(published)}
        if parameter.name not in known or known[parameter.name].type != "str" or known[parameter.name].secret:
            texts = [name for name, one in known.items() if one.type == "str" and not one.secret]
            raise UserErrorException(
                f"The pipeline has no parameter {parameter.name!r} that is a text",
                {"texts": ", ".join(texts) or "none"},
                "Name one of these, or add it to the pipeline.",
            )
    requests = []
    for due in times:
        key = f"stepwell-backfill-{schedule.schedule_id}-{due.astimezone(UTC):%Y%m%dT%H%M%S}"
        values = {parameter.name: parameter.text(due)} if parameter else {}
        request = run_request_for(schedule, published, f"{key}-{uuid4().hex}" if again else key, **values)
        request = replace(request, tags={**request.tags, TAG: due.isoformat()})
        check_request(published, request, workspace)
        requests.append((due, request))
    for due, request in requests:
        yield due, submit_run(published, request, workspace)
