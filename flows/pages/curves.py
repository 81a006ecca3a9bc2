"""A series of numbers as a curve in SVG."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 130, 4, 8
_POINTS = 300


def curve(title: str, values: Sequence[float | None]) -> Markup:
    """Return the curve of a series, with its smallest, largest and last value; None makes a gap."""
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    last = f"{known[-1]:.6g}" if known else "no number"
    words = f"{title}: {len(values)} values, from {low:.6g} to {high:.6g}, the last {last}"
    lines = _lines(_thinned(values), len(values), low, high)
    drawn = [
        Markup('<polyline class="curve" points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in line))
        if len(line) > 1
        else Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(*line[0])
        for line in lines
    ]
    head = Markup('<svg role="img" viewBox="0 0 {w} {h}" aria-label="{words}">').format(
        w=_WIDTH, h=_HEIGHT + 2 * _TOP, words=words
    )
    base = _TOP + _HEIGHT
    frame = Markup('<path class="frame" d="M{} {} V{} H{}"/>').format(_LEFT, _TOP, base, _WIDTH - _LEFT)
    return Markup("").join([head, frame, *drawn, Markup("</svg>")])


def _thinned(values: Sequence[float | None]) -> list[tuple[int, float | None]]:
    """Return the values with their places; of many the smallest and largest of each stretch."""
    if len(values) <= _POINTS:
        return list(enumerate(values))
    kept: list[tuple[int, float | None]] = []
    stretches = _POINTS // 2
    for number in range(stretches):
        start, end = number * len(values) // stretches, (number + 1) * len(values) // stretches
        known = [(place, value) for place in range(start, end) if (value := values[place]) is not None]
        if not known:
            kept.append((start, None))
            continue
        ends = (min(known, key=lambda one: one[1]), max(known, key=lambda one: one[1]))
        kept += sorted(set(ends))
    return kept


def _lines(
    points: Sequence[tuple[int, float | None]], count: int, low: float, high: float
) -> list[list[tuple[float, float]]]:
    """Return the places of the points, a list for each stretch without a gap."""
    across, lines, line = max(1, count - 1), list[list[tuple[float, float]]](), list[tuple[float, float]]()
    for place, value in points:
        if value is None:
            lines += [line] if line else []
            line = []
            continue
        share = 0.5 if high == low else value / (high - low) - low / (high - low)
        x = _LEFT + (_WIDTH - 2 * _LEFT) * place / across
        line.append((x, _TOP + _HEIGHT * (1 - share)))
    return lines + ([line] if line else [])
