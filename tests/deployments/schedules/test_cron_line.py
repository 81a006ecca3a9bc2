"""Lines of cron as recurrence rules: the same days and times as Prefect's own cron has."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from prefect.server.schemas.schedules import CronSchedule, RRuleSchedule

from stepwell.deployments.schedules.cron_line import read

START = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "30 0 * * *",
        "0,30 6-18/4 * * 1-5",
        "5 4 1,15 * *",
        "*/20 3 * jan-mar *",
        "0 9 * * mon,FRI",
        "0 0 31 * *",
        "0 8 * * 7",
        "15 1-3 29 2 *",
    ],
)
def test_a_line_means_the_same_as_a_rule(line):
    found = read(line)
    hours, minutes = (",".join(map(str, numbers)) for numbers in (found.hours, found.minutes))
    rule = RRuleSchedule(
        rrule=f"DTSTART:{START:%Y%m%dT%H%M%S}\nRRULE:{found.dates};BYHOUR={hours};BYMINUTE={minutes};BYSECOND=0"
    )
    dates = [asyncio.run(kind.get_dates(12, start=START)) for kind in (rule, CronSchedule(cron=line, timezone="UTC"))]
    assert dates[0] == dates[1]


@pytest.mark.parametrize("line", ["* * * * *", "0 */2 * * *", "0 0 1 * 1", "0 0 L * *", "0 0 * * mon#1", "@daily"])
def test_lines_of_every_hour_and_of_rarer_words_are_left_to_prefect(line):
    assert read(line) is None
