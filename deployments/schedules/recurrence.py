"""`ScheduleRecurrence`: at which times a schedule runs a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

from stepwell.blocks.arguments.checked import checked
from stepwell.deployments.schedules.clock_changes import past_gaps
from stepwell.deployments.schedules.cron_line import read
from stepwell.deployments.schedules.time_zones import zone_name
from stepwell.errors import UserErrorException

_FREQUENCIES = ("Minute", "Hour", "Day", "Week", "Month")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORTEST_MONTH = 28


@checked
class ScheduleRecurrence:
    """Every `interval` minutes, hours, days, weeks or months from `start_time` on, in the time zone's own clock.

    The arguments are those of Azure ML SDK v1, and are attributes as well.

    Args:
        frequency: Minute, Hour, Day, Week or Month.
        interval: How many of them lie between two runs, 1 to 1000.
        start_time: A datetime or `YYYY-MM-DDThh:mm:ss`, in the time zone if it has none of its own. Without it, the
            first run is at once; if it is past, the first run is at the next time that follows from it.
        time_zone: A member of TimeZone, or a name such as Europe/Warsaw; by default UTC.
        hours: Hours of the day, 0 to 23, with days and weeks only; by default those of `start_time`.
        minutes: Minutes of the hour, 0 to 59, with days and weeks only; by default 0 if `hours` are given.
        week_days: English names of days, with weeks only; by default the day of `start_time`.
        time_of_day: `hh:mm`, instead of `hours` and `minutes`.

    Raises:
        UserErrorException: If a value is not allowed, or two contradict each other.
    """

    def __init__(
        self,
        frequency: str,
        interval: int,
        start_time: datetime | str | None = None,
        time_zone: str | Enum | None = None,
        hours: Sequence[int] | AbstractSet[int] | None = None,
        minutes: Sequence[int] | AbstractSet[int] | None = None,
        week_days: str | Sequence[str] | AbstractSet[str] | None = None,
        time_of_day: str | None = None,
    ) -> None:
        self.frequency = frequency
        self.interval = interval
        self.time_zone = zone_name(time_zone)
        self.start_time = _start(start_time, self.time_zone)
        self.hours = _numbers("hours", hours, 23)
        self.minutes = _numbers("minutes", minutes, 59)
        self.week_days = _days(week_days)
        self.time_of_day = time_of_day
        if frequency not in _FREQUENCIES:
            raise _wrong(f"{frequency!r} is no frequency", f"Use one of {', '.join(_FREQUENCIES)}.")
        if isinstance(interval, bool) or not isinstance(interval, int) or not 1 <= interval <= 1000:
            raise _wrong(f"{interval!r} is no interval", "Pass a whole number from 1 to 1000.")
        if time_of_day is not None:
            self.hours, self.minutes = _time_of_day(time_of_day, self.hours, self.minutes)
        if (self.hours or self.minutes) and frequency not in ("Day", "Week"):
            raise _wrong("Hours and minutes go with days and weeks only", "Leave them out, or change the frequency.")
        if self.week_days and frequency != "Week":
            raise _wrong("Days of the week go with weeks only", "Leave them out, or change the frequency.")

    @staticmethod
    def of_cron(expression: str, time_zone: str | Enum | None = None) -> ScheduleRecurrence:
        """Return the recurrence that a line of cron means; Azure ML SDK v1 has none.

        Args:
            expression: Minute, hour, day of the month, month and day of the week, such as `30 6 * * 1-5`.
            time_zone: A member of TimeZone, or a name such as Europe/Warsaw; by default UTC.

        Returns:
            The recurrence, whose first run is at the next time that fits.

        Raises:
            UserErrorException: The expression or the time zone is none.
        """
        return _Cron(expression, time_zone)

    @property
    def runs_at_once(self) -> bool:
        """Whether the first run is when the schedule is made."""
        return self.start_time is None

    def for_prefect(self, now: datetime) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        """Return the schedule as Prefect takes it.

        Args:
            now: When it is made; it begins then if it has no `start_time`.

        Returns:
            An interval schedule, or one of a recurrence rule (RFC 5545) or a line of cron.
        """
        zone = ZoneInfo(self.time_zone)
        start = (self.start_time or now.replace(second=0, microsecond=0)).astimezone(zone)
        if self.frequency in ("Minute", "Hour"):
            return self._by_clock(start.astimezone(UTC), now)
        parts = [f"FREQ={_WORDS[self.frequency]}", f"INTERVAL={self.interval}"]
        if self.frequency == "Month" and start.day > _SHORTEST_MONTH:  # in shorter months their last day
            days = ",".join(map(str, range(_SHORTEST_MONTH, start.day + 1)))
            parts += [f"BYMONTHDAY={days}", "BYSETPOS=-1"]
        if self.week_days:
            parts.append("BYDAY=" + ",".join(day[:2].upper() for day in self.week_days))
        dates = ";".join(parts)
        times: tuple[tuple[int, int, int], ...] = ((start.hour, start.minute, start.second),)
        if self.hours or self.minutes:
            hours, minutes = self.hours or (start.hour,), self.minutes or (0,)
            parts += [f"BYHOUR={_listed(hours)}", f"BYMINUTE={_listed(minutes)}", "BYSECOND=0"]
            times = tuple((hour, minute, 0) for hour in hours for minute in minutes)
        rule = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}{past_gaps(dates, times, start, zone)}"
        return RRuleSchedule(rrule=rule, timezone=self.time_zone)

    def _by_clock(self, start: datetime, now: datetime) -> IntervalSchedule | RRuleSchedule:
        """Return a schedule of equal times apart, whatever clocks are put to."""
        if start > now:  # an interval of Prefect's has no beginning
            rule = f"FREQ={_WORDS[self.frequency]};INTERVAL={self.interval}"
            return RRuleSchedule(rrule=f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}", timezone="UTC")
        unit = timedelta(minutes=1) if self.frequency == "Minute" else timedelta(hours=1)
        return IntervalSchedule(interval=unit * self.interval, anchor_date=start, timezone="UTC")

    def to_json(self) -> dict[str, Any]:
        """Return the recurrence as plain data.

        Returns:
            What `from_json` takes.
        """
        return {
            "frequency": self.frequency,
            "interval": self.interval,
            "start_time": self.start_time.isoformat() if self.start_time else None,
            "time_zone": self.time_zone,
            "hours": list(self.hours),
            "minutes": list(self.minutes),
            "week_days": list(self.week_days),
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> ScheduleRecurrence:
        """Return the recurrence that plain data describe.

        Args:
            plain: What `to_json` returned.

        Returns:
            The recurrence.
        """
        if "cron" in plain:
            return cls.of_cron(plain["cron"], plain["time_zone"])
        start = plain.get("start_time")
        return cls(**{**plain, "start_time": datetime.fromisoformat(start) if start else None})

    def __str__(self) -> str:
        words = [
            f"every {self.interval} {self.frequency.lower()}s"
            if self.interval > 1
            else f"every {self.frequency.lower()}"
        ]
        if self.week_days:
            words.append("on " + ", ".join(self.week_days))
        if self.hours or self.minutes:
            words.append(
                "at "
                + ", ".join(f"{hour:02}:{minute:02}" for hour in self.hours or (0,) for minute in self.minutes or (0,))
            )
        return " ".join([*words, self.time_zone])

    def __repr__(self) -> str:
        return f"ScheduleRecurrence({self})"


class _Cron(ScheduleRecurrence):
    """The times of a line of cron."""

    def __init__(self, expression: str, time_zone: str | Enum | None) -> None:
        super().__init__("Day", 1, time_zone=time_zone)
        self.frequency, self.expression = "Cron", " ".join(expression.split())
        if len(self.expression.split()) != 5 and not re.fullmatch("@[a-z]+", self.expression):
            raise _wrong(f"{expression!r} is no line of cron", "Write five fields, such as '30 6 * * 1-5'.")
        try:
            self.for_prefect(datetime.now(UTC))
        except ValueError:
            raise _wrong(f"{expression!r} is no line of cron", "Correct it, as in '30 6 * * 1-5'.") from None

    @property
    def runs_at_once(self) -> bool:
        return False

    def for_prefect(self, now: datetime) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        plain, line = CronSchedule(cron=self.expression, timezone=self.time_zone), read(self.expression)
        if line is None:
            return plain
        zone = ZoneInfo(self.time_zone)
        start = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        moved = past_gaps(line.dates, line.times, start, zone)
        if not moved:
            return plain
        rule = f"{line.dates};BYHOUR={_listed(line.hours)};BYMINUTE={_listed(line.minutes)};BYSECOND=0"
        return RRuleSchedule(rrule=f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}{moved}", timezone=self.time_zone)

    def to_json(self) -> dict[str, Any]:
        return {"cron": self.expression, "time_zone": self.time_zone}

    def __str__(self) -> str:
        return f"cron {self.expression} {self.time_zone}"


_WORDS = {"Minute": "MINUTELY", "Hour": "HOURLY", "Day": "DAILY", "Week": "WEEKLY", "Month": "MONTHLY"}


def _start(given: datetime | str | None, zone: str) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise _wrong(f"{given!r} is no time", "Write YYYY-MM-DDThh:mm:ss.") from None
    if not isinstance(given, datetime):
        raise _wrong(f"{given!r} is no time", "Pass a datetime, or YYYY-MM-DDThh:mm:ss.")
    return given.replace(microsecond=0) if given.tzinfo else given.replace(microsecond=0, tzinfo=ZoneInfo(zone))


def _numbers(what: str, given: Iterable[int] | None, most: int) -> Sequence[int]:
    found = tuple(given or ())
    if any(isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= most for one in found):
        raise _wrong(f"{list(found)!r} are no {what}", f"Pass whole numbers from 0 to {most}.")
    return tuple(sorted(set(found)))


def _days(given: Iterable[str] | None) -> Sequence[str]:
    found = (given,) if isinstance(given, str) else tuple(given or ())
    unknown = [day for day in found if day not in _DAYS]
    if unknown:
        raise _wrong(f"{unknown[0]!r} is no day of the week", f"Use {', '.join(_DAYS)}.")
    return tuple(day for day in _DAYS if day in found)


def _time_of_day(text: str, hours: Sequence[int], minutes: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    if hours or minutes:
        raise _wrong("A time of day and hours or minutes are given", "Leave the one or the others out.")
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text) if isinstance(text, str) else None
    if not match:
        raise _wrong(f"{text!r} is no time of day", "Write hh:mm.")
    return (int(match[1]),), (int(match[2]),)


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _wrong(title: str, hint: str) -> UserErrorException:
    return UserErrorException(title, hint=hint)
