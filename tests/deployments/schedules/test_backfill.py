"""Times at which schedules were due, and what is submitted for them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stepwell import ScheduleRecurrence
from stepwell.deployments.schedules import backfill
from stepwell.deployments.schedules.backfill import due_times
from stepwell.errors import UserErrorException

MADE = datetime(2026, 5, 20, 9, 15, tzinfo=UTC)


def due(recurrence, start, end):
    found = due_times(recurrence, MADE, datetime.fromisoformat(start), datetime.fromisoformat(end))
    return [f"{moment:%m-%d %H:%M}" for moment in found]


@pytest.mark.parametrize(
    ("recurrence", "times"),
    [
        (ScheduleRecurrence.of_cron("30 6 * * 1-5", "Europe/Warsaw"), ["05-01 06:30", "05-04 06:30", "05-05 06:30"]),
        (ScheduleRecurrence("Day", 2), ["05-02 09:15", "05-04 09:15"]),
        (ScheduleRecurrence("Day", 1, time_of_day="07:00"), [f"05-0{day} 07:00" for day in range(1, 6)]),
        (ScheduleRecurrence("Week", 1, week_days=["Monday"], hours=[6]), ["05-04 06:00"]),
        (ScheduleRecurrence("Hour", 36), ["05-02 09:15", "05-03 21:15", "05-05 09:15"]),
        (ScheduleRecurrence("Day", 1, "2026-05-04T08:00:00"), ["05-04 08:00", "05-05 08:00"]),
        (ScheduleRecurrence("Hour", 24, "2026-05-04T08:00:00"), ["05-04 08:00", "05-05 08:00"]),
        (ScheduleRecurrence("Month", 1), []),
    ],
)
def test_the_times_are_those_of_the_recurrence_as_if_it_had_always_been_there(recurrence, times):
    assert due(recurrence, "2026-05-01T00:00:00+00:00", "2026-05-05T12:00:00+00:00") == times


def test_months_go_back_as_they_go_on():
    months = due(ScheduleRecurrence("Month", 3), "2025-01-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00")
    assert months == ["02-20 09:15", "05-20 09:15", "08-20 09:15", "11-20 09:15", "02-20 09:15"]


def test_more_than_can_be_submitted_is_refused(monkeypatch):
    monkeypatch.setattr(backfill, "MOST_RUNS", 5)
    with pytest.raises(UserErrorException, match="more than 5 times"):
        due(ScheduleRecurrence("Minute", 1), "2026-05-01T00:00:00+00:00", "2026-05-05T12:00:00+00:00")
