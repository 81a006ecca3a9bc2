"""Times that no clock shows, since it is put forward past them: the runs that fall there come as much later, that day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

_YEARS = 20
_MOST = 100
"""How many runs are moved; Prefect takes no longer rules."""


class Gap(NamedTuple):
    """Times of a zone's clock that it never shows, from `first` to before `end`."""

    first: datetime
    end: datetime


def gaps(zone: ZoneInfo, start: datetime) -> Iterator[Gap]:
    """Yield the gaps of a zone's clock in the years after `start`."""
    day = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    for _ in range(366 * _YEARS):
        low, high = day, day + timedelta(days=1)
        before, after = _offset(low, zone), _offset(high, zone)
        while after > before and high - low > timedelta(minutes=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
        if after > before:
            moment = high.replace(second=0, microsecond=0, tzinfo=None)
            yield Gap(moment + before, moment + after)
        day += timedelta(days=1)


def past_gaps(dates: str, times: tuple[tuple[int, int, int], ...], start: datetime, zone: ZoneInfo) -> str:
    """Return the lines that a recurrence rule needs beside its own, '' if none of its runs falls into a gap.

    Prefect itself would run those at 00:30 on the evening before.

    Args:
        dates: The rule of its days, without times.
        times: The times of these days: hour, minute, second.
        start: When it begins.
        zone: Its time zone.

    Returns:
        The times that are left out, and those that take their places, as RFC 5545 writes them.
    """
    begin = start.astimezone(zone).replace(tzinfo=None)
    found = list(gaps(zone, start))
    if not found:
        return ""
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    rule = rrulestr(f"RRULE:{dates}", dtstart=midnight)
    days = {day.date() for day in rule.between(midnight, found[-1].end, inc=True)}
    moved: dict[datetime, datetime] = {}
    for gap, (hour, minute, second) in product(found, times):
        for day in {gap.first.date(), (gap.end - timedelta(microseconds=1)).date()} & days:
            time = datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001  (what a clock shows)
            if gap.first <= time < gap.end and time >= begin:
                moved[time] = time + (gap.end - gap.first)
    chosen = sorted(moved)[:_MOST]
    if not chosen:
        return ""
    return f"\nRDATE:{_listed(moved[time] for time in chosen)}\nEXDATE:{_listed(chosen)}"


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _listed(times: Iterator[datetime] | list[datetime]) -> str:
    return ",".join(f"{time:%Y%m%dT%H%M%S}" for time in times)
