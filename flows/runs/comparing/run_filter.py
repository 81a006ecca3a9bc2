"""Which runs are looked for: of an experiment, a state, a time, with tags, and with metrics within limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches

from stepwell.blocks.store.runs.run_index import RunEntry
from stepwell.conditions import Condition, read_condition
from stepwell.errors import UserErrorException
from stepwell.flows.runs.comparing.run_facts import all_metrics, tags_of
from stepwell.flows.runs.summary import RunSummary

_SPAN = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>[a-z]+?)s?( ago)?")
_UNITS = {
    **dict.fromkeys(("m", "min", "minute"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day"), timedelta(days=1)),
    **dict.fromkeys(("w", "week"), timedelta(weeks=1)),
}
_STATES = {
    "finished": "Finished",
    "completed": "Finished",
    "failed": "Failed",
    "canceled": "Canceled",
    "cancelled": "Canceled",
    "running": "Running",
    "notstarted": "NotStarted",
}


def read_moment(text: str, now: datetime | None = None, zone: tzinfo = UTC) -> float:
    """Return the moment that a text such as `2026-05-01`, `2026-05-01 14:30` or `3 days` names, in seconds since 1970.

    `zone` is that of a time which says none itself.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found and found["unit"] in _UNITS:
        return ((now or datetime.now(UTC)) - int(found["number"]) * _UNITS[found["unit"]]).timestamp()
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserErrorException(
            f"{text!r} is no time",
            hint=f"Write 2026-05-01, '2026-05-01 14:30' ({zone}), or how long ago: 3d, 12h, 30min.",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def read_status(text: str) -> str:
    """Return the state that the word names; raise UserErrorException for what no run can be."""
    word = re.sub("[^a-z]", "", text.lower())
    if word not in _STATES:
        near = get_close_matches(word, _STATES, 1)
        hint = f"Write {_STATES[near[0]]}." if near else f"Use {', '.join(dict.fromkeys(_STATES.values()))}."
        raise UserErrorException(f"{text!r} is no state of a run", hint=hint)
    return _STATES[word]


def read_tag(text: str) -> tuple[str, str | None]:
    """Return the name of a tag, and its value if the text says one: `name` or `name=value`."""
    name, separator, value = text.partition("=")
    if not name.strip():
        raise UserErrorException(f"{text!r} names no tag", hint="Write name, or name=value.")
    return name.strip(), value if separator else None


@dataclass(frozen=True)
class RunFilter:
    """Runs of an experiment, in a state, created since a moment, for whose metrics all conditions hold, with all tags."""

    experiment: str = ""
    status: str = ""
    since: float = 0.0
    conditions: tuple[Condition, ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def read(
        cls,
        experiment: str = "",
        status: str = "",
        since: str = "",
        metrics: Iterable[str] = (),
        tags: Iterable[str] = (),
    ) -> RunFilter:
        """Return the filter that a command line's words state."""
        return cls(
            experiment,
            read_status(status) if status else "",
            read_moment(since) if since else 0.0,
            tuple(map(read_condition, metrics)),
            tuple(map(read_tag, tags)),
        )

    @property
    def is_open(self) -> bool:
        """Whether every run passes."""
        return self == RunFilter()

    @property
    def needs_only_status(self) -> bool:
        """Whether the index and the state of a run tell whether it passes."""
        return not (self.conditions or self.tags)

    def may_pass(self, run: RunEntry) -> bool:
        """Return whether the run passes, as far as its entry in the index tells."""
        return self.experiment in ("", run.experiment) and run.created >= self.since

    def passes(self, run: RunSummary) -> bool:
        """Return whether a run passes that may."""
        if self.status not in ("", run.status):
            return False
        if self.tags:
            known = tags_of(run)
            if not all(name in known and value in (None, known[name] or "") for name, value in self.tags):
                return False
        metrics = all_metrics(run) if self.conditions else {}
        return all(condition.holds(metrics) for condition in self.conditions)
