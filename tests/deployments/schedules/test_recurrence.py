from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.server.schemas import schedules

from stepwell import ScheduleRecurrence
from stepwell.errors import UserErrorException

NOW = datetime(2026, 11, 24, 5, 0, 30, tzinfo=UTC)


def times(recurrence, count=4, after=NOW, now=NOW):
    """When Prefect's server itself says that runs are due."""
    made = recurrence.for_prefect(now)
    kind = getattr(schedules, type(made).__name__)
    server = kind.model_validate(made.model_dump(exclude_unset=True))
    found = asyncio.run(server.get_dates(count, start=after))
    return [moment.astimezone(ZoneInfo(recurrence.time_zone)) for moment in found]


def shown(recurrence, **more):
    return [f"{moment:%a %d %b %H:%M}" for moment in times(recurrence, **more)]


def test_minutes_and_hours_are_equal_times_apart():
    assert shown(ScheduleRecurrence("Minute", 15, "2026-11-24T04:50:00"), count=2) == [
        "Tue 24 Nov 05:05",
        "Tue 24 Nov 05:20",
    ]
    assert shown(ScheduleRecurrence("Hour", 2, "2026-11-24T09:30:00"), count=2) == [
        "Tue 24 Nov 09:30",
        "Tue 24 Nov 11:30",
    ]


def test_times_of_days_and_weeks():
    assert shown(ScheduleRecurrence("Day", 1, "2026-11-24T00:00:00", hours=[6, 18], minutes=[0, 30])) == [
        "Tue 24 Nov 06:00",
        "Tue 24 Nov 06:30",
        "Tue 24 Nov 18:00",
        "Tue 24 Nov 18:30",
    ]
    weekly = ScheduleRecurrence("Week", 1, "2026-11-24T00:00:00", week_days=["Friday", "Monday"], time_of_day="9:05")
    assert shown(weekly, count=3) == ["Fri 27 Nov 09:05", "Mon 30 Nov 09:05", "Fri 04 Dec 09:05"]
    assert shown(ScheduleRecurrence("Day", 2, "2026-11-20T07:00:00"), count=2) == [
        "Tue 24 Nov 07:00",
        "Thu 26 Nov 07:00",
    ]


def test_the_last_days_of_months_are_kept_to():
    assert [text[4:10] for text in shown(ScheduleRecurrence("Month", 1, "2026-12-31T08:00:00"), count=5)] == [
        "31 Dec",
        "31 Jan",
        "28 Feb",
        "31 Mar",
        "30 Apr",
    ]


def test_a_days_hour_stays_when_clocks_change():
    daily = ScheduleRecurrence("Day", 1, "2026-10-24T09:00:00", "Central European Standard Time")
    found = times(daily, 3, datetime(2026, 10, 24, tzinfo=UTC))
    assert [(moment.hour, moment.utcoffset()) for moment in found] == [
        (9, timedelta(hours=2)),
        (9, timedelta(hours=1)),
        (9, timedelta(hours=1)),
    ]


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [("America/Havana", "0:30", "Sun 08 Mar 01:30"), ("Asia/Beirut", "0:30", "Sun 29 Mar 01:30"),
     ("Africa/Cairo", "0:00", "Fri 24 Apr 01:00"), ("America/Santiago", "0:59", "Sun 06 Sep 01:59"),
     ("Europe/Warsaw", "2:30", "Sun 29 Mar 03:30"), ("Australia/Lord_Howe", "2:15", "Sun 04 Oct 02:45")],
)  # fmt: skip
def test_a_time_that_the_clock_leaves_out_comes_as_much_later_that_day(zone, at, expected):
    day = datetime.strptime(f"2026 {expected[4:10]}", "%Y %d %b")
    daily = ScheduleRecurrence("Day", 1, day - timedelta(days=3), zone, time_of_day=at)
    found = times(daily, 5, (day - timedelta(days=1)).replace(tzinfo=ZoneInfo(zone)))
    assert f"{found[1]:%a %d %b %H:%M}" == expected
    assert [moment.date() for moment in found] == [(day + timedelta(days=days)).date() for days in range(-1, 4)]
    weekly = ScheduleRecurrence("Week", 2, day - timedelta(days=14), zone, time_of_day=at)
    assert [f"{moment:%d %b}" for moment in times(weekly, 3, day.replace(tzinfo=UTC) - timedelta(days=2))][
        0
    ] == expected[4:10]


