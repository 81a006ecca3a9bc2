"""Lines of cron, read as days and times of day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

_DAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WORDS = {
    **{day: str(number) for number, day in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
    **{month: str(number) for number, month in enumerate(_MONTHS, 1)},
}
_PART = re.compile(r"(?:\*|([0-9]+)(?:-([0-9]+))?)(?:/([0-9]+))?")


class CronLine(NamedTuple):
    """The days of a line as a recurrence rule (RFC 5545), and the hours and minutes of these days."""

    dates: str
    hours: Sequence[int]
    minutes: Sequence[int]

    @property
    def times(self) -> tuple[tuple[int, int, int], ...]:
        """Each time of day, as hour, minute and second."""
        return tuple((hour, minute, 0) for hour, minute in product(self.hours, self.minutes))


def read(line: str) -> CronLine | None:
    """Return what the line says; None for one of every hour, whose runs no clock puts on another day, or of rarer words."""
    fields = line.lower().split()
    if len(fields) != 5 or fields[1].startswith("*") or (fields[2] != "*" and fields[4] != "*"):
        return None
    limits = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    minutes, hours, month_days, months, week_days = (
        _numbers(field, *limit) for field, limit in zip(fields, limits, strict=True)
    )
    if not (minutes and hours and month_days and months and week_days):
        return None
    parts = ["FREQ=DAILY"]
    if fields[3] != "*":
        parts.append("BYMONTH=" + ",".join(map(str, months)))
    if fields[2] != "*":
        parts.append("BYMONTHDAY=" + ",".join(map(str, month_days)))
    if fields[4] != "*":
        parts.append("BYDAY=" + ",".join(dict.fromkeys(_DAYS[day % 7] for day in week_days)))
    return CronLine(";".join(parts), hours, minutes)


def _numbers(field: str, low: int, high: int) -> Sequence[int]:
    """Return the numbers that a field lists, none if it has words that only some crons know."""
    found: set[int] = set()
    for part in re.sub("[a-z]+", lambda word: _WORDS.get(word[0], word[0]), field).split(","):
        match = _PART.fullmatch(part)
        if not match:
            return ()
        first = int(match[1] or low)
        last = int(match[2] or (high if match[3] or not match[1] else first))
        found |= set(range(first, last + 1, int(match[3] or 1) or 1))
    return sorted(found) if found and low <= min(found) and max(found) <= high else ()
