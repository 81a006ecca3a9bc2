"""When each step was at work: a Gantt chart as SVG, as wide as its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup

from stepwell.blocks.store.run_folder import Event
from stepwell.flows.runs.summary import ENDED_STEP

_MOST = 100
_ROW, _BAR, _TOP = 38, 12, 26
_TICKS = (0, 25, 50, 75, 100)


class Bar(NamedTuple):
    """A step's time at work, in seconds from the run's start: a pair for each attempt."""

    step: str
    happened: str
    spans: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """How long it was at work."""
        return sum(end - start for start, end in self.spans)


def bars_of(journal: Iterable[Event], happened: Mapping[str, str], now: datetime) -> list[Bar]:
    """Return the bars of the steps that began, in the order in which they did; `now` ends what is still at work."""
    found: dict[str, list[tuple[float, float]]] = {}
    began: dict[str, float] = {}
    first: float | None = None
    last = 0.0
    for event in journal:
        at = _seconds(event.get("at", ""))
        if at is None:
            continue
        first = at if first is None else first
        last = max(last, at)
        step, status = event.get("step"), event.get("status")
        if step is None or status is None:
            continue
        if status in ("starting", "running"):
            if status == "running" or step not in began:
                began[step] = at
        elif step in began and status in (*ENDED_STEP, "retrying"):
            found.setdefault(step, []).append((began.pop(step), at))
    for step, start in began.items():
        end = now.timestamp() if happened.get(step) == "running" else last
        found.setdefault(step, []).append((start, max(start, end)))
    zero = first or 0.0
    bars = [
        Bar(step, happened.get(step, ""), tuple((max(0.0, start - zero), max(0.0, end - zero)) for start, end in spans))
        for step, spans in found.items()
    ]
    return sorted(bars, key=lambda bar: bar.spans[0][0])


def _seconds(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def gantt(bars: Sequence[Bar], colours: Mapping[str, str]) -> tuple[Markup, int]:
    """Return the chart, and how many bars it leaves out: the shortest."""
    longest = sorted(bars, key=lambda bar: -bar.seconds)[:_MOST]
    shown = [bar for bar in bars if bar in longest] if len(bars) > _MOST else list(bars)
    whole = max((end for bar in bars for _, end in bar.spans), default=0.0) or 1.0
    parts = [_ticks(whole, len(shown))]
    for row, bar in enumerate(shown):
        y = _TOP + row * _ROW
        words = f"{bar.step} — {bar.happened}, {duration(bar.seconds)}"
        parts.append(Markup('<text x="4" y="{y}">{words}</text>').format(y=y + 13, words=words))
        parts += [
            Markup('<rect class="bar {colour}" x="{x:.3f}%" y="{y}" width="{w:.3f}%" height="{h}" rx="2"/>').format(
                colour=colours.get(bar.happened, "other"),
                x=min(100 * start / whole, 99.6),
                y=y + 18,
                w=max(0.4, 100 * (end - start) / whole),
                h=_BAR,
            )
            for start, end in bar.spans
        ]
    words = "; ".join(
        f"{bar.step} {bar.happened}, from {duration(bar.spans[0][0])} to {duration(bar.spans[-1][1])}"
        for bar in shown[:40]
    )
    start = Markup('<svg class="times" role="img" width="100%" height="{h}" aria-label="{words}">').format(
        h=_TOP + len(shown) * _ROW + 4, words=f"When each step was at work, from the start of the run: {words}"
    )
    return Markup("").join([start, *parts, Markup("</svg>")]), len(bars) - len(shown)


def _ticks(whole: float, rows: int) -> Markup:
    """Return vertical lines, and the times that they stand for."""
    anchors = {0: "start", 100: "end"}
    return Markup("").join(
        Markup(
            '<line class="tick" x1="{x}%" x2="{x}%" y1="16" y2="{end}"/>'
            '<text class="axis" x="{x}%" y="12" text-anchor="{anchor}">{text}</text>'
        ).format(x=x, end=_TOP + rows * _ROW, anchor=anchors.get(x, "middle"), text=duration(whole * x / 100))
        for x in _TICKS
    )


def duration(seconds: float) -> str:
    """Return a time span in words."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms" if seconds else "0 s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