def test_a_line_of_cron_keeps_to_its_days_too():
    line = ScheduleRecurrence.of_cron("30 0 * * sun", "America/Havana")
    found = times(line, 2, datetime(2027, 3, 8, tzinfo=UTC))
    assert [f"{moment:%a %d %b %H:%M}" for moment in found] == ["Sun 14 Mar 01:30", "Sun 21 Mar 00:30"]
    assert ScheduleRecurrence.from_json(line.to_json()).to_json() == line.to_json() and not line.runs_at_once
    same = ScheduleRecurrence.of_cron("30 6 * * 1-5", "America/Havana").for_prefect(NOW)
    assert type(same).__name__ == "CronSchedule"  # as it stands where no clock matters


@pytest.mark.parametrize("line", ["", "6 *", "61 * * * *", "* * * * * *", "a b c d e", "0 24 * * *", "@never"])
def test_what_is_no_line_of_cron_is_refused(line):
    with pytest.raises(UserErrorException, match="is no line of cron"):
        ScheduleRecurrence.of_cron(line)


def test_every_day_has_one_run_through_twenty_years_of_clock_changes():
    daily = ScheduleRecurrence("Day", 1, "2026-11-24T00:30:00", "America/Havana")
    found = times(daily, 900, datetime(2030, 1, 1, tzinfo=UTC))
    assert [(moment.date() - found[0].date()).days for moment in found] == list(range(900))


def test_rules_that_no_clock_change_touches_stay_as_they_are():
    assert ScheduleRecurrence("Day", 1, "2026-11-24T09:00:00", "Europe/Warsaw").for_prefect(NOW).rrule == (
        "DTSTART:20261124T090000\nRRULE:FREQ=DAILY;INTERVAL=1"
    )


def test_without_a_start_the_first_run_is_at_once_and_the_next_an_interval_later():
    recurrence = ScheduleRecurrence("Hour", 3)
    assert recurrence.runs_at_once
    assert times(recurrence, 1) == [datetime(2026, 11, 24, 8, 0, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (("Year", 1), {}),
        (("Day", 0), {}),
        (("Day", 1.5), {}),
        (("Day", True), {}),
        (("Hour", 1), {"hours": [1]}),
        (("Month", 1), {"minutes": [1]}),
        (("Day", 1), {"hours": [24]}),
        (("Day", 1), {"minutes": ["1"]}),
        (("Day", 1), {"week_days": ["Monday"]}),
        (("Week", 1), {"week_days": ["Mon"]}),
        (("Day", 1), {"time_of_day": "25:00"}),
        (("Day", 1), {"time_of_day": "1٣:00"}),
        (("Day", 1), {"time_of_day": "10:00", "hours": [1]}),
        (("Day", 1), {"start_time": "tomorrow"}),
        (("Day", 1), {"time_zone": "Mars"}),
    ],
)
def test_contradictions_are_refused(words, more):
    with pytest.raises(UserErrorException):
        ScheduleRecurrence(*words, **more)


@given(
    st.sampled_from(["Day", "Week"]),
    st.integers(1, 5),
    st.sets(st.integers(0, 23), max_size=3),
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sampled_from(["UTC", "Europe/Warsaw", "Tokyo Standard Time"]),
)
def test_every_time_is_one_that_was_asked_for(frequency, interval, hours, minutes, zone):
    start = datetime(2026, 11, 24, 4, 0)
    recurrence = ScheduleRecurrence(frequency, interval, start, zone, hours=hours, minutes=minutes)
    again = ScheduleRecurrence.from_json(recurrence.to_json())
    found = times(recurrence, 5)
    assert found == times(again, 5)
    days = {(moment.date() - start.date()).days for moment in found}
    unit = interval if frequency == "Day" else 7 * interval
    assert {day % unit for day in days} == {0}
    assert {moment.hour for moment in found} <= (hours or {4})
    assert {moment.minute for moment in found} <= minutes
